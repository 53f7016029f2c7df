"""Fast non-maximum suppression: every box is decided at once; YOLACT, section 3.3 (arXiv:1904.02689)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detzoo.ops.boxes import pairwise_iou
from detzoo.ops.nms import rank


class Survivors(NamedTuple):
    """The best (box, class) pairs that survive, by falling score; all ``[N, min(limit, T * C)]``.

    Attributes:
        box: int64, its number among the K.
        scores: float32.
        labels: int64.
        used: bool, slots that hold one; others are zero.
    """

    box: Tensor
    scores: Tensor
    labels: Tensor
    used: Tensor


def fast_nms(boxes: Tensor, scores: Tensor, least: float, overlap: float, best: int, limit: int) -> Survivors:
    """Of each class the boxes that no better one overlaps, whether that one survives or not.

    Memory is that of a few float tensors of ``[N, C, T, T]``.

    Args:
        boxes: ``[N, K, 4]`` xyxy, in any order.
        scores: ``[N, K, C]``.
        least: score that a survivor exceeds.
        overlap: IoU with a better one above which a box falls.
        best: T, boxes of each class that are looked at; K if that is less.
        limit: survivors of an image.
    """
    classes = scores.shape[2]
    of_class = scores.transpose(1, 2).flatten(0, 1)
    index, used = rank(of_class, of_class > least, best)
    slots = index.shape[1]
    index, used = index.unflatten(0, (-1, classes)), used.unflatten(0, (-1, classes))
    ranked = boxes.gather(1, index.flatten(1).unsqueeze(-1).expand(-1, -1, 4)).unflatten(1, (classes, slots))
    worst = pairwise_iou(ranked, ranked).triu(1).amax(2)  # of each with those before it
    found = of_class.unflatten(0, (-1, classes)).gather(2, index).flatten(1)
    place, used = rank(found, (used & (worst <= overlap)).flatten(1), limit)
    return Survivors(
        box=index.flatten(1).gather(1, place) * used,
        scores=found.gather(1, place) * used,
        labels=torch.div(place, slots, rounding_mode="floor") * used,
        used=used,
    )
