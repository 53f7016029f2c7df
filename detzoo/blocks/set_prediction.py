"""Learning as set prediction: every object teaches the one query that the best one-to-one matching gives it.

End-to-End Object Detection with Transformers (DETR), arXiv:2005.12872, equations 1 and 2; the costs and losses with
sigmoids are those of Deformable DETR, arXiv:2010.04159. Everything is of L layers (or stages) at once. Boxes are parts
of their image's size: centre and size ``x, y, w, h`` or, with ``corners``, ``x1, y1, x2, y2``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor

from detzoo.blocks.assign import pick
from detzoo.blocks.losses import mean_over_ranks
from detzoo.config import Config
from detzoo.ops.boxes import from_centres, full_precision, giou, to_centres
from detzoo.ops.focal import focal_losses
from detzoo.ops.hungarian import hungarian
from detzoo.types import Images, Targets


class SetWeights(Config):
    """Weights of the three terms of a matching cost, or of the losses (equations 1 and 2)."""

    cls: float = Field(default=1.0, ge=0)  # of the class
    box: float = Field(default=5.0, ge=0)  # L1 of boxes, as parts of the image's size
    iou: float = Field(default=2.0, ge=0)  # generalized IoU


FOCAL_WEIGHTS = SetWeights(cls=2.0)  # where classes are sigmoids


def image_scale(images: Images) -> Tensor:
    """Pixels of each part of a box: width, height, width, height, float32 ``[N, 1, 4]``."""
    return images.sizes.float().flip(1).repeat(1, 2).unsqueeze(1)


@torch.no_grad()
def likelihood_costs(logits: Tensor, labels: Tensor) -> Tensor:
    """Less the softmax of each object's class: ``[N, L, Q, G]`` of logits ``[N, L, Q, C]`` and labels ``[N, G]``."""
    return -logits.softmax(-1).gather(-1, _of_queries(labels, logits))


@torch.no_grad()
def focal_costs(logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0, eps: float = 1e-12) -> Tensor:
    """What the focal loss of each object's class changes by, if the query is to be of that class.

    Args:
        logits: ``[N, L, Q, C]``, one sigmoid per class.
        labels: int64 ``[N, G]``.
        alpha: as of `detzoo.ops.focal.focal_losses`.
        gamma: likewise.
        eps: is added to the logarithms' arguments.

    Returns:
        ``[N, L, Q, G]``.
    """
    p = full_precision(logits).gather(-1, _of_queries(labels, logits)).sigmoid()
    q = 1 - p
    return (1 - alpha) * p.pow(gamma) * (q + eps).log() - alpha * q.pow(gamma) * (p + eps).log()


def _of_queries(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels ``[N, G]`` for each query of logits ``[N, L, Q, C]``."""
    return labels[:, None, None].expand(-1, *logits.shape[1:3], -1)


@torch.no_grad()
def match(
    classes: Tensor, boxes: Tensor, targets: Targets, scale: Tensor, weights: SetWeights, corners: bool = False
) -> Tensor:
    """In every layer the matching of least cost (equation 1).

    Args:
        classes: ``[N, L, Q, G]``, what it costs to give a query the class of an object.
        boxes: ``[N, L, Q, 4]``.
        targets: the objects.
        scale: `image_scale`.
        weights: of the costs.
        corners: see above.

    Returns:
        int64 ``[N, L, Q]``, slot of each query's object, -1 for none.
    """
    objects, scale = targets.boxes.to(boxes).unsqueeze(1), scale.to(boxes).unsqueeze(1)
    wanted, pixels = _both(objects, boxes, scale, corners)
    apart = (boxes.unsqueeze(3) - wanted.unsqueeze(2)).abs().sum(-1)
    alike = giou(pixels.unsqueeze(3), objects.unsqueeze(2))
    costs = weights.box * apart + weights.cls * classes - weights.iou * alike
    valid = targets.valid.unsqueeze(1).expand(-1, boxes.shape[1], -1)
    return hungarian(costs.flatten(0, 1), valid.flatten(0, 1)).view(boxes.shape[:3])


def box_losses(
    boxes: Tensor, slots: Tensor, targets: Targets, scale: Tensor, weights: SetWeights, corners: bool = False
) -> dict[str, Tensor]:
    """``loss_bbox`` and ``loss_iou`` ``[L]`` of matched queries, summed over images; arguments as of `match`."""
    wanted, scale = _picked(targets.boxes, slots), scale.unsqueeze(1)
    parts, pixels = _both(wanted, boxes, scale, corners)
    matched = slots >= 0
    return {
        "loss_bbox": weights.box * ((boxes - parts).abs().sum(-1) * matched).sum((0, 2)),
        "loss_iou": weights.iou * ((1 - giou(pixels, wanted)) * matched).sum((0, 2)),
    }


def matched_labels(slots: Tensor, targets: Targets, background: int) -> Tensor:
    """int64 ``[N, L, Q]``: the class of the object in each query's slot ``[N, L, Q]``; ``background`` for none."""
    return torch.where(slots >= 0, _picked(targets.labels, slots), background)


def focal_set_losses(
    logits: Tensor,
    boxes: Tensor,
    slots: Tensor,
    targets: Targets,
    scale: Tensor,
    weights: SetWeights,
    corners: bool = False,
) -> dict[str, Tensor]:
    """``loss_cls``, ``loss_bbox`` and ``loss_iou`` ``[L]`` of queries with a sigmoid per class.

    All are divided by the number of objects that have a query, at least one.

    Args:
        logits: ``[N, L, Q, C]``.
        boxes: ``[N, L, Q, 4]``.
        slots: `match`.
        targets: the objects.
        scale: `image_scale`.
        weights: of the losses.
        corners: see above.
    """
    count = mean_over_ranks((slots[:, -1] >= 0).sum(), floor=1.0)  # every layer has as many matches
    labels = matched_labels(slots, targets, logits.shape[-1])
    classes = focal_losses(logits, labels, torch.ones_like(labels, dtype=torch.float32)).sum((0, 2))
    terms = {"loss_cls": weights.cls * classes, **box_losses(boxes, slots, targets, scale, weights, corners)}
    return {name: term / count for name, term in terms.items()}


def by_layer(terms: Mapping[str, Tensor], layers: Sequence[str]) -> dict[str, Tensor]:
    """Losses by the name of their layer and their own, as ``d0.loss_cls``, of terms ``[L]`` and L prefixes."""
    return {layer + name: term[index] for index, layer in enumerate(layers) for name, term in terms.items()}


def _picked(values: Tensor, slots: Tensor) -> Tensor:
    """``[N, L, Q, ...]`` of values ``[N, G, ...]``; whatever for slots that are -1."""
    return pick(values, slots.clamp(min=0).flatten(1)).view(*slots.shape, *values.shape[2:])


def _both(objects: Tensor, boxes: Tensor, scale: Tensor, corners: bool) -> tuple[Tensor, Tensor]:
    """Objects in pixels as parts of the image, and boxes in parts as xyxy pixels."""
    if corners:
        return objects / scale, boxes * scale
    return to_centres(objects) / scale, from_centres(boxes) * scale
