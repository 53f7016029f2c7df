"""Samples that matter most weigh most, and boxes are refined best where classes are certain.

PISA: Prime Sample Attention in Object Detection, arXiv:1904.04821, 2019. Samples are ranked twice (hierarchical local
rank, HLR): among those that compete for one object, and then, first ones first, among all. A rank becomes a weight of
the classification loss, of positives by their IoU (ISR-P) and of negatives by their score (ISR-N); weights are scaled
so that the loss stays what it was. A further box loss (CARL) is weighted by the classification score, through which it
teaches that, too.

As the published weights were trained, CARL comes beside the usual box loss, and ISR-N is for RoIs alone. Ranks of
positives are those in the images of one device, ranks of negatives those in an image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from detzoo.blocks.assign import Matches
from detzoo.config import Config
from detzoo.ops.boxes import full_precision, iou, pairwise_iou
from detzoo.ops.nms import nms
from detzoo.ops.places import places


class Weighting(Config):
    """What a share x in [0, 1] weighs: ``(bias + (1 - bias) x) ** power``."""

    power: float = Field(gt=0)
    bias: float = Field(default=0.0, ge=0, le=1)

    def of(self, share: Tensor) -> Tensor:
        """The weight of each ``share``, of its shape."""
        return (self.bias + (1 - self.bias) * share).pow(self.power)


class PrimeSamples(Config):
    """What positives weigh."""

    ranks: Weighting = Weighting(power=2.0)  # in the classification loss, by rank of IoU (ISR-P)
    scores: Weighting = Weighting(power=1.0, bias=0.2)  # in a further box loss, by score (CARL)


class ScoreRanks(Config):
    """Which negatives are drawn and what they weigh, by rank of score (ISR-N)."""

    weighting: Weighting = Weighting(power=0.5)
    threshold: float = Field(default=0.05, ge=0, le=1)  # least score that is ranked; others are drawn at random, last
    nms: float = Field(default=0.5, ge=0, le=1)  # IoU above which a negative competes with a better one


@torch.no_grad()
def rank_weights(
    config: Weighting,
    found: Tensor,
    objects: Tensor,
    positive: Tensor,
    slot: Tensor,
    labels: Tensor,
    loss: Callable[[Tensor], Tensor],
) -> Tensor:
    """Weights ``[N, A]`` in the classification loss: of positives by IoU-HLR, 1 of all others.

    Ranks are those among the positives of an object, then among all of a class.

    Args:
        config: how a rank becomes a weight.
        found: refined boxes ``[N, A, 4]``.
        objects: what they should be, alike.
        positive: bool ``[N, A]``.
        slot: int64 ``[N, A]``, object slot that a positive learns from.
        labels: int64 ``[N, A]``, its class.
        loss: the sum of the classification loss, given weights ``[N, A]``.
    """
    apart = -iou(found, objects)
    local = places(torch.where(positive, slot, -1), apart)
    flat = [values.reshape(1, -1) for values in (torch.where(positive, labels, -1), local, apart)]
    rank = places(*flat).view_as(local).to(apart)
    most = (torch.where(positive, rank, -1).amax() + 1).clamp(min=1)  # of the class with most positives
    weights = config.of((most - rank) / most) * positive
    return torch.where(positive, weights * _ratio(loss(positive.to(weights)), loss(weights)), 1.0)


def score_weights(config: Weighting, scores: Tensor, positive: Tensor) -> Tensor:
    """Weights ``[N, A]`` in CARL's box loss, whose sum is the number of positives; 0 of all others.

    Args:
        config: how a score becomes a weight; its gradient is kept.
        scores: ``[N, A]`` in [0, 1], of each positive for its class, in full precision.
        positive: bool ``[N, A]``.
    """
    weights = config.of(torch.where(positive, scores, 1.0)) * positive
    return weights * (positive.sum() / weights.sum().clamp(min=1e-6))


@torch.no_grad()
def ranked_negatives(
    config: ScoreRanks, logits: Tensor, found: Tensor, matches: Matches, count: int, most: int
) -> tuple[Tensor, Tensor]:
    """A key for `detzoo.blocks.assign.sample` and a weight in the classification loss, ``[N, A]`` each.

    Negatives of a score above the threshold are drawn by Score-HLR: by their place among those that suppress each
    other, and then by score. Others come after them, and positives weigh 1 and come, at random.

    Args:
        config: what is ranked, and how a rank becomes a weight.
        logits: ``[N, A, C + 1]``, background last.
        found: boxes ``[N, A, 4]``, refined for their best classes.
        matches: which are positives and negatives.
        count: number to draw.
        most: number of positives at most.
    """
    boxes = logits.shape[1]
    negative = matches.negative
    logs = full_precision(logits).log_softmax(-1)
    scores = logs[..., :-1].amax(-1).exp()
    scored = negative & (scores > config.threshold)
    ordered, order = torch.where(scored, scores, -1.0).sort(1, descending=True)
    ranked = found.gather(1, order.unsqueeze(-1).expand(-1, -1, 4))
    used = ordered >= 0
    index = torch.arange(boxes, device=order.device)
    kept = nms(ranked, used, config.nms).unsqueeze(2) & (pairwise_iou(ranked, ranked) > config.nms)
    better = torch.where(kept, index.unsqueeze(1), boxes).amin(1)
    local = places(torch.minimum(better, index), index.expand_as(order))  # itself, where no better one suppresses it
    rank = places(torch.zeros_like(order), torch.where(used, local, boxes), index.expand_as(order))
    place = torch.zeros_like(rank).scatter(1, order, rank)
    chance = torch.rand(negative.shape, device=negative.device)
    key = torch.where(negative, torch.where(scored, 1 - (place + 1) / (2 * (boxes + 1)), chance / 2), chance)
    # those that will be drawn: the ranked ones first
    drawn = torch.minimum(negative.sum(1), count - matches.positive.sum(1).clamp(max=most)).unsqueeze(1)
    high = scored.sum(1, keepdim=True)
    bound = torch.maximum(drawn, high).clamp(min=1)
    lowest = (torch.minimum(drawn, high) - 1).clamp(min=0)
    weights = config.weighting.of((bound - torch.minimum(place, lowest).to(scores)) / bound)
    taken = negative & (places((~negative).long(), -key) < drawn)
    loss = -logs[..., -1] * taken
    ratio = _ratio(loss.sum(1, keepdim=True), (loss * weights).sum(1, keepdim=True))
    return key, torch.where(negative, weights * ratio, 1.0)


def _ratio(whole: Tensor, weighted: Tensor) -> Tensor:
    """What weights are multiplied with so that a loss stays what it was; 1 where there is none."""
    return torch.where(weighted > 0, whole / weighted.clamp(min=torch.finfo(weighted.dtype).tiny), 1.0)
