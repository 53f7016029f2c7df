"""The smallest object around each point of a pyramid: one operator with a backend per kind of device.

On the CPU it follows the pairs: the points that may learn an object are a rectangle of cells at the levels of its size,
found by bisection, and only those are compared with it, by the plain formula. On CUDA a Triton program
(`detzoo.ops.points_triton`) compares all points with all objects, elsewhere plain operators do. All give the same bits.
What is in memory at once does not depend on the number of objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from detzoo.ops.boxes import area
from detzoo.ops.overlaps_index import expand, parts

_CHUNK = 16  # object slots that the plain formula compares at once: bounds its memory
_SLACK = 1e-4  # share of a size that rounding may take; float32 takes a hundredth of that


def smallest_objects(
    points: Tensor,
    sizes: Sequence[Sequence[int]],
    objects: Tensor,
    valid: Tensor,
    ranges: Sequence[float],
    reach: Sequence[float],
) -> tuple[Tensor, Tensor]:
    """The smallest object that each point lies in, of those of its level; FCOS, sections 3.1 and 3.2.

    Args:
        points: float32 ``[A, 2]``, by level, row, then column; of a level they are a grid whose x and y rise.
        sizes: rows and columns of each level.
        objects: ``[N, G, 4]``.
        valid: bool ``[N, G]``, slots that hold an object.
        ranges: pixels, where levels meet: a level takes an object whose farthest side, as seen from the point, is from
            the number before it to the number after it, both included.
        reach: pixels of each level; a point lies nearer to the object's centre in x and in y. Infinity: anywhere.

    Returns:
        int64 ``[N, A]``, the slot, the first of equally small ones, 0 where there is none; bool ``[N, A]``, whether
        there is one.
    """
    flat = [edge for size in sizes for edge in size]
    return torch.ops.detzoo.smallest_objects(points, flat, objects, valid, ranges, reach)


def cells_inside(
    points: Tensor, sizes: Sequence[Sequence[int]], objects: Tensor, valid: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """All pairs of an object and a point that lies in it, its sides left out, on the CPU; arguments as of
    `smallest_objects`.

    Yields int64 ``[P]`` numbers of slots, of all images in a row, and int64 ``[P]`` numbers of points, a bounded number
    of pairs at a time or those of one object and level.
    """
    slots = valid.flatten().nonzero().squeeze(1)
    sides = objects.reshape(-1, 4)[slots].double()
    start = 0
    for rows, columns in sizes:
        x, y = _lines(points, start, rows, columns)
        for slot, row, column in _between(x, y, slots, sides, math.inf):
            yield slot, start + row * columns + column
        start += rows * columns


def _lines(points: Tensor, start: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """The x of a level's columns and the y of its rows; its points begin with number ``start``."""
    return points[start : start + columns, 0], points[start : start + rows * columns : columns, 1]


