"""Non-maximum suppression on CUDA: overlaps as plain tensors, the greedy pass as one Triton program per row."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from detzoo.ops.boxes import pairwise_iou


@triton.jit
def _greedy(hits, alive, slots, BLOCK: tl.constexpr):
    """``alive [slots]`` of this row: each survivor, best first, clears the later slots that it hits."""
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    inside = lane < slots
    state = tl.load(alive + row * slots + lane, mask=inside, other=0).to(tl.int32)
    for leader in range(slots):
        leads = tl.sum(tl.where(lane == leader, state, 0), axis=0)
        if leads > 0:
            hit = tl.load(hits + (row * slots + leader) * slots + lane, mask=inside, other=0).to(tl.int32)
            state = tl.where((hit > 0) & (lane > leader), 0, state)
    tl.store(alive + row * slots + lane, state.to(tl.int8), mask=inside)


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """Backend of `detzoo.ops.nms.nms`; same arguments and result. Memory ``B * K * K`` bytes, time K short steps."""
    rows, slots = valid.shape
    if rows == 0 or slots == 0:
        return torch.zeros_like(valid)
    ranked = torch.where(valid, scores, scores.new_full((), -torch.inf))
    order = ranked.argsort(dim=1, descending=True, stable=True)
    boxes = boxes.gather(1, order.unsqueeze(-1).expand(-1, -1, 4))
    groups = groups.gather(1, order)
    hits = (pairwise_iou(boxes, boxes) > threshold) & (groups.unsqueeze(2) == groups.unsqueeze(1))
    alive = valid.gather(1, order).to(torch.int8).contiguous()
    _greedy[(rows,)](hits.to(torch.int8).contiguous(), alive, slots, BLOCK=triton.next_power_of_2(slots))
    return torch.zeros_like(valid).scatter(1, order, alive.bool())
