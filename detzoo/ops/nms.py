"""Ranking and greedy non-maximum suppression with fixed slots: a mask says which slots are used.

Greedy suppression is sequential by nature, so it is one operator with a backend per kind of device: torchvision's loop
on the CPU, one Triton program per row and group on CUDA. Ranking is one too, because a processor gains from looking at
the valid entries alone. None makes the host wait for a device, and each is one call in a compiled or exported graph.

Boxes may be taken to end behind their last pixel (``pixels``), as PaddleDetection's do where they are in pixels of the
file. They then overlap if they have a whole pixel in common, and those thinner than a pixel are empty. Boxes at least
``1 / threshold`` pixels wide and high are the same to both.

Equal scores come in the order of PyTorch's default sort of the valid entries. So it is in the frameworks whose weights
are published, and where scores saturate, results hang on it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.ops.boxes import full_precision


@torch.library.custom_op("detzoo::nms", mutates_args=(), device_types="cpu")
def _nms(
    boxes: Tensor, groups: Tensor, valid: Tensor, threshold: float, group_count: int, pixels: bool = False
) -> Tensor:
    from torchvision.ops import nms as torchvision_nms  # costs a second that building a detector does not need

    keep = torch.zeros_like(valid)
    falling = torch.arange(valid.shape[1], 0, -1, dtype=boxes.dtype)
    for row in range(len(boxes)):
        # a group at a time: the loop's cost is quadratic, and groups do not touch each other
        for group in range(group_count):
            slots = (valid[row] & (groups[row] == group)).nonzero().squeeze(1)
            if pixels and _thin(boxes[row, slots], threshold):
                keep[row, slots] = torch.from_numpy(_by_pixels(boxes[row, slots].numpy(), threshold))
            elif len(slots):
                keep[row, slots[torchvision_nms(boxes[row, slots], falling[: len(slots)], threshold)]] = True
    return keep


def _thin(boxes: Tensor, threshold: float) -> bool:
    """Whether some of boxes ``[K, 4]`` are so thin that overlaps by pixels may be others."""
    return bool(((boxes[:, 2:] - boxes[:, :2]) * threshold < 1).any())


def _by_pixels(boxes: np.ndarray, threshold: float) -> np.ndarray:
    """Which of boxes ``[K, 4]``, best first, survive where overlaps are by pixels: bool ``[K]``."""
    low, high = boxes[:, :2], boxes[:, 2:]
    sides, kept = high - low, np.ones(len(boxes), dtype=bool)
    size = np.where((sides < 1).any(1), 0, sides.prod(1))
    for first in range(len(boxes)):
        rest = slice(first + 1, None)
        if kept[first]:
            meet = ((low[rest] <= high[first] - 1) & (low[first] <= high[rest] - 1)).all(1)
            common = (np.minimum(high[rest], high[first]) - np.maximum(low[rest], low[first])).prod(1)
            union = size[rest] + size[first] - common
            kept[rest] &= ~(meet & (common / np.where(union > 0, union, np.inf) > threshold))
    return kept


@_nms.register_kernel("cuda")
def _nms_cuda(
    boxes: Tensor, groups: Tensor, valid: Tensor, threshold: float, group_count: int, pixels: bool = False
) -> Tensor:
    from detzoo.ops.nms_triton import suppress

    return suppress(boxes, groups, valid, threshold, group_count, pixels)


@_nms.register_kernel("mps")
def _nms_mps(
    boxes: Tensor, groups: Tensor, valid: Tensor, threshold: float, group_count: int, pixels: bool = False
) -> Tensor:
    # no sequential kernel is to be had there: one round trip
    there = [tensor.cpu() for tensor in (boxes, groups, valid)]
    return torch.ops.detzoo.nms(*there, threshold, group_count, pixels).to(boxes.device)


@_nms.register_fake
def _nms_shape(
    boxes: Tensor, groups: Tensor, valid: Tensor, threshold: float, group_count: int, pixels: bool = False
) -> Tensor:
    return torch.empty_like(valid)


def nms(
    boxes: Tensor,
    valid: Tensor,
    threshold: float,
    groups: Tensor | None = None,
    group_count: int | None = None,
    pixels: bool = False,
) -> Tensor:
    """Which boxes survive: bool ``[B, K]``.

    A box falls when an earlier one of its row and group that survives overlaps it by an IoU above ``threshold``.

    Args:
        boxes: ``[B, K, 4]`` xyxy, best first; rows never touch each other.
        valid: bool ``[B, K]``; other slots neither survive nor suppress.
        threshold: IoU in [0, 1].
        groups: int64 ``[B, K]``, e.g. classes, from 0 to ``group_count - 1``; None: one group.
        group_count: number of groups.
        pixels: boxes end behind their last pixel, which takes part.
    """
    if groups is None:
        groups, group_count = torch.zeros_like(valid, dtype=torch.int64), 1
    assert group_count is not None
    return torch.ops.detzoo.nms(full_precision(boxes.detach()), groups, valid, threshold, group_count, pixels)


@torch.library.custom_op("detzoo::rank", mutates_args=(), device_types="cpu")
def _rank(scores: Tensor, valid: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    # of the CPU alone: each row is sorted by itself, as what sorting costs is its own valid entries
    index = torch.zeros((len(scores), limit), dtype=torch.int64)
    used = torch.zeros((len(scores), limit), dtype=torch.bool)
    for row in range(len(scores)):
        slots = valid[row].nonzero().squeeze(1)
        best = slots[scores[row, slots].sort(descending=True).indices[:limit]]
        index[row, : len(best)] = best
        used[row, : len(best)] = True
    return index, used


@_rank.register_kernel(("cuda", "mps"))
def _rank_masked(scores: Tensor, valid: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    best, index = torch.where(valid, scores, -torch.inf).topk(limit, dim=1)
    used = best > -torch.inf
    return index * used, used


@_rank.register_fake
def _rank_shape(scores: Tensor, valid: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    index = scores.new_empty((scores.shape[0], limit), dtype=torch.int64)
    return index, torch.empty_like(index, dtype=torch.bool)


def rank(scores: Tensor, valid: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """The best ``limit`` valid entries of each row, by falling score.

    Args:
        scores: ``[B, K]``.
        valid: bool ``[B, K]``.
        limit: number of slots returned, if there are as many entries.

    Returns:
        ``index [B, min(limit, K)]`` into the K entries, 0 in unused slots, and bool ``[B, min(limit, K)]``: which slots
        are used. In a graph that is exported for any K there are ``limit`` slots.
    """
    if torch.compiler.is_exporting() and isinstance(scores.shape[1], torch.SymInt):
        scores, valid = F.pad(scores, (0, limit)), F.pad(valid, (0, limit))
    return torch.ops.detzoo.rank(full_precision(scores.detach()), valid, min(limit, scores.shape[1]))


def select(
    boxes: Tensor,
    scores: Tensor,
    valid: Tensor,
    threshold: float,
    limit: int,
    groups: Tensor | None = None,
    group_count: int | None = None,
    pixels: bool = False,
) -> tuple[Tensor, Tensor]:
    """The best ``limit`` survivors of `nms` per row, by falling score.

    Args:
        boxes: ``[B, K, 4]`` xyxy, in any order.
        scores: ``[B, K]``.
        valid: bool ``[B, K]``.
        threshold: IoU in [0, 1].
        limit: number of slots returned, if there are as many boxes.
        groups: as in `nms`.
        group_count: as in `nms`.
        pixels: as in `nms`.

    Returns:
        As `rank`.
    """
    slots = scores.shape[1]
    order, used = rank(scores, valid, slots)
    ranked = boxes.gather(1, order.unsqueeze(-1).expand(-1, -1, 4))
    keep = nms(ranked, used, threshold, None if groups is None else groups.gather(1, order), group_count, pixels)
    place = torch.where(keep, torch.arange(slots, 0, -1, device=order.device), 0)
    first, position = place.topk(min(limit, slots), dim=1)
    used = first > 0
    return order.gather(1, position) * used, used
