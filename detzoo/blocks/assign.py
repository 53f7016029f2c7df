"""Which anchor or proposal learns from which object, and which of them are sampled. Batched, with fixed slots."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from detzoo.config import Config
from detzoo.ops.boxes import best_overlaps, covered, pick
from detzoo.types import Targets

_ANY = 1e-6  # IoU below which no box's is asked for; what it is is then of no matter


class MatchConfig(Config):
    """Thresholds of IoU matching."""

    positive: float = 0.5  # least IoU of a positive
    negative: float = 0.5  # IoU below which a box is background; between the two it is left out
    closed: bool = True  # a box whose IoU is exactly `positive` is positive; False: exactly `negative` is background
    low_quality: float | None = None  # an object's best boxes are positive from this IoU on; None: never
    low_quality_ties: bool = True  # all boxes that share an object's best IoU; False: the first of them
    claims: bool = True  # they learn from that object; False: from the one that they overlap most
    ignore: float = -1.0  # share of a box inside an ignored region above which it is left out; -1: never


class Matches(NamedTuple):
    """Result of matching A boxes per image.

    Attributes:
        slot: int64 ``[N, A]``, object slot that a positive learns from; 0 elsewhere.
        positive: bool ``[N, A]``.
        negative: bool ``[N, A]``, background to be learned.
        overlap: ``[N, A]``, highest IoU with an object, where it was asked for.
    """

    slot: Tensor
    positive: Tensor
    negative: Tensor
    overlap: Tensor


@torch.no_grad()
def match(
    boxes: Tensor,
    usable: Tensor | None,
    targets: Targets,
    config: MatchConfig,
    *,
    threshold: Tensor | None = None,
    overlaps: bool = False,
    group: int = 1,
) -> Matches:
    """Match boxes to the object of highest IoU.

    Faster R-CNN, section 3.1.2 (arXiv:1506.01497). With ``low_quality`` every box that has an object's highest IoU (or
    the first such box, as ``low_quality_ties`` says) is given to that object; among several objects the one in the last
    slot wins.

    Args:
        boxes: ``[A, 4]`` shared by all images (anchors) or ``[N, A, 4]`` (proposals).
        usable: bool ``[N, A]``; other boxes are neither positive nor negative. None: all.
        targets: objects.
        config: thresholds.
        threshold: scalar, in place of both ``positive`` and ``negative``.
        overlaps: whether the result's ``overlap`` is asked for of all boxes, not only near the thresholds.
        group: so many boxes, one after the other, stand for one, which overlaps an object as its best does; the result
            is of A / group.
    """
    if config.ignore >= 0:
        left_out = covered(boxes, targets.boxes, targets.ignore, config.ignore)
        usable = ~left_out if usable is None else usable & ~left_out
    best, slot, claimed = best_overlaps(
        boxes,
        usable,
        targets.boxes,
        targets.valid,
        least=_ANY if overlaps or threshold is not None else min(config.positive, config.negative),
        peak=config.low_quality,
        ties=config.low_quality_ties,
    )
    if not config.claims:
        slot = best_overlaps(boxes, usable, targets.boxes, targets.valid, least=_ANY)[1]
    if group > 1:
        best, slot, claimed = _of_groups(best, slot, claimed, group)
        usable = None if usable is None else usable.unflatten(1, (-1, group)).any(2)
    high, low = (config.positive, config.negative) if threshold is None else (threshold, threshold)
    positive = (best >= high if config.closed else best > high) | claimed
    negative = (best < low if config.closed else best <= low) & ~claimed
    if usable is not None:
        positive, negative = positive & usable, negative & usable
    return Matches(slot * positive, positive, negative, best)


def _of_groups(best: Tensor, slot: Tensor, claimed: Tensor, group: int) -> tuple[Tensor, Tensor, Tensor]:
    """What `best_overlaps` gives of ``[N, A]`` boxes, of which each ``group`` is one: ``[N, A / group]``."""
    best, slot, claimed = (each.unflatten(1, (-1, group)) for each in (best, slot, claimed))
    most = best.amax(2)
    first = torch.where(best == most.unsqueeze(2), slot, torch.iinfo(slot.dtype).max).amin(2)
    last = torch.where(claimed, slot, -1).amax(2)
    return most, torch.where(last >= 0, last, first), last >= 0


@torch.no_grad()
def sample(
    positive: Tensor,
    negative: Tensor,
    count: int,
    fraction: float,
    key: Tensor | None = None,
    ratio: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw ``count`` of A boxes per image: at most ``count * fraction`` positives, negatives for the rest.

    Args:
        positive: bool ``[N, A]``.
        negative: bool ``[N, A]``.
        count: number to draw.
        fraction: largest share of positives.
        key: ``[N, A]`` in [0, 1); boxes of larger ones are drawn first. None: at random.
        ratio: most negatives for each positive, of which one counts where there is none. None: no bound.

    Returns:
        ``index [N, S]`` with S = min(count, A), bool ``chosen [N, S]`` (slots that hold a draw), bool ``is_positive
        [N, S]``. Positives fill the first slots.
    """
    boxes = positive.shape[1]
    few = min(int(count * fraction), boxes)
    if key is None:
        key = torch.rand(positive.shape, device=positive.device)
    drawn, where = torch.where(positive, key, -1.0).topk(few, dim=1)
    lucky = torch.zeros_like(positive).scatter(1, where, drawn >= 0)
    rank = torch.where(lucky, key + 1, torch.where(negative, key, -1.0))
    drawn, index = rank.topk(min(count, boxes), dim=1)
    chosen, is_positive = drawn >= 0, drawn >= 1
    if ratio is not None:
        positives = is_positive.sum(1, keepdim=True)
        place = torch.arange(index.shape[1], device=index.device)
        chosen &= place < positives + (positives.clamp(min=1) * ratio).floor()
    return index, chosen, is_positive


