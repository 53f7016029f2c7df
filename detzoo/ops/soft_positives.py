"""Cells that learn an object by weights of their own: all that lie in it (AutoAssign, arXiv:2007.03496, section 3).

Sums over the cells in each object, and the range of how well these cells fit, are operators with a backend per kind of
device: on the CPU they follow the pairs of an object and a cell in it, elsewhere a few objects at a time are compared
with all cells. Nothing is kept for the backward pass, which computes it again, and memory does not grow with the
objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detzoo.ops.boxes import best_overlaps, iou, overlap_loss, pick
from detzoo.ops.points import cells_inside

_SHARPNESS = 3.0  # by which likelihoods weigh cells against each other; the paper's 1 / tau
_EPS = 1e-12
_TOUCH = 1e-6  # IoU below which a box touches no object
_CHUNK = 16  # object slots that are compared with all cells at once: bounds the memory


class Fit(NamedTuple):
    """How well a box finds an object: ``exp(-weight * overlap_loss)``, whose settings the others are."""

    kind: str
    weight: float
    more: float
    beta: float
    aspect_above: float


class Cells(NamedTuple):
    """The cells of a pyramid, by level, row, then column.

    Attributes:
        places: float32 ``[A, 3]``, x and y where they look, in pixels, and the stride of their level.
        sizes: rows and columns of each level, one after the other.
    """

    places: Tensor
    sizes: Sequence[int]


class Objects(NamedTuple):
    """G slots of each of N images.

    Attributes:
        boxes: ``[N, G, 4]`` xyxy pixels.
        labels: int64 ``[N, G]``.
        valid: bool ``[N, G]``, slots that hold an object.
    """

    boxes: Tensor
    labels: Tensor
    valid: Tensor


def found_inside(
    logits: Tensor,
    boxes: Tensor,
    mean: Tensor,
    sigma: Tensor,
    cells: Cells,
    objects: Objects,
    fit: Fit,
) -> tuple[Tensor, Tensor]:
    """How likely each object is found, and the priors of the cells in it; section 3.3. All in full precision.

    Args:
        logits: ``[N, A, C]`` of the classes.
        boxes: ``[N, A, 4]`` xyxy pixels, which the cells tell.
        mean: ``[C, 2]``, x and y of each class's Gaussian, in strides from an object's middle.
        sigma: ``[C, 2]``, its widths.
        cells: of the pyramid.
        objects: that are learned.
        fit: of a box and an object.

    Returns:
        ``[N, G]``, a mean over the cells in each object, weighted by their priors and by how well they find it, 0 where
        there is none; and ``[N, G]``, the sum of their priors.
    """
    told = (logits, boxes, mean, sigma)
    found, weights, near = torch.ops.detzoo.sums_inside(*told, *cells, *objects, *fit).unbind()
    return found / weights.clamp(min=_EPS), near


@torch.no_grad()
def relative_fit(boxes: Tensor, cells: Cells, objects: Objects, classes: int) -> Tensor:
    """How well each cell's box fits an object of each class that the cell lies in, ``[N, A, C]``: 1 the best of the
    object's cells, 0 the worst and wherever there is no object.

    Of several objects of a class the last one counts. A box fits as the object does that it overlaps most, in the cell
    or not, as in the published training.

    Args:
        boxes: ``[N, A, 4]`` xyxy pixels, which the cells tell.
        cells: of the pyramid.
        objects: that are learned.
        classes: C.
    """
    best, slot, _ = best_overlaps(boxes, None, objects.boxes, objects.valid, least=_TOUCH)
    overlap = torch.where(best >= _TOUCH, iou(pick(objects.boxes, slot), boxes), 0.0)
    good = 1 / (1 - overlap).clamp(min=_EPS)
    low, high, last = torch.ops.detzoo.range_inside(good, *cells, *objects, classes)
    slot = (last - 1).clamp(min=0).flatten(1)
    low, high = (ends.gather(1, slot).view_as(last) for ends in (low, high))
    return torch.where(last > 0, (good.unsqueeze(2) - low + _EPS) / (high - low + _EPS), 0.0)


def _values(told: Sequence[Tensor], places: Tensor, objects: Tensor, fit: Fit) -> Tensor:
    """Of pairs of an object and a cell, all broadcast: likelihood times weight, weight, and prior, ``[3, ...]``.

    ``told`` are logits ``[...]``, boxes ``[..., 4]``, and mean and sigma ``[..., 2]`` of the object's class.
    """
    logits, boxes, mean, sigma = told
    found = logits.sigmoid() * (-fit.weight * overlap_loss(boxes, objects, fit.kind, *fit[2:])).exp()
    apart = (places[..., :2] - (objects[..., :2] + objects[..., 2:]) / 2) / places[..., 2:] - mean
    near = (-(apart / sigma).square().sum(-1) / 2).exp()
    weights = (found * _SHARPNESS).exp() * near
    return torch.stack([weights * found, weights, near])


class _Pairs(NamedTuple):
    """P pairs of an object and a cell in it, of all images.

    Attributes:
        slot: int64 ``[P]``, among those of all images.
        cell: int64 ``[P]``, among those of all images.
        rows: of the four that `_values` is told, among `_in_rows`; int64 ``[P]`` each.
        places: ``[P, 3]``.
        objects: ``[P, 4]``.
    """

    slot: Tensor
    cell: Tensor
    rows: tuple[Tensor, Tensor, Tensor, Tensor]
    places: Tensor
    objects: Tensor


def _pairs(
    classes: int, places: Tensor, sizes: Sequence[int], objects: Tensor, labels: Tensor, valid: Tensor
) -> Iterator[_Pairs]:
    levels = list(zip(sizes[0::2], sizes[1::2], strict=True))
    for slot, place in cells_inside(places[:, :2], levels, objects, valid):
        cell, label = slot // valid.shape[1] * len(places) + place, labels.flatten()[slot]
        rows = (cell * classes + label, cell, label, label)
        yield _Pairs(slot, cell, rows, places[place], objects.reshape(-1, 4)[slot])


def _in_rows(logits: Tensor, boxes: Tensor, mean: Tensor, sigma: Tensor) -> tuple[Tensor, ...]:
    """What `_Pairs.rows` are rows of."""
    return logits.flatten(), boxes.flatten(0, 1), mean, sigma


@torch.library.custom_op("detzoo::sums_inside", mutates_args=(), device_types="cpu")
def _sums(
    logits: Tensor,
    boxes: Tensor,
    mean: Tensor,
    sigma: Tensor,
    places: Tensor,
    sizes: Sequence[int],
    objects: Tensor,
    labels: Tensor,
    valid: Tensor,
    kind: str,
    weight: float,
    more: float,
    beta: float,
    aspect_above: float,
) -> Tensor:
    told, fit = _in_rows(logits, boxes, mean, sigma), Fit(kind, weight, more, beta, aspect_above)
    sums = logits.new_zeros(3, valid.numel())
    for pairs in _pairs(logits.shape[2], places, sizes, objects, labels, valid):
        parts = [part[rows] for part, rows in zip(told, pairs.rows, strict=True)]
        sums.index_add_(1, pairs.slot, _values(parts, pairs.places, pairs.objects, fit))
    return sums.view(3, *valid.shape)


@torch.library.custom_op("detzoo::sums_inside_backward", mutates_args=(), device_types="cpu")
def _sums_backward(
    grad: Tensor,
    logits: Tensor,
    boxes: Tensor,
    mean: Tensor,
    sigma: Tensor,
    places: Tensor,
    sizes: Sequence[int],
    objects: Tensor,
    labels: Tensor,
    valid: Tensor,
    kind: str,
    weight: float,
    more: float,
    beta: float,
    aspect_above: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    told, fit = _in_rows(logits, boxes, mean, sigma), Fit(kind, weight, more, beta, aspect_above)
    grads = [torch.zeros_like(part) for part in told]
    for pairs in _pairs(logits.shape[2], places, sizes, objects, labels, valid):
        parts = [part[rows] for part, rows in zip(told, pairs.rows, strict=True)]
        of = _gradients(
            lambda *parts, on=pairs: _values(parts, on.places, on.objects, fit), parts, grad.flatten(1)[:, pairs.slot]
        )
        for total, rows, part in zip(grads, pairs.rows, of, strict=True):
            total.index_add_(0, rows, part)
    return grads[0].view_as(logits), grads[1].view_as(boxes), grads[2], grads[3]


def _gradients(values: Callable[..., Tensor], of: Sequence[Tensor], grad: Tensor) -> Sequence[Tensor]:
    """From the gradient of what ``values`` returns to those of its arguments ``of``.

    Inside of an operator autograd does not look, and under a dispatch mode (a counter of FLOP) `torch.func` neither:
    nothing is excluded here.
    """
    keys = torch._C
    nothing = keys.DispatchKeySet(keys.DispatchKey.Undefined)
    with keys._ForceDispatchKeyGuard(keys._dispatch_tls_local_include_set(), nothing):
        return torch.func.vjp(values, *of)[1](grad)


def _some(
    places: Tensor, objects: Tensor, labels: Tensor, valid: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """A few slots at a time: which, objects ``[N, g, 1, 4]``, labels ``[N, g]``, and bool ``[N, g, A]``, the cells in
    them.
    """
    for start in range(0, valid.shape[1], _CHUNK):
        some = slice(start, start + _CHUNK)
        boxes = objects[:, some].unsqueeze(2)
        yield some, boxes, labels[:, some], _inside(places[:, :2], boxes) & valid[:, some, None]


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Whether points lie in boxes, their sides left out; broadcast."""
    return (torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1) > 0).all(-1)


