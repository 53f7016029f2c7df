"""Mask targets on CUDA: RoIAlign of mask windows as one Triton program per RoI and part of its bins."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

_BINS = 128  # of a program


@triton.jit
def _line(rois, roi, axis, place, size):
    """Where bins ``place`` of a RoI begin along an axis, their width, and how many samples they have."""
    low, high = tl.load(rois + roi * 4 + axis) - 0.5, tl.load(rois + roi * 4 + axis + 2) - 0.5
    step = tl.div_rn(high - low, size * 1.0)
    return low + place * 1.0 * step, step, tl.ceil(step).to(tl.int32)


@triton.jit
def _cell(start, step, number, sample, limit):
    """The cell before a sample, the next one's share and whether the sample counts."""
    at = start + tl.div_rn((sample + 0.5) * step, number * 1.0)
    counts = (at >= -1.0) & (at <= limit)
    at = tl.minimum(tl.maximum(at, 0.0), limit - 1.0)
    cell = tl.floor(at)
    return cell.to(tl.int32), at - cell, counts


@triton.jit
def _pixel(bits, x1, y1, x2, y2, y, x):
    """1.0 where a pixel of the window is set, 0.0 elsewhere."""
    inside = (y >= y1) & (y < y2) & (x >= x1) & (x < x2)
    place = (y - y1) * (x2 - x1) + x - x1
    byte = tl.load(bits + (place >> 3), mask=inside, other=0).to(tl.int32)
    return ((byte >> (7 - (place & 7)).to(tl.int32)) & 1).to(tl.float32)


@triton.jit
def _crop(bits, starts, windows, rois, owner, targets, height, width, size, BINS: tl.constexpr):
    """Targets ``[size, size]`` of this program's RoI; arithmetic as in `detzoo.ops.roi_align`, sample by sample."""
    roi = tl.program_id(0).to(tl.int64)
    mask = tl.load(owner + roi)
    bits += tl.load(starts + mask)
    x1, y1 = tl.load(windows + mask * 4), tl.load(windows + mask * 4 + 1)
    x2, y2 = tl.load(windows + mask * 4 + 2), tl.load(windows + mask * 4 + 3)
    lane = tl.program_id(1) * BINS + tl.arange(0, BINS)
    left, across, columns = _line(rois, roi, 0, lane % size, size)
    top, down, rows = _line(rois, roi, 1, lane // size, size)
    total = tl.zeros([BINS], dtype=tl.float32)
    for row in range(rows):
        y, below, high = _cell(top, down, rows, row, height)
        for column in range(columns):
            x, right, wide = _cell(left, across, columns, column, width)
            value = (1 - below) * (1 - right) * _pixel(bits, x1, y1, x2, y2, y, x)
            value += (1 - below) * right * _pixel(bits, x1, y1, x2, y2, y, x + 1)
            value += below * (1 - right) * _pixel(bits, x1, y1, x2, y2, y + 1, x)
            value += below * right * _pixel(bits, x1, y1, x2, y2, y + 1, x + 1)
            total += tl.where(high & wide, value, 0.0)
    mean = tl.div_rn(total, tl.maximum(rows * columns, 1) * 1.0)
    tl.store(targets + roi * size * size + lane, (mean >= 0.5).to(tl.float32), mask=lane < size * size)


def crop(
    bits: Tensor, starts: Tensor, windows: Tensor, rois: Tensor, owner: Tensor, height: int, width: int, size: int
) -> Tensor:
    """Backend of `detzoo.ops.roi_align.crop_targets`: float32 ``[R, size, size]`` of 0 and 1.

    Args:
        bits, starts, windows: as in `detzoo.ops.mask_windows.MaskWindows`, of M masks: ``[B]``, ``[M]``, ``[M, 4]``.
        rois: float32 ``[R, 4]`` xyxy pixels on the canvas.
        owner: int64 ``[R]``, the mask of each RoI.
        height, width: of the canvas.
        size: bins per side.
    """
    targets = rois.new_empty(len(rois), size, size)
    if targets.numel():
        given = [tensor.contiguous() for tensor in (bits, starts, windows, rois, owner)]
        grid = (len(rois), triton.cdiv(size * size, _BINS))
        # fused, a product and a sum would be rounded once: not what it is on a processor
        _crop[grid](*given, targets, height, width, size, BINS=_BINS, enable_fp_fusion=False)  # pyright: ignore[reportArgumentType, reportCallIssue] (ints and options are what a kernel takes)
    return targets
