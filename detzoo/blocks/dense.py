"""What heads share that predict at every cell of a pyramid: the best of their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detzoo.blocks.anchors import by_cell
from detzoo.ops.nms import rank


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


def best_pairs(logits: Sequence[Tensor], classes: int, threshold: float, limit: int) -> Best:
    """The ``limit`` best pairs of each level that score above ``threshold``, by falling score.

    Args:
        logits: ``[N, a * classes, H, W]`` of each level, one sigmoid per class.
        classes: their number.
        threshold: least score.
        limit: slots per level; a level with fewer pairs has fewer.
    """
    found, start = [], 0
    for level in logits:  # levels differ in size: one ranking each
        scores = by_cell(level, classes).flatten(1).float().sigmoid()
        pair, used = rank(scores, scores > threshold, limit)
        found.append((scores.gather(1, pair), pair // classes + start, pair % classes, used))
        start += scores.shape[1] // classes
    return Best(*(torch.cat(part, 1) for part in zip(*found, strict=True)))
