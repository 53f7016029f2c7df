"""What heads share that predict at every cell of a pyramid: the best of their predictions, and what is left of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detzoo.blocks.anchors import by_cell
from detzoo.blocks.assign import pick
from detzoo.ops.boxes import full_precision
from detzoo.ops.nms import rank, select
from detzoo.types import Detections


class Best(NamedTuple):
    """The best (cell, class) pairs of each level, levels one after the other.

    Attributes:
        scores: float32 ``[N, K]`` in [0, 1].
        where: int64 ``[N, K]``, the cell's (or anchor's) number among those of all levels, in the order of `by_cell`.
        labels: int64 ``[N, K]``.
        used: bool ``[N, K]``, slots that hold a pair.
    """

    scores: Tensor
    where: Tensor
    labels: Tensor
    used: Tensor


def best_pairs(
    logits: Sequence[Tensor],
    classes: int,
    threshold: float | Sequence[float],
    limit: int,
    quality: Sequence[Tensor] | None = None,
) -> Best:
    """The ``limit`` best pairs of each level that score above ``threshold``, by falling score.

    Args:
        logits: ``[N, a * classes, H, W]`` of each level, one sigmoid per class.
        classes: their number.
        threshold: least score, or that of each level.
        limit: slots per level; a level with fewer pairs has fewer.
        quality: logits ``[N, a, H, W]`` of what multiplies all scores of a cell, if anything does.
    """
    found, start = [], 0
    least = [threshold] * len(logits) if isinstance(threshold, float | int) else threshold
    factors = [None] * len(logits) if quality is None else quality
    for level, bound, factor in zip(logits, least, factors, strict=True):  # levels differ in size: one ranking each
        scores = full_precision(by_cell(level, classes)).sigmoid()
        scores = (scores if factor is None else scores * full_precision(by_cell(factor, 1)).sigmoid()).flatten(1)
        pair, used = rank(scores, scores > bound, limit)
        found.append((scores.gather(1, pair), pair // classes + start, pair % classes, used))
        start += scores.shape[1] // classes
    return Best(*(torch.cat(part, 1) for part in zip(*found, strict=True)))


def best_cells(
    scores: Iterable[Tensor], limit: int, looked_at: Sequence[Tensor] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The ``limit`` best cells (or anchors) of each level, by their best class.

    Args:
        scores: ``[N, A_l, C]`` of each level.
        limit: slots per level; a level with fewer cells has fewer.
        looked_at: bool ``[N, A_l]`` of each level; None: all are.

    Returns:
        Scores ``[N, K, C]``, numbers among the cells of all levels ``[N, K]``, and bool ``[N, K]``: slots in use.
    """
    found, start = [], 0
    for number, level in enumerate(scores):  # levels differ in size: one ranking each
        best = level.amax(-1)
        usable = torch.ones_like(best, dtype=torch.bool) if looked_at is None else looked_at[number]
        cell, used = rank(best, usable, limit)
        found.append((pick(level, cell), cell + start, used))
        start += level.shape[1]
    of_all, where, used = (torch.cat(part, 1) for part in zip(*found, strict=True))
    return of_all, where, used


def survivors(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    used: Tensor,
    classes: int,
    nms: float,
    detections: int,
    shown: Tensor | None = None,
    empty: bool = False,
) -> Detections:
    """Detections after suppression within each class; a box without width or height is none, but for ``empty``.

    Args:
        boxes: ``[N, K, 4]`` xyxy pixels.
        scores: ``[N, K]``.
        labels: int64 ``[N, K]``.
        used: bool ``[N, K]``, slots that hold a box.
        classes: their number.
        nms: IoU above which the box of the lower score is suppressed.
        detections: slots of the result.
        shown: ``[N, K, 4]``, what is returned in place of ``boxes``, if that differs.
        empty: whether a box may have neither width nor height.
    """
    shown = boxes if shown is None else shown
    used = used if empty else used & (shown[..., 2:] > shown[..., :2]).all(-1)
    order, kept = select(boxes, scores, used, nms, detections, labels, classes)
    return Detections(
        boxes=pick(shown, order) * kept.unsqueeze(-1),
        scores=scores.gather(1, order) * kept,
        labels=labels.gather(1, order) * kept,
        valid=kept,
    )