class RoISamples(NamedTuple):
    """S RoI slots per image that training sees; positives fill the first ones.

    Attributes:
        boxes: ``[N, S, 4]``.
        valid: bool ``[N, S]``.
        positive: bool ``[N, S]``.
        slot: int64 ``[N, S]``, object slot that a positive learns from.
        labels: int64 ``[N, S]``, its class; 0 where not positive.
        proposed: bool ``[N, S]``, whether the box is a proposal rather than an object itself.
        weights: ``[N, S]``, in the classification loss; None: that of each valid one is 1.
    """

    boxes: Tensor
    valid: Tensor
    positive: Tensor
    slot: Tensor
    labels: Tensor
    proposed: Tensor
    weights: Tensor | None = None

    def passed_on(self, boxes: Tensor, objects_too: bool) -> Tensor:
        """Bool ``[N, S]``: which a next stage of a cascade learns from, when they have become ``boxes [N, S, 4]``.

        They are the proposals alone; or the objects, too, but then none without area.
        """
        return self.valid & (boxes[..., 2:] > boxes[..., :2]).all(-1) if objects_too else self.proposed


@torch.no_grad()
def sample_rois(
    boxes: Tensor,
    matches: Matches,
    targets: Targets,
    count: int,
    fraction: float,
    keys: Callable[[Tensor, Matches], tuple[Tensor, Tensor | None]] | None = None,
    objects_too: bool = True,
) -> RoISamples:
    """Draw RoIs to learn from among proposals ``[N, P, 4]`` and the objects themselves.

    Args:
        boxes: proposals.
        matches: of the proposals.
        targets: objects; each is a proposal of its own, so that there are positives from the first step on.
        count: number to draw per image.
        fraction: largest share of positives.
        keys: gives keys as of `sample` and weights (or None) ``[N, G + P]`` for boxes ``[N, G + P, 4]``, objects
            first, and their matches. None: at random.
        objects_too: False: the objects are none of the proposals.
    """
    objects = targets.valid if objects_too else torch.zeros_like(targets.valid)
    slots = torch.arange(objects.shape[1], device=boxes.device).expand_as(targets.labels)
    boxes = torch.cat([targets.boxes, boxes], 1)
    matches = Matches(
        slot=torch.cat([slots, matches.slot], 1),
        positive=torch.cat([objects, matches.positive], 1),
        negative=torch.cat([torch.zeros_like(objects), matches.negative], 1),
        overlap=torch.cat([objects.to(matches.overlap), matches.overlap], 1),
    )
    key, weights = (None, None) if keys is None else keys(boxes, matches)
    drawn, chosen, positive = sample(matches.positive, matches.negative, count, fraction, key)
    slot = pick(matches.slot, drawn) * positive
    labels = pick(targets.labels, slot) * positive
    proposed = chosen & (drawn >= objects.shape[1])
    weights = None if weights is None else pick(weights, drawn) * chosen
    return RoISamples(pick(boxes, drawn) * chosen.unsqueeze(-1), chosen, positive, slot, labels, proposed, weights)
