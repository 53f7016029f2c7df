"""Losses of bags of anchors, which learn by themselves which of their anchors finds an object.

FreeAnchor: Learning to Match Anchors for Visual Object Detection, arXiv:1909.02466, 2019. An object's bag are the
anchors that overlap it most, and at least one of them is to find it, class and box; an anchor whose box fits no object
of a class is to be background there. Nothing is assigned: the likelihood of that is what is learned.

Bags have a fixed size. Every anchor is compared with every object, a few objects at a time, so that of the ``N G A``
pairs of images, object slots and anchors no more than ``16 N A`` are in memory at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from detzoo.blocks.assign import pick
from detzoo.blocks.losses import BoxLoss, box_losses, mean_over_ranks
from detzoo.config import Config
from detzoo.ops.boxes import decode, encode, full_precision, pairwise_iou
from detzoo.types import Targets

_EPS = 1e-12
_LEAST = 1e-38  # of a bag's likelihood; its logarithm stays a number
_OBJECTS = 16  # that are compared at once

Stds = tuple[float, float, float, float]


class FreeAnchor(Config):
    """Settings of `bag_losses`."""

    size: int = Field(default=50, ge=1)  # anchors of a bag
    overlap: float = Field(default=0.6, ge=0, lt=1)  # IoU up to which a refined box does not fit an object at all
    alpha: float = Field(default=0.5, gt=0, lt=1)  # weight of positive bags; that of negatives is the rest to 1
    gamma: float = Field(default=2.0, ge=0)  # focusing exponent of negatives


def bag_losses(
    config: FreeAnchor, box: BoxLoss, logits: Tensor, moves: Tensor, anchors: Tensor, stds: Stds, targets: Targets
) -> dict[str, Tensor]:
    """Losses ``positive_bag_loss`` and ``negative_bag_loss``, equations 4 to 9; scalars in full precision.

    Args:
        config: settings.
        box: loss of offsets; a box fits by ``exp(-loss)``.
        logits: ``[N, A, C]``, one sigmoid per class.
        moves: offsets ``[N, A, 4]``.
        anchors: ``[A, 4]``.
        stds: of the offsets.
        targets: objects.
    """
    logits = full_precision(logits)
    count = mean_over_ranks(targets.valid.sum(), floor=1.0)
    positive = _positive(config, box, logits, moves, anchors, stds, targets)
    fit = _fit(config, decode(anchors, moves.detach(), stds), logits.shape[-1], targets)
    # -log(1 - (1 - fit) p), without a difference of numbers near 1
    loss = (F.softplus(logits) - F.softplus(logits + fit.log())).clamp(max=-math.log(_EPS))
    negative = ((logits.sigmoid() * (1 - fit)).pow(config.gamma) * loss).sum()
    return {
        "positive_bag_loss": config.alpha * positive / count,
        "negative_bag_loss": (1 - config.alpha) * negative / (count * config.size),
    }


def _positive(
    config: FreeAnchor, box: BoxLoss, logits: Tensor, moves: Tensor, anchors: Tensor, stds: Stds, targets: Targets
) -> Tensor:
    """Sum over objects of ``-log`` of their bag's likelihood, which is a mean that looks at the best; equation 6."""
    size, anchors = min(config.size, len(anchors)), anchors.float()  # bags are decided in float32, as in `match`
    with torch.no_grad():
        bags = [pairwise_iou(objects, anchors).topk(size, sorted=False).indices for objects, _ in _some(targets)]
        bag = torch.cat(bags, 1)  # [N, G, K]
    pair = (bag * logits.shape[-1] + targets.labels.unsqueeze(-1)).flatten(1)
    scores = logits.flatten(1).gather(1, pair).view(bag.shape).sigmoid()
    wanted = encode(anchors[bag], targets.boxes.unsqueeze(2), stds)
    found = full_precision(pick(moves, bag.flatten(1)).view_as(wanted))
    likely = scores * (-box.weight * box_losses(found, wanted, box)).exp()
    weights = 1 / (1 - likely).clamp(min=_EPS)
    likely = (weights * likely).sum(-1) / weights.sum(-1)
    return torch.where(targets.valid, -likely.clamp(min=_LEAST).log(), 0.0).sum()


@torch.no_grad()
def _fit(config: FreeAnchor, boxes: Tensor, classes: int, targets: Targets) -> Tensor:
    """How well each of ``boxes [N, A, 4]`` fits an object of each class, ``[N, A, C]``: 1 the best of an object, 0 one
    whose IoU is no more than ``overlap``; equation 8.
    """
    images, anchors = boxes.shape[:2]
    fit = boxes.new_zeros(images, classes, anchors)
    labels = targets.labels.split(_OBJECTS, 1)
    for (objects, valid), of_class in zip(_some(targets), labels, strict=True):
        above = pairwise_iou(objects, boxes) - config.overlap
        fits = (above / above.amax(-1, keepdim=True).clamp(min=_EPS)).clamp(0, 1) * valid.unsqueeze(-1)
        fit.scatter_reduce_(1, of_class.unsqueeze(-1).expand_as(fits), fits.to(fit), "amax")
    return fit.transpose(1, 2)


def _some(targets: Targets) -> Iterator[tuple[Tensor, Tensor]]:
    """Boxes ``[N, g, 4]`` of a few objects at a time, and which of these slots hold one."""
    return zip(targets.boxes.split(_OBJECTS, 1), targets.valid.split(_OBJECTS, 1), strict=True)
