"""Overlaps on the CPU without comparing all boxes with all objects: boxes sorted by shape, row and column.

An IoU of t asks for a common area of at least t / (1 + t) of the two areas' sum. So an object's partners are of few
shapes, and those of one shape have their centres in a small window around its own. Boxes are sorted by class of shape
(a quarter of an octave of width and of height), by row of centres (a quarter of the height), then by column; an object
finds the rows of its window, and in each row the run of its window, by bisection. Windows are a little wider than need
be, so that rounding loses no pair, and the pairs in them are compared by the plain formula: results are the same to the
last bit.

Sorting costs A log A, and the rest what the windows hold; where everything overlaps everything that is the plain
formula's cost. How much is in memory at once does not depend on the number of objects.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from detzoo.ops.boxes import coverage, iou

_PART = 1 << 17  # windows, rows or pairs that are looked at together
_SLACK = 1e-4  # share of a common area or of a width that rounding may take; float32 takes a hundredth of that
_ROWS, _COLUMNS = 20, 23  # bits of a place in a key; what lies further out shares the first or the last place


class _Index:
    """Boxes ``[A, 4]`` in an order that finds those near an object.

    Attributes:
        numbers: int64 ``[B]``, which of the A boxes; those without width or height are left out: they overlap nothing.
        sides: float32 ``[4, B]``, their coordinates.
    """

    def __init__(self, boxes: Tensor) -> None:
        size = boxes[:, 2:] - boxes[:, :2]
        numbers = (size > 0).all(1).nonzero().squeeze(1)
        if len(numbers) < len(boxes):
            boxes, size = boxes[numbers], size[numbers]
        shape, self.low, self.high = _shapes(size)
        self.per_place = torch.tensor([16.0, 4.0], dtype=torch.float64) / self.low
        middle = (boxes[:, :2].double() + boxes[:, 2:]) / 2
        column = _place(middle[:, 0], self.per_place[:, 0][shape], _COLUMNS)
        row = _place(middle[:, 1], self.per_place[:, 1][shape], _ROWS)
        self.keys, order = ((((shape << _ROWS) + row) << _COLUMNS) + column).sort()
        self.rows = (self.keys >> _COLUMNS).unique_consecutive()
        self.numbers = numbers[order]
        self.sides = boxes.index_select(0, order).t().contiguous()

    def near(self, objects: Tensor, least: float, union: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of objects ``[M, 4]`` and boxes whose common area is ``least`` of their union, or else of the box.

        All such pairs are among them, and others. Yields int64 ``[P]`` numbers of objects and int64 ``[P]`` places in
        ``sides``; an object's pairs all come together.
        """
        step = max(1, _PART // max(1, len(self.low)))
        for start in range(0, len(objects) if len(self.low) else 0, step):
            for which, place in self._near(objects[start : start + step].double(), least, union):
                yield which + start, place

    def _near(self, objects: Tensor, least: float, union: bool) -> Iterator[tuple[Tensor, Tensor]]:
        size = objects[:, 2:] - objects[:, :2]
        middle = (objects[:, :2] + objects[:, 2:]) / 2
        most = torch.minimum(size[:, None], self.high)  # [M, K, 2]: of the common width and height
        if union:
            common = (size.prod(1)[:, None] + self.low.prod(1)) * (least / (1 + least))
        else:
            common = (self.low.prod(1) * least).expand(len(objects), -1)
        common = common * (1 - _SLACK)
        possible = (most.prod(2) >= common) & (size > 0).all(1, keepdim=True)
        which, shape = possible.nonzero().unbind(1)
        # with all of the common height, the common width has to be this, and the centres cannot be further apart
        needed = (common.unsqueeze(2) / most.flip(2))[which, shape]
        reach = (size[which] + self.high[shape]) / 2 * (1 + _SLACK) - needed
        per_place, middle = self.per_place[shape], middle[which]
        first, last = middle - reach, middle + reach
        top, bottom = (_place(at[:, 1], per_place[:, 1], _ROWS) + (shape << _ROWS) for at in (first, last))
        left, right = (_place(at[:, 0], per_place[:, 0], _COLUMNS) for at in (first, last))
        begin = torch.searchsorted(self.rows, top)
        count = torch.searchsorted(self.rows, bottom, right=True) - begin
        for part in parts(which, count):
            window, row = expand(begin[part], count[part])
            start = self.rows[row] << _COLUMNS
            owner = which[part][window]
            run = torch.searchsorted(self.keys, start + left[part][window])
            length = torch.searchsorted(self.keys, start + right[part][window], right=True) - run
            for piece in parts(owner, length):
                number, place = expand(run[piece], length[piece])
                yield owner[piece][number], place


def _shapes(size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Class int64 ``[A]`` of sizes ``[A, 2]``; the least and the greatest size of each class, float64 ``[K, 2]``."""
    bits = size.view(torch.int32)  # the order of positive numbers is that of their bits
    code = bits >> 21  # exponent and two bits of the mantissa
    if len(code):
        code = code - code.amin(0)
    flat = (code[:, 0] * (code[:, 1].max() + 1 if len(code) else 1) + code[:, 1]).long()
    rank = (torch.bincount(flat) > 0).cumsum(0)
    shape = rank[flat] - 1
    classes = int(rank[-1]) if len(rank) else 0
    bounds = []
    for reduce in ("amin", "amax"):
        columns = [
            bits.new_empty(classes).scatter_reduce(0, shape, side.contiguous(), reduce, include_self=False)
            for side in bits.unbind(1)
        ]
        bounds.append(torch.stack(columns, 1).view(torch.float32).double())
    return shape, bounds[0], bounds[1]


def _place(position: Tensor, per_place: Tensor, bits: int) -> Tensor:
    """Number of the row or column that a position falls into; never falls where the position rises."""
    half = 1 << (bits - 1)
    return ((position * per_place).floor() + half).clamp(0, 2 * half - 1).long()


def expand(start: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Of runs of ``count [R]`` numbers from ``start [R]`` on: to which run each belongs, and the numbers, ``[P]``."""
    run = torch.repeat_interleave(count)
    return run, (start - (count.cumsum(0) - count))[run] + torch.arange(len(run))


def parts(owner: Tensor, count: Tensor) -> Iterator[slice]:
    """Slices of runs of ``count [R]`` numbers, `_PART` at most or one owner's; an ``owner [R]`` stays in one slice."""
    ends = torch.cat([(owner[1:] != owner[:-1]).nonzero().squeeze(1) + 1, owner.new_tensor([len(owner)])])
    total = torch.cat([count.new_zeros(1), count.cumsum(0)])
    begin = place = 0
    sums = total[ends].tolist()
    ends = ends.tolist()
    while begin < len(owner):
        limit = int(total[begin]) + _PART
        place += 1
        while place < len(ends) and sums[place] <= limit:
            place += 1
        yield slice(begin, ends[place - 1])
        begin = ends[place - 1]


def best_overlaps(
    boxes: Tensor, usable: Tensor | None, objects: Tensor, valid: Tensor, least: float, peak: float | None, ties: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Backend of `detzoo.ops.boxes.best_overlaps`, same arguments; an IoU below ``least`` is given as -1."""
    images, slots = valid.shape
    boxes_each = boxes.shape[-2]
    # the IoU's bits above the slots from behind: the greatest is the best, of the first slot
    found = torch.full((images * boxes_each,), -1, dtype=torch.int64)
    owner = torch.zeros_like(found)
    shared = boxes.dim() == 2
    numbers = valid.flatten().nonzero().squeeze(1)
    flat, mask = objects.reshape(-1, 4), None if usable is None else usable.expand(images, -1).flatten()
    for image in range(1 if shared else images):
        some = numbers if shared else numbers[numbers // slots == image]
        index = _Index(boxes if shared else boxes[image])
        bound = least
        while len(some):
            reached = torch.zeros(len(some), dtype=torch.bool)
            for which, place, value in _overlapping(index, flat[some], bound):
                slot = some[which] % slots
                number = index.numbers[place]
                where = some[which] // slots * boxes_each + number
                if mask is not None:
                    kept = mask[where].nonzero().squeeze(1)
                    which, slot, number, where, value = (x[kept] for x in (which, slot, number, where, value))
                reached[which] = True
                bits = value.view(torch.int32).long()
                found.scatter_reduce_(0, where, (bits << 32) + (0x7FFFFFFF - slot), "amax")
                if peak is None:
                    continue
                top = value.new_zeros(len(some)).scatter_reduce(0, which, value, "amax")
                here = (value == top[which]) & (value >= peak)
                if not ties:
                    first = number.new_full((len(some),), boxes_each)
                    first = first.scatter_reduce(0, which[here], number[here], "amin")
                    here &= number == first[which]
                owner.scatter_reduce_(0, where[here], slot[here] + 1, "amax")
            if peak is None or bound <= max(peak, 0.0):
                break
            # an object's highest IoU may be lower than what the others are asked for
            some = some[~reached]
            bound = max(bound / 4 if bound > 0.01 else 0.0, peak)
    best = (found >> 32).int().view(torch.float32)
    best = torch.where(found >= 0, best, -1.0)
    slot = torch.where(found >= 0, 0x7FFFFFFF - (found & 0x7FFFFFFF), 0)
    slot = torch.where(owner > 0, owner - 1, slot)
    shape = (images, boxes_each)
    return best.view(shape), slot.view(shape), (owner > 0).view(shape)


def _overlapping(index: _Index, objects: Tensor, least: float) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Pairs of an IoU above 0 of at least ``least``: numbers of objects, places of boxes, IoUs."""
    columns = objects.t().contiguous()
    for which, place in index.near(objects, least, union=True):
        value = iou(columns.index_select(1, which).t(), index.sides.index_select(1, place).t())
        kept = ((value >= least) & (value > 0)).nonzero().squeeze(1)
        yield which[kept], place[kept], value[kept]


def covered(boxes: Tensor, regions: Tensor, valid: Tensor, share: float) -> Tensor:
    """Backend of `detzoo.ops.boxes.covered`, same arguments."""
    images, slots = valid.shape
    boxes_each = boxes.shape[-2]
    result = torch.zeros(images * boxes_each, dtype=torch.bool)
    shared = boxes.dim() == 2
    numbers = valid.flatten().nonzero().squeeze(1)
    for image in range(1 if shared else images):
        some = numbers if shared else numbers[numbers // slots == image]
        index = _Index(boxes if shared else boxes[image])
        objects = regions.reshape(-1, 4)[some]
        columns = objects.t().contiguous()
        for which, place in index.near(objects, share, union=False):
            inside = coverage(index.sides.index_select(1, place).t(), columns.index_select(1, which).t()) > share
            kept = inside.nonzero().squeeze(1)
            result[some[which[kept]] // slots * boxes_each + index.numbers[place[kept]]] = True
    return result.view(images, boxes_each)
