"""Which cells of a pyramid lie in the middle of an object, near it, or outside: from boxes alone, without overlaps.

Painting rectangles of cells, of which the last one counts, is one operator with a backend per kind of device: on the
CPU its cost follows the painted cells, elsewhere a few slots at a time are compared with all cells, and memory does not
grow with the objects. Both give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_CHUNK = 16  # rectangles that are compared with all cells at once: bounds the memory


class Regions(NamedTuple):
    """What A cells of a pyramid see, by level, row, then column.

    Attributes:
        centre: int64 ``[N, A]``, the last object slot of the cell's level in whose centre it lies; -1: in none.
        around: int64 ``[N, A]``, the last object slot of the cell's level that it lies near; -1: near none.
        beside: bool ``[N, A]``, whether it lies near an object of the level before or after.
    """

    centre: Tensor
    around: Tensor
    beside: Tensor


@torch.no_grad()
def regions(
    objects: Tensor,
    valid: Tensor,
    sizes: Sequence[Sequence[int]],
    strides: Sequence[int],
    side: float,
    centre: float,
    around: float,
) -> Regions:
    """Centres and surroundings of objects, each on the level of its size; Guided Anchoring, section 3.2
    (arXiv:1901.03278).

    Args:
        objects: ``[N, G, 4]`` xyxy pixels.
        valid: bool ``[N, G]``, slots that hold an object.
        sizes: height and width of each level, in cells.
        strides: pixels per cell of each level, each twice the one before.
        side: of the finest level's squares, in strides: an object is on the level whose square has its area, to the
            nearest power of two.
        centre: edges of the box that is an object's centre, as a share of its own.
        around: the same of what is near it, at least as much.
    """
    scale = ((objects[..., 2] - objects[..., 0]) * (objects[..., 3] - objects[..., 1])).sqrt()
    smallest = scale.new_full((), side * strides[0])  # made on the device
    level = (scale.log2() - smallest.log2() + 0.5).floor().clamp(0, len(strides) - 1)
    found = []
    for number, ((height, width), stride) in enumerate(zip(sizes, strides, strict=True)):
        own, next_to = valid & (level == number), valid & ((level - number).abs() == 1)
        inner = _cells(objects / stride, centre, height, width)
        outer = _cells(objects / stride, around, height, width)
        painted = [
            torch.ops.detzoo.paint(cells, shown, height, width).flatten(1)
            for cells, shown in ((inner, own), (outer, own), (outer, next_to))
        ]
        found.append((painted[0], painted[1], painted[2] >= 0))
    return Regions(*(torch.cat(part, 1) for part in zip(*found, strict=True)))


def _cells(boxes: Tensor, share: float, height: int, width: int) -> Tensor:
    """First and last column and row, int64 ``x1, y1, x2, y2``, of the middle ``share`` of boxes ``[N, G, 4]``."""
    near = (1 - share) / 2
    low, high = boxes[..., :2], boxes[..., 2:]
    cells = torch.cat([(1 - near) * low + near * high, near * low + (1 - near) * high], -1).round()
    # one past the last may be the first: then there is none
    columns, rows = cells[..., 0::2].clamp(0, width), cells[..., 1::2].clamp(0, height)
    return torch.stack([columns, rows], -1).flatten(-2).long()


@torch.library.custom_op("detzoo::paint", mutates_args=(), device_types="cpu")
def _paint(cells: Tensor, shown: Tensor, height: int, width: int) -> Tensor:
    """Of rectangles ``cells [N, G, 4]`` that are ``shown [N, G]``, the last slot at each cell ``[N, H, W]``, or -1."""
    picture = torch.full((len(cells), height, width), -1)
    for image, slot in shown.nonzero().tolist():
        left, top, right, bottom = cells[image, slot].tolist()
        picture[image, top : bottom + 1, left : right + 1] = slot
    return picture


@_paint.register_kernel(("cuda", "mps"))
def _paint_compared(cells: Tensor, shown: Tensor, height: int, width: int) -> Tensor:
    picture = torch.full((cells.shape[0], height, width), -1, device=cells.device)
    y, x = torch.arange(height, device=cells.device)[:, None], torch.arange(width, device=cells.device)
    slots = torch.arange(cells.shape[1], device=cells.device)
    for start in range(0, cells.shape[1], _CHUNK):
        some = slice(start, start + _CHUNK)
        left, top, right, bottom = cells[:, some, :, None, None].unbind(2)
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom) & shown[:, some, None, None]
        picture = torch.maximum(picture, torch.where(inside, slots[some, None, None], -1).amax(1))
    return picture


@_paint.register_fake
def _paint_shape(cells: Tensor, shown: Tensor, height: int, width: int) -> Tensor:
    return cells.new_empty((cells.shape[0], height, width))
