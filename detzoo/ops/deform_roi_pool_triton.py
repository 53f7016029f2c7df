"""Deformable RoI pooling on CUDA: one Triton program per bin and block of channels, which goes through its samples.

How many samples a bin has stays on the device: the host does not wait for it. Gradients of a cell that several bins
share are added up in any order, so that their last digits differ from run to run.
"""

# ints are what a kernel takes for a constexpr
# pyright: reportArgumentType=false

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_CHANNELS = 128  # of one program


@triton.jit
def _sample(start, step, number, sample, limit):
    """Of a sample along an axis: the cells around it, the second one's share, whether it counts, and whether its value
    changes where it moves."""
    at = start + (sample + 0.5) * (step / tl.maximum(number, 1).to(step.dtype))
    last = (limit - 1).to(step.dtype)
    counts, moving = (at >= -1) & (at <= limit), (at > 0) & (at < last)
    at = tl.minimum(tl.maximum(at, 0.0), last)
    cell = tl.floor(at)
    return cell.to(tl.int64), tl.minimum(cell + 1, last).to(tl.int64), at - cell, counts, moving


@triton.jit
def _go_through(
    cells,
    places,
    numbers,
    steps,
    starts,
    bins,
    of_cells,
    of_moves,
    size,
    channels,
    SLOPES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Fill ``bins [R * size * size, C]``; with ``SLOPES`` they hold gradients, which cells and moves are given."""
    number = tl.program_id(0).to(tl.int64)
    roi, place = number // (size * size), number % (size * size)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = channel < channels
    width, height = tl.load(places + roi * 4), tl.load(places + roi * 4 + 1)
    first, further = tl.load(places + roi * 4 + 2), tl.load(places + roi * 4 + 3)
    columns, rows = tl.load(numbers + roi * 2), tl.load(numbers + roi * 2 + 1)
    step_x, step_y = tl.load(steps + roi * 2), tl.load(steps + roi * 2 + 1)
    along_x = roi * 2 * size * size + place
    along_y = along_x + size * size
    left, top = tl.load(starts + along_x), tl.load(starts + along_y)
    share = 1.0 / tl.maximum(rows * columns, 1).to(left.dtype)
    mine = bins + number * channels + channel
    total = tl.zeros((BLOCK,), left.dtype)
    if SLOPES:
        total = tl.load(mine, mask=inside, other=0.0).to(left.dtype) * share
    slope_x, slope_y = left * 0, left * 0
    for row in range(rows):
        y, below, down, counts_y, moving_y = _sample(top, step_y, rows, row, height)
        for column in range(columns):
            x, right, across, counts_x, moving_x = _sample(left, step_x, columns, column, width)
            taken = tl.where(counts_x & counts_y, channel, channels) < channels
            a = (first + y * further + x) * channels + channel
            b = (first + y * further + right) * channels + channel
            c = (first + below * further + x) * channels + channel
            d = (first + below * further + right) * channels + channel
            at_a = tl.load(cells + a, mask=taken, other=0.0).to(left.dtype)
            at_b = tl.load(cells + b, mask=taken, other=0.0).to(left.dtype)
            at_c = tl.load(cells + c, mask=taken, other=0.0).to(left.dtype)
            at_d = tl.load(cells + d, mask=taken, other=0.0).to(left.dtype)
            if SLOPES:
                tl.atomic_add(of_cells + a, total * ((1 - down) * (1 - across)), mask=taken)
                tl.atomic_add(of_cells + b, total * ((1 - down) * across), mask=taken)
                tl.atomic_add(of_cells + c, total * (down * (1 - across)), mask=taken)
                tl.atomic_add(of_cells + d, total * (down * across), mask=taken)
                wide = tl.sum(total * ((at_b - at_a) * (1 - down) + (at_d - at_c) * down), axis=0)
                high = tl.sum(total * ((at_c - at_a) * (1 - across) + (at_d - at_b) * across), axis=0)
                slope_x += tl.where(moving_x, wide, 0.0)
                slope_y += tl.where(moving_y, high, 0.0)
            else:
                upper, lower = at_a + (at_b - at_a) * across, at_c + (at_d - at_c) * across
                total += upper + (lower - upper) * down
    if SLOPES:
        tl.atomic_add(of_moves + along_x, slope_x)
        tl.atomic_add(of_moves + along_y, slope_y)
    else:
        tl.store(mine, total * share, mask=inside)


def pool(cells: Tensor, places: Tensor, numbers: Tensor, steps: Tensor, starts: Tensor) -> Tensor:
    """Bins ``[R, size, size, C]`` of ``cells [K, C]``.

    Args:
        cells: of all maps, one row after the other.
        places: int64 ``[R, 4]``: columns and rows of each RoI's level, its first cell, and how many further a row is.
        numbers: int64 ``[R, 2]``, samples of a bin to the right and down.
        steps: ``[R, 2]``, how wide and high a bin is, in cells.
        starts: ``[R, 2, size, size]``, where each begins.
    """
    bins = cells.new_empty(len(starts), *starts.shape[2:], cells.shape[1])
    _run(cells, places, numbers, steps, starts, bins, bins, bins, slopes=False)
    return bins


def pool_backward(
    grad: Tensor, cells: Tensor, places: Tensor, numbers: Tensor, steps: Tensor, starts: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of ``cells`` and ``starts`` from that of bins, ``[R, size, size, C]``, in the type of ``starts``."""
    of_cells, of_starts = torch.zeros_like(cells, dtype=starts.dtype), torch.zeros_like(starts)
    _run(cells, places, numbers, steps, starts, grad.contiguous(), of_cells, of_starts, slopes=True)
    return of_cells, of_starts


def _run(
    cells: Tensor,
    places: Tensor,
    numbers: Tensor,
    steps: Tensor,
    starts: Tensor,
    bins: Tensor,
    of_cells: Tensor,
    of_moves: Tensor,
    slopes: bool,
) -> None:
    size, channels = starts.shape[3], cells.shape[1]
    grid = (starts.numel() // 2, triton.cdiv(channels, _CHANNELS))
    if starts.numel() and channels:
        given = (cells.contiguous(), places.contiguous(), numbers.contiguous(), steps.contiguous(), starts.contiguous())
        _go_through[grid](*given, bins, of_cells, of_moves, size, channels, SLOPES=slopes, BLOCK=_CHANNELS)
