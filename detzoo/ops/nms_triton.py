"""Suppression on CUDA: overlaps as plain tensors, the greedy pass as one Triton program per row and group."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from detzoo.ops.boxes import pairwise_iou


@triton.jit
def _greedy(hits, groups, alive, slots, BLOCK: tl.constexpr):
    """``alive [slots]`` of this row's group: each survivor in turn clears the later slots that it hits."""
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    inside = lane < slots
    mine = tl.load(groups + row * slots + lane, mask=inside, other=-1) == tl.program_id(1)
    state = tl.load(alive + row * slots + lane, mask=inside & mine, other=0).to(tl.int32)
    leader = tl.min(tl.where(state > 0, lane, BLOCK), axis=0)
    while leader < slots:
        hit = tl.load(hits + (row * slots + leader) * slots + lane, mask=inside & mine, other=0).to(tl.int32)
        state = tl.where((hit > 0) & (lane > leader), 0, state)
        leader = tl.min(tl.where((state > 0) & (lane > leader), lane, BLOCK), axis=0)
    tl.store(alive + row * slots + lane, state.to(tl.int8), mask=inside & mine)


def suppress(boxes: Tensor, groups: Tensor, valid: Tensor, threshold: float, group_count: int) -> Tensor:
    """Backend of `detzoo.ops.nms.nms`: bool ``[B, K]`` for boxes ``[B, K, 4]``, best first.

    Takes ``B * K * K`` bytes, and as many short steps as the largest group has survivors.
    """
    rows, slots = valid.shape
    if rows == 0 or slots == 0:
        return torch.zeros_like(valid)
    hits = (pairwise_iou(boxes, boxes) > threshold).to(torch.int8)
    alive = valid.to(torch.int8).contiguous()
    block = triton.next_power_of_2(slots)
    _greedy[(rows, group_count)](hits, groups.contiguous(), alive, slots, BLOCK=block)  # pyright: ignore[reportArgumentType] (an int is what a kernel takes)
    return alive.bool() & (groups < group_count)
