"""Overlaps on CUDA: programs of a block of boxes each, which go through the objects and keep nothing but the best.

The arithmetic is that of `detzoo.ops.boxes_triton`, so that equal overlaps are equal here too.
"""

# ints and bools are what a kernel takes for a constexpr; a reduction gives a tensor
# pyright: reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from detzoo.ops.boxes_triton import EXACT, common_area, iou, load_boxes

_BLOCK = 128  # boxes of one program


@triton.jit
def _search(
    boxes, step, usable, objects, valid, best, slot, peaks, count, slots, PEAKS: tl.constexpr, BLOCK: tl.constexpr
):
    """``best`` and ``slot [N, A]``; ``peaks [N, G]``: bits of an object's highest IoU above those of the first box."""
    image = tl.program_id(1).to(tl.int64)
    number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = number < count
    x1, y1, x2, y2 = load_boxes(boxes + image * step, number, inside)
    counted = tl.load(usable + image * count + number, mask=inside, other=0) > 0
    highest = tl.full((BLOCK,), -1.0, tl.float32)
    where = tl.zeros((BLOCK,), tl.int64)
    for index in range(0, slots):
        there = image * slots + index
        exists = tl.load(valid + there) > 0
        ox1, oy1, ox2, oy2 = load_boxes(objects + image * slots * 4, index, exists)
        value = tl.where(counted & exists, iou(ox1, oy1, ox2, oy2, x1, y1, x2, y2), -1.0)
        better = value > highest
        highest = tl.where(better, value, highest)
        where = tl.where(better, index, where)
        if PEAKS:
            bits = value.to(tl.int32, bitcast=True).to(tl.int64)
            packed = tl.where(value > 0, (bits << 32) + (0x7FFFFFFF - number), 0)
            top = tl.max(packed, axis=0)
            tl.atomic_max(peaks + there, top, mask=top > 0)
    tl.store(best + image * count + number, highest, mask=inside)
    tl.store(slot + image * count + number, where, mask=inside)


@triton.jit
def _claim(
    boxes, step, usable, objects, peaks, slot, claimed, count, slots, peak, TIES: tl.constexpr, BLOCK: tl.constexpr
):
    """Give boxes to the last object whose highest IoU they have; the second pass after `_search`."""
    image = tl.program_id(1).to(tl.int64)
    number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = number < count
    x1, y1, x2, y2 = load_boxes(boxes + image * step, number, inside)
    counted = tl.load(usable + image * count + number, mask=inside, other=0) > 0
    last = tl.zeros((BLOCK,), tl.int64)
    for index in range(0, slots):
        packed = tl.load(peaks + image * slots + index)
        top = (packed >> 32).to(tl.int32).to(tl.float32, bitcast=True)
        asked = (packed > 0) & (top >= peak)
        ox1, oy1, ox2, oy2 = load_boxes(objects + image * slots * 4, index, asked)
        value = iou(ox1, oy1, ox2, oy2, x1, y1, x2, y2)
        here = counted & asked & (value == top)
        if not TIES:
            here = here & (number == 0x7FFFFFFF - (packed & 0x7FFFFFFF))
        last = tl.where(here, index + 1, last)
    tl.store(slot + image * count + number, last - 1, mask=inside & (last > 0))
    tl.store(claimed + image * count + number, (last > 0).to(tl.int8), mask=inside)


@triton.jit
def _cover(boxes, step, regions, valid, result, count, slots, share, BLOCK: tl.constexpr):
    """``result [N, A]``: whether more than ``share`` of a box lies in one region."""
    image = tl.program_id(1).to(tl.int64)
    number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = number < count
    x1, y1, x2, y2 = load_boxes(boxes + image * step, number, inside)
    size = tl.maximum((x2 - x1) * (y2 - y1), 1e-6)
    found = tl.zeros((BLOCK,), tl.int32)
    for index in range(0, slots):
        exists = tl.load(valid + image * slots + index) > 0
        ox1, oy1, ox2, oy2 = load_boxes(regions + image * slots * 4, index, exists)
        part = tl.div_rn(common_area(x1, y1, x2, y2, ox1, oy1, ox2, oy2), size)
        found = tl.where(exists & (part > share), 1, found)
    tl.store(result + image * count + number, found.to(tl.int8), mask=inside)


def best_overlaps(
    boxes: Tensor, usable: Tensor | None, objects: Tensor, valid: Tensor, peak: float | None, ties: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Backend of `detzoo.ops.boxes.best_overlaps`, same arguments; nothing is left out.

    Takes one pass through boxes and objects, and a second one for ``peak``.
    """
    (images, slots), count = valid.shape, boxes.shape[-2]
    best = boxes.new_full((images, count), -1.0)
    slot = torch.zeros_like(best, dtype=torch.int64)
    claimed = torch.zeros_like(best, dtype=torch.int8)
    if best.numel() and slots:
        counted = torch.ones_like(claimed) if usable is None else usable.expand(images, -1).to(torch.int8).contiguous()
        peaks = torch.zeros_like(valid, dtype=torch.int64)
        boxes, step, objects = _laid_out(boxes, objects)
        grid = (triton.cdiv(count, _BLOCK), images)
        exists = valid.to(torch.int8).contiguous()
        found = (best, slot, peaks, count, slots)
        _search[grid](boxes, step, counted, objects, exists, *found, PEAKS=peak is not None, BLOCK=_BLOCK, **EXACT)
        if peak is not None:
            given = (peaks, slot, claimed, count, slots, float(peak))
            _claim[grid](boxes, step, counted, objects, *given, TIES=ties, BLOCK=_BLOCK, **EXACT)
    return best, slot, claimed.bool()


def covered(boxes: Tensor, regions: Tensor, valid: Tensor, share: float) -> Tensor:
    """Backend of `detzoo.ops.boxes.covered`, same arguments."""
    (images, slots), count = valid.shape, boxes.shape[-2]
    result = torch.zeros((images, count), dtype=torch.int8, device=boxes.device)
    if result.numel() and slots:
        boxes, step, regions = _laid_out(boxes, regions)
        grid = (triton.cdiv(count, _BLOCK), images)
        exists = valid.to(torch.int8).contiguous()
        _cover[grid](boxes, step, regions, exists, result, count, slots, float(share), BLOCK=_BLOCK, **EXACT)
    return result.bool()


def _laid_out(boxes: Tensor, objects: Tensor) -> tuple[Tensor, int, Tensor]:
    """Both contiguous, and how far an image's boxes are from the next one's, in numbers."""
    boxes = boxes.contiguous()
    return boxes, boxes[0].numel() if boxes.dim() == 3 else 0, objects.contiguous()
