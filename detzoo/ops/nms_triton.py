"""Suppression on CUDA: the greedy pass as one Triton program per row and group, which goes through its boxes by tiles.

Overlaps are computed where they are asked for, by the arithmetic of `detzoo.ops.boxes`: no matrix is ever in memory.
"""

# ints and floats are what a kernel takes for a constexpr; a reduction gives a tensor
# pyright: reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from detzoo.ops.boxes_triton import EXACT, iou, iou_by_pixels, load_boxes

_TILE, _WARPS = 64, 8  # boxes, and what computes them: fastest of several on an H100


@triton.jit
def _greedy(boxes, starts, alive, slots, groups, THRESHOLD: tl.constexpr, PIXELS: tl.constexpr, TILE: tl.constexpr):
    """``alive [slots]`` of the boxes of one row from one of ``starts [groups + 1]`` to the next."""
    row = tl.program_id(0).to(tl.int64)
    first = tl.load(starts + row * (groups + 1) + tl.program_id(1))
    end = tl.load(starts + row * (groups + 1) + tl.program_id(1) + 1)
    lane = tl.arange(0, TILE)
    for tile in range(first, end, TILE):
        mine = row * slots + tile + lane
        inside = tile + lane < end
        x1, y1, x2, y2 = load_boxes(boxes, mine, inside)
        x1, y1, x2, y2 = x1[:, None], y1[:, None], x2[:, None], y2[:, None]
        candidates = tl.load(alive + mine, mask=inside, other=0).to(tl.int32)
        ox1, oy1, ox2, oy2 = load_boxes(boxes, mine, inside)
        share = _share(x1, y1, x2, y2, ox1[None, :], oy1[None, :], ox2[None, :], oy2[None, :], PIXELS)
        hits = (share > THRESHOLD) & (lane[:, None] < lane[None, :])
        # a box stands as soon as all before it do: what no longer changes is what greed gives
        kept = candidates
        changed = 1
        while changed > 0:
            beaten = tl.max(tl.where(hits & (kept[:, None] > 0), 1, 0), axis=0)
            left = tl.where(beaten > 0, 0, candidates)
            changed = tl.max(tl.where(left != kept, 1, 0), axis=0)
            kept = left
        tl.store(alive + mine, kept.to(tl.int8), mask=inside)
        for later in range(tile + TILE, end, TILE):
            theirs = row * slots + later + lane
            there = later + lane < end
            ox1, oy1, ox2, oy2 = load_boxes(boxes, theirs, there)
            share = _share(x1, y1, x2, y2, ox1[None, :], oy1[None, :], ox2[None, :], oy2[None, :], PIXELS)
            beaten = tl.max(tl.where((share > THRESHOLD) & (kept[:, None] > 0), 1, 0), axis=0)
            tl.store(alive + theirs, tl.zeros((TILE,), tl.int8), mask=there & (beaten > 0))
        tl.debug_barrier()  # the next tile's candidates are what other threads have left


@triton.jit
def _share(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2, PIXELS: tl.constexpr):
    if PIXELS:
        share = iou_by_pixels(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2)
    else:
        share = iou(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2)
    return share


def suppress(
    boxes: Tensor, groups: Tensor, valid: Tensor, threshold: float, group_count: int, pixels: bool = False
) -> Tensor:
    """Backend of `detzoo.ops.nms.nms`: bool ``[B, K]`` for boxes ``[B, K, 4]``, best first.

    Takes ``45 * B * K`` bytes, and overlaps of every survivor with what comes behind it in its group.
    """
    rows, slots = valid.shape
    if rows == 0 or slots == 0:
        return torch.zeros_like(valid)
    # group by group; what is not valid comes last
    key, order = torch.where(valid, groups, group_count).clamp(max=group_count).sort(dim=1, stable=True)
    starts = torch.searchsorted(key, torch.arange(group_count + 1, device=key.device).repeat(rows, 1))
    # a box that is no number overlaps nothing
    boxes = torch.where(boxes.isnan().any(-1, keepdim=True), 0.0, boxes)
    boxes = boxes.gather(1, order.unsqueeze(-1).expand(-1, -1, 4))
    alive = (key < group_count).to(torch.int8)
    launch = {"THRESHOLD": threshold, "PIXELS": pixels, "TILE": _TILE, "num_warps": _WARPS} | EXACT
    _greedy[(rows, group_count)](boxes, starts, alive, slots, group_count, **launch)
    return torch.zeros_like(valid).scatter_(1, order, alive.bool())