def _sums_of_some(told: Sequence[Tensor], places: Tensor, some: tuple[Any, ...], fit: Fit) -> Tensor:
    """Sums of a few slots, ``[3, N, g]``."""
    logits, boxes, mean, sigma = told
    _, objects, labels, inside = some
    own = logits.transpose(1, 2).gather(1, labels.unsqueeze(2).expand(-1, -1, len(places)))
    of_class = [part[labels].unsqueeze(2) for part in (mean, sigma)]
    return (_values([own, boxes.unsqueeze(1), *of_class], places, objects, fit) * inside).sum(-1)


@_sums.register_kernel(("cuda", "mps"))
def _compared_sums(
    logits: Tensor, boxes: Tensor, mean: Tensor, sigma: Tensor, places: Tensor, sizes: Sequence[int], *given: Any
) -> Tensor:
    objects, fit, told = given[:3], Fit(*given[3:]), (logits, boxes, mean, sigma)
    found = [_sums_of_some(told, places, some, fit) for some in _some(places, *objects)]
    return torch.cat([logits.new_zeros(3, len(logits), 0), *found], 2)


@_sums_backward.register_kernel(("cuda", "mps"))
def _compared_sums_backward(
    grad: Tensor,
    logits: Tensor,
    boxes: Tensor,
    mean: Tensor,
    sigma: Tensor,
    places: Tensor,
    sizes: Sequence[int],
    *given: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    objects, fit, told = given[:3], Fit(*given[3:]), (logits, boxes, mean, sigma)
    grads = [torch.zeros_like(part) for part in told]
    for some in _some(places, *objects):
        of = _gradients(lambda *told, some=some: _sums_of_some(told, places, some, fit), told, grad[:, :, some[0]])
        grads = [total + part for total, part in zip(grads, of, strict=True)]
    return grads[0], grads[1], grads[2], grads[3]


@_sums.register_fake
def _sums_shape(logits: Tensor, *given: Any) -> Tensor:
    return logits.new_empty(3, *given[7].shape)


@_sums_backward.register_fake
def _sums_backward_shape(grad: Tensor, *given: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    logits, boxes, mean, sigma = (part.new_empty(part.shape) for part in given[:4])
    return logits, boxes, mean, sigma


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.sizes, boxes, labels, valid = inputs[:9]
    ctx.fit = inputs[9:]
    ctx.save_for_backward(*tensors, boxes, labels, valid)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    *tensors, boxes, labels, valid = ctx.saved_tensors
    grads = torch.ops.detzoo.sums_inside_backward(grad, *tensors, ctx.sizes, boxes, labels, valid, *ctx.fit)
    return *grads, *(None,) * (5 + len(ctx.fit))


_sums.register_autograd(_backward, setup_context=_remember)


@torch.library.custom_op("detzoo::range_inside", mutates_args=(), device_types="cpu")
def _range(
    good: Tensor,
    places: Tensor,
    sizes: Sequence[int],
    objects: Tensor,
    labels: Tensor,
    valid: Tensor,
    classes: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Least and greatest of ``good [N, A]`` of the cells in each object, ``[N, G]``, and the last slot of each class
    that each cell lies in, counted from 1, int64 ``[N, A, C]``; 0: in none.
    """
    low, high = (good.new_full((valid.numel(),), end) for end in (torch.inf, -torch.inf))
    last = labels.new_zeros(good.numel() * classes)
    for pairs in _pairs(classes, places, sizes, objects, labels, valid):
        values = good.flatten()[pairs.cell]
        low.scatter_reduce_(0, pairs.slot, values, "amin")
        high.scatter_reduce_(0, pairs.slot, values, "amax")
        last.scatter_reduce_(0, pairs.rows[0], pairs.slot % valid.shape[1] + 1, "amax")
    return low.view(valid.shape), high.view(valid.shape), last.view(*good.shape, classes)


@_range.register_kernel(("cuda", "mps"))
def _compared_range(
    good: Tensor,
    places: Tensor,
    sizes: Sequence[int],
    objects: Tensor,
    labels: Tensor,
    valid: Tensor,
    classes: int,
) -> tuple[Tensor, Tensor, Tensor]:
    last = labels.new_zeros(len(good), classes, good.shape[1])
    numbers = torch.arange(1, valid.shape[1] + 1, device=good.device)
    low, high = [good.new_empty(len(good), 0)], [good.new_empty(len(good), 0)]
    for some, _, own, inside in _some(places, objects, labels, valid):
        low.append(torch.where(inside, good.unsqueeze(1), torch.inf).amin(-1))
        high.append(torch.where(inside, good.unsqueeze(1), -torch.inf).amax(-1))
        last = last.scatter_reduce(1, own.unsqueeze(2).expand_as(inside), inside * numbers[some, None], "amax")
    return torch.cat(low, 1), torch.cat(high, 1), last.transpose(1, 2).contiguous()


@_range.register_fake
def _range_shape(good: Tensor, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
    valid, classes = given[-2:]
    low = good.new_empty(valid.shape)
    return low, torch.empty_like(low), valid.new_empty(*good.shape, classes, dtype=torch.int64)
