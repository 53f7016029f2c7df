"""Suppression on CUDA: the greedy pass as one Triton program per row and group, which keeps its boxes in registers.

Overlaps are computed when a survivor asks for them, by the arithmetic of `detzoo.ops.boxes`: no matrix is ever in
memory.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from detzoo.ops.boxes_triton import EXACT, iou, load_boxes

_LANES = 16  # boxes that a thread keeps


@triton.jit
def _greedy(boxes, groups, alive, slots, THRESHOLD: tl.constexpr, BLOCK: tl.constexpr):
    """``alive [slots]`` of this row's group: each survivor in turn clears the later slots that it overlaps."""
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    mine = tl.load(groups + row * slots + lane, mask=lane < slots, other=-1) == tl.program_id(1)
    state = tl.load(alive + row * slots + lane, mask=mine, other=0) > 0
    x1, y1, x2, y2 = load_boxes(boxes + row * slots * 4, lane, mine)
    leader = tl.min(tl.where(state, lane, BLOCK), axis=0)
    while leader < slots:
        lx1, ly1, lx2, ly2 = load_boxes(boxes + row * slots * 4, leader, leader < slots)
        state = state & ((lane <= leader) | (iou(lx1, ly1, lx2, ly2, x1, y1, x2, y2) <= THRESHOLD))
        leader = tl.min(tl.where(state & (lane > leader), lane, BLOCK), axis=0)
    tl.store(alive + row * slots + lane, state.to(tl.int8), mask=mine)


def suppress(boxes: Tensor, groups: Tensor, valid: Tensor, threshold: float, group_count: int) -> Tensor:
    """Backend of `detzoo.ops.nms.nms`: bool ``[B, K]`` for boxes ``[B, K, 4]``, best first.

    Takes ``B * K`` bytes, and as many short steps as the largest group has survivors.
    """
    rows, slots = valid.shape
    if rows == 0 or slots == 0:
        return torch.zeros_like(valid)
    # a box that is no number overlaps nothing
    boxes = torch.where(boxes.isnan().any(-1, keepdim=True), 0.0, boxes).contiguous()
    alive = valid.to(torch.int8).contiguous()
    block = triton.next_power_of_2(slots)
    launch = {"num_warps": min(32, max(4, block // (32 * _LANES)))} | EXACT
    _greedy[(rows, group_count)](boxes, groups.contiguous(), alive, slots, THRESHOLD=threshold, BLOCK=block, **launch)
    return alive.bool() & (groups < group_count)
