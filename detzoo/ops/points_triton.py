"""The smallest object around each point on CUDA: programs of a block of points each, which go through the objects.

The arithmetic is that of `detzoo.ops.points`, operation by operation, so that equal sides are equal here too.
"""

# ints are what a kernel takes for a constexpr
# pyright: reportArgumentType=false

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from detzoo.ops.boxes_triton import EXACT, load_boxes

_BLOCK = 128  # points of one program


@triton.jit
def _search(points, limits, objects, valid, found, slot, count, slots, BLOCK: tl.constexpr):
    """``found`` and ``slot [N, A]``: the smallest area and whose it is; ``limits [3, A]``: lowest and highest farthest
    side, and reach."""
    image = tl.program_id(1).to(tl.int64)
    number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = number < count
    x = tl.load(points + number * 2, mask=inside, other=0.0)
    y = tl.load(points + number * 2 + 1, mask=inside, other=0.0)
    low = tl.load(limits + number, mask=inside, other=0.0)
    high = tl.load(limits + count + number, mask=inside, other=0.0)
    reach = tl.load(limits + 2 * count + number, mask=inside, other=0.0)
    smallest = tl.full((BLOCK,), float("inf"), tl.float32)
    where = tl.zeros((BLOCK,), tl.int64)
    for index in range(0, slots):
        exists = tl.load(valid + image * slots + index) > 0
        x1, y1, x2, y2 = load_boxes(objects + image * slots * 4, index, exists)
        left, top, right, bottom = x - x1, y - y1, x2 - x, y2 - y
        farthest = tl.maximum(tl.maximum(left, right), tl.maximum(top, bottom))
        nearest = tl.minimum(tl.minimum(left, right), tl.minimum(top, bottom))
        off_centre = tl.maximum(tl.abs(left - right), tl.abs(top - bottom)) / 2
        learned = exists & (nearest > 0) & (off_centre < reach) & (farthest >= low) & (farthest <= high)
        size = (x2 - x1) * (y2 - y1)
        better = learned & (size < smallest)
        smallest = tl.where(better, size, smallest)
        where = tl.where(better, index, where)
    tl.store(found + image * count + number, smallest, mask=inside)
    tl.store(slot + image * count + number, where, mask=inside)


def smallest_objects(points: Tensor, limits: Tensor, objects: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Backend of `detzoo.ops.points.smallest_objects` for float32 objects.

    Args:
        points: float32 ``[A, 2]``.
        limits: float32 ``[3, A]``: of each point the lowest and highest farthest side that it learns, and its reach.
        objects: ``[N, G, 4]``.
        valid: bool ``[N, G]``.
    """
    (images, slots), count = valid.shape, len(points)
    found = points.new_full((images, count), math.inf)
    slot = torch.zeros_like(found, dtype=torch.int64)
    if found.numel() and slots:
        exists = (valid & objects.isfinite().all(2)).to(torch.int8).contiguous()
        grid = (triton.cdiv(count, _BLOCK), images)
        given = (points.contiguous(), limits.contiguous(), objects.contiguous(), exists, found, slot, count, slots)
        _search[grid](*given, BLOCK=_BLOCK, **EXACT)
    return slot, found < math.inf