def _between(
    x: Tensor, y: Tensor, numbers: Tensor, sides: Tensor, near: float
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Pairs of a box and a cell of a grid between its sides, and near its middle: number, row and column, int64
    ``[P]`` each, as many at a time as `cells_inside` says.

    ``numbers [R]`` are those of the boxes, whose ``sides`` are float64 ``[R, 4]``.
    """
    left, across = _cells(x.contiguous(), sides[:, 0].contiguous(), sides[:, 2].contiguous(), near)
    top, down = _cells(y.contiguous(), sides[:, 1].contiguous(), sides[:, 3].contiguous(), near)
    for some in parts(numbers, across * down):
        which, cell = expand(torch.zeros_like(numbers[some]), (across * down)[some])
        row, column = top[some][which] + cell // across[some][which], left[some][which] + cell % across[some][which]
        yield numbers[some][which], row, column


def _learned(x: Tensor, y: Tensor, objects: Tensor, low: Tensor, high: Tensor, reach: Tensor) -> Tensor:
    """Whether points learn objects ``[..., 4]``, all broadcast."""
    left, top, right, bottom = (x - objects[..., 0], y - objects[..., 1], objects[..., 2] - x, objects[..., 3] - y)
    farthest = torch.maximum(torch.maximum(left, right), torch.maximum(top, bottom))
    inside = torch.minimum(torch.minimum(left, right), torch.minimum(top, bottom)) > 0
    off_centre = torch.maximum((left - right).abs(), (top - bottom).abs()) / 2
    return inside & (off_centre < reach) & (farthest >= low) & (farthest <= high)


@torch.library.custom_op("detzoo::smallest_objects", mutates_args=(), device_types="cpu")
def _smallest_objects(
    points: Tensor,
    sizes: Sequence[int],
    objects: Tensor,
    valid: Tensor,
    ranges: Sequence[float],
    reach: Sequence[float],
) -> tuple[Tensor, Tensor]:
    if objects.dtype != torch.float32:
        return _plain(points, sizes, objects, valid, ranges, reach)
    images, slots = valid.shape
    counted = (valid & (objects.abs() < math.inf).all(2)).flatten().nonzero().squeeze(1)
    boxes = objects.reshape(-1, 4)[counted]
    wide = boxes.double()
    longest = (wide[:, 2:] - wide[:, :2]).amax(1)
    none = torch.iinfo(torch.int64).max
    # the area's bits above the slots: the least is the smallest, of the first slot
    found = torch.full((images * len(points),), none)
    start = 0
    for rows, columns, low, high, near in zip(
        sizes[::2], sizes[1::2], (0.0, *ranges), (*ranges, math.inf), reach, strict=True
    ):
        x, y = _lines(points, start, rows, columns)
        # inside, the farthest side is at half the longer edge at least
        fit = ((longest * (1 - _SLACK) / 2 <= high) & (longest * (1 + _SLACK) >= low)).nonzero().squeeze(1)
        limits = [points.new_tensor(value) for value in (low, high, near)]
        for number, row, column in _between(x, y, fit, wide[fit], near):
            box = boxes[number]
            size = area(box)
            kept = (_learned(x[column], y[row], box, *limits) & (size < math.inf)).nonzero().squeeze(1)
            image, slot = counted[number[kept]] // slots, counted[number[kept]] % slots
            place = image * len(points) + start + (row * columns + column)[kept]
            found.scatter_reduce_(0, place, (size[kept].view(torch.int32).long() << 32) + slot, "amin")
        start += rows * columns
    found = found.view(images, len(points))
    positive = found < none
    return torch.where(positive, found & 0xFFFFFFFF, 0), positive


def _cells(places: Tensor, low: Tensor, high: Tensor, near: float) -> tuple[Tensor, Tensor]:
    """First, and how many, of rising ``places`` that lie between two sides, and near their middle."""
    if near < math.inf:
        middle, reach = (low + high) / 2, near * (1 + _SLACK) + (high - low) * _SLACK
        low, high = torch.maximum(low, middle - reach), torch.minimum(high, middle + reach)
    first = torch.searchsorted(places.double(), low, right=True)
    return first, (torch.searchsorted(places.double(), high) - first).clamp(min=0)


@_smallest_objects.register_kernel("cuda")
def _smallest_objects_cuda(
    points: Tensor,
    sizes: Sequence[int],
    objects: Tensor,
    valid: Tensor,
    ranges: Sequence[float],
    reach: Sequence[float],
) -> tuple[Tensor, Tensor]:
    if objects.dtype != torch.float32:
        return _plain(points, sizes, objects, valid, ranges, reach)
    from detzoo.ops.points_triton import smallest_objects

    return smallest_objects(points, _limits(points, sizes, ranges, reach), objects, valid)


def _limits(points: Tensor, sizes: Sequence[int], ranges: Sequence[float], reach: Sequence[float]) -> Tensor:
    """Of each point the lowest and the highest farthest side that it learns, and its reach: ``[3, A]``."""
    cells = [rows * columns for rows, columns in zip(sizes[::2], sizes[1::2], strict=True)]
    # filled on the device: a table copied there would make the host wait
    rows = [
        torch.cat([points.new_full((count,), value) for count, value in zip(cells, values, strict=True)])
        for values in ((0.0, *ranges), (*ranges, math.inf), reach)
    ]
    return torch.stack(rows)


@_smallest_objects.register_kernel("mps")
def _plain(
    points: Tensor,
    sizes: Sequence[int],
    objects: Tensor,
    valid: Tensor,
    ranges: Sequence[float],
    reach: Sequence[float],
) -> tuple[Tensor, Tensor]:
    low, high, near = _limits(points, sizes, ranges, reach)
    x, y = points.unbind(-1)
    smallest = points.new_full((objects.shape[0], points.shape[0]), math.inf)
    slot = torch.zeros_like(smallest, dtype=torch.int64)
    for start in range(0, objects.shape[1], _CHUNK):
        boxes = objects[:, start : start + _CHUNK, None]  # [N, g, 1, 4]
        learned = _learned(x, y, boxes, low, high, near) & valid[:, start : start + _CHUNK, None]
        size, where = torch.where(learned, area(boxes), math.inf).min(1)
        better = size < smallest
        smallest = torch.where(better, size, smallest)
        slot = torch.where(better, where + start, slot)
    return slot, smallest < math.inf


@_smallest_objects.register_fake
def _shape(points: Tensor, sizes: Sequence[int], objects: Tensor, valid: Tensor, *given: Any) -> tuple[Tensor, Tensor]:
    slot = valid.new_empty((valid.shape[0], points.shape[0]), dtype=torch.int64)
    return slot, torch.empty_like(slot, dtype=torch.bool)
