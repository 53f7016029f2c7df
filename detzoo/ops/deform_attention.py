"""Multi-scale deformable attention: every query reads a few places of each level of a pyramid.

One operator over all images, heads and queries, level after level, with two forms of the same sums. On processors a
head's result is the weighted sum of cells that an embedding bag computes, and what is sampled is never in memory.
Elsewhere, and in exported graphs, it is torch's own bilinear sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.ops.boxes import full_precision


def deform_attention(values: Tensor, shapes: Sequence[tuple[int, int]], places: Tensor, weights: Tensor) -> Tensor:
    """What each query gathers: the weighted sum of values sampled bilinearly at its places.

    Deformable DETR, equation 3 (arXiv:2010.04159). Beyond a level there are zeros. Places and sums are float32 at
    least, and gradients exact, also of the places. Works on one level at a time, for C channels in all heads together:

    * on a CPU it takes, beside its results, some 180 bytes for each of the P places of a head and query on the level,
      and 290 in the backward pass; there is nothing of channels for each place. For 18,000 queries with 8 heads and 4
      places that is 104 and 167 MB;
    * elsewhere (there is no program of our own for CUDA) about 2.5 times the samples of a level, ``4 N Q P C`` bytes,
      in either pass: 180 MB for those queries and 256 channels. All levels at once, as usual, take 900 MB.

    The backward pass keeps the arguments and nothing else.

    Args:
        values: ``[N, S, M, D]``: of the cells of all levels, row by row and level after level, D channels for each of M
            heads.
        shapes: height and width of each of L levels.
        places: ``[N, Q, M, L, P, 2]``, x and y as parts of the level's width and height: 0 is the edge before its first
            cell, 1 the one behind its last. What is no number is outside.
        weights: ``[N, Q, M, L, P]``.

    Returns:
        ``[N, Q, M * D]`` in the type of ``values``.
    """
    sides = [side for shape in shapes for side in shape]
    places, weights = full_precision(places), full_precision(weights)
    if torch.compiler.is_exporting():
        return _sampled(values, sides, places, weights)
    return torch.ops.detzoo.deform_attention(values, sides, places, weights)


@torch.library.custom_op("detzoo::deform_attention", mutates_args=(), device_types="cpu")
def _deform_attention(values: Tensor, sides: Sequence[int], places: Tensor, weights: Tensor) -> Tensor:
    total: Tensor | float = 0.0
    for level in _levels(values, sides, places, weights):
        taps = _taps(level)
        down, across = taps.shares
        taken = _product(down * level.weights[..., None], across).view(taps.cells.shape)
        total = total + F.embedding_bag(taps.cells, level.rows, mode="sum", per_sample_weights=taken)
    return torch.as_tensor(total).view(*places.shape[:2], -1).to(values.dtype)


@_deform_attention.register_kernel(("cuda", "mps"))
def _sampled(values: Tensor, sides: Sequence[int], places: Tensor, weights: Tensor) -> Tensor:
    total: Tensor | float = 0.0
    for level in _levels(values, sides, places, weights):
        planes, grid, share = _planes(level)
        sampled = F.grid_sample(planes, grid, align_corners=False)
        total = total + (sampled * share).sum(-1)
    # [N M, D, Q] -> [N, Q, M D]
    count, _, heads, _ = values.shape
    return torch.as_tensor(total).view(count, heads, -1, places.shape[1]).flatten(1, 2).transpose(1, 2).to(values.dtype)


@_deform_attention.register_fake
def _deform_attention_shape(values: Tensor, sides: Sequence[int], places: Tensor, weights: Tensor) -> Tensor:
    return values.new_empty(*places.shape[:2], values.shape[2] * values.shape[3])


class _Level(NamedTuple):
    """What is read from one level.

    Attributes:
        rows: ``[N H W M, D]``, its cells, each head's by itself.
        height: H, its rows of cells.
        width: W, its columns.
        places: ``[N, Q, M, P, 2]``, none further than a level's size outside.
        weights: ``[N, Q, M, P]``.
    """

    rows: Tensor
    height: int
    width: int
    places: Tensor
    weights: Tensor


def _levels(values: Tensor, sides: Sequence[int], places: Tensor, weights: Tensor) -> Iterator[_Level]:
    """The levels one after the other, everything in one type."""
    sizes = list(zip(sides[0::2], sides[1::2], strict=True))
    parts = values.split([height * width for height, width in sizes], 1)
    for index, ((height, width), part) in enumerate(zip(sizes, parts, strict=True)):
        kind = torch.promote_types(values.dtype, places.dtype)
        at = places[:, :, :, index].nan_to_num(-1.0).clamp(-1.0, 2.0)
        yield _Level(part.flatten(0, 2).to(kind), height, width, at.to(kind), weights[:, :, :, index].to(kind))


class _Taps(NamedTuple):
    """The four cells that each place lies between, in rows and columns.

    Attributes:
        cells: their rows, int32 ``[N Q M, 4 P]``.
        shares: of the place, down and across ``[N, Q, M, P, 2]`` each; 0 for a cell beyond the level.
        slopes: by how much these grow as the place moves by a whole level.
    """

    cells: Tensor
    shares: tuple[Tensor, Tensor]
    slopes: tuple[Tensor, Tensor]


def _taps(level: _Level) -> _Taps:
    """What is read."""
    count, _, heads, _, _ = level.places.shape
    ends, shares, slopes = [], [], []
    for axis, limit in ((1, level.height), (0, level.width)):
        at = level.places[..., axis] * limit - 0.5
        low = at.floor()
        part = at - low
        both = torch.stack([low, low + 1], -1)
        inside = ((both >= 0) & (both < limit)).to(at.dtype)
        ends.append(both.clamp(0, limit - 1).int())
        shares.append(torch.stack([1 - part, part], -1) * inside)
        slopes.append(torch.stack([-inside[..., 0], inside[..., 1]], -1) * limit)
    rows, columns = ends
    image = torch.arange(count, device=rows.device, dtype=torch.int32).view(-1, 1, 1, 1, 1)
    head = torch.arange(heads, device=rows.device, dtype=torch.int32).view(-1, 1, 1)
    rows = ((image * level.height + rows) * level.width) * heads + head
    cells = rows[..., :, None] + (columns * heads)[..., None, :]
    return _Taps(cells.flatten(3).flatten(0, 2), (shares[0], shares[1]), (slopes[0], slopes[1]))


def _product(down: Tensor, across: Tensor) -> Tensor:
    """``[N, Q, M, P, 2, 2]`` of ``[N, Q, M, P, 2]`` each."""
    return down[..., :, None] * across[..., None, :]


def _planes(level: _Level) -> tuple[Tensor, Tensor, Tensor]:
    """Maps ``[N M, D, H, W]``, places on them from -1 to 1 ``[N M, Q, P, 2]`` and weights ``[N M, 1, Q, P]``."""
    count, _, heads, _, _ = level.places.shape
    planes = level.rows.view(count, level.height, level.width, heads, -1).permute(0, 3, 4, 1, 2).flatten(0, 1)
    grid = (2 * level.places - 1).transpose(1, 2).flatten(0, 1)
    return planes, grid, level.weights.transpose(1, 2).flatten(0, 1).unsqueeze(1)


@torch.library.custom_op("detzoo::deform_attention_backward", mutates_args=(), device_types="cpu")
def _deform_attention_backward(
    grad: Tensor, values: Tensor, sides: Sequence[int], places: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    of_levels = []
    for level in _levels(values, sides, places, weights):
        cells, (down, across), (below, right) = _taps(level)
        sums, each = len(cells), cells.shape[1]
        outer = grad.reshape(sums, -1).to(level.rows.dtype)
        flat = cells.flatten()
        starts = torch.arange(0, len(flat), each, dtype=torch.int32)
        owner = torch.arange(sums, dtype=torch.int32).repeat_interleave(each)
        # the product of each cell that is read with the gradient of what it is read for
        dots = torch.ops.aten._embedding_bag_per_sample_weights_backward(outer, level.rows, flat, starts, owner, 0)
        dots = dots.view(*down.shape, 2)
        by_row = (dots * across[..., None, :]).sum(-1)
        of_weights = (by_row * down).sum(-1)
        of_rows = (dots * right[..., None, :]).sum(-1)
        of_places = [(part.sum(-1) * level.weights) for part in (of_rows * down, by_row * below)]
        # the other way round: every cell is a weighted sum of results
        taken = _product(down * level.weights[..., None], across).flatten()
        order = flat.argsort()
        first = torch.searchsorted(flat[order], torch.arange(len(level.rows), dtype=torch.int32), out_int32=True)
        of_cells = F.embedding_bag(owner[order], outer, first, mode="sum", per_sample_weights=taken[order])
        of_values = of_cells.view(values.shape[0], -1, *values.shape[2:])
        of_levels.append((of_values, torch.stack(of_places, -1), of_weights))
    return _joined(of_levels, values, places, weights)


@_deform_attention_backward.register_kernel(("cuda", "mps"))
def _sampled_backward(
    grad: Tensor, values: Tensor, sides: Sequence[int], places: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    count, _, heads, channels = values.shape
    outer = grad.transpose(1, 2).reshape(count * heads, channels, -1, 1)
    of_levels = []
    for level in _levels(values, sides, places, weights):
        planes, grid, share = _planes(level)
        here = outer.to(planes.dtype)
        of_weights = (F.grid_sample(planes, grid, align_corners=False) * here).sum(1)
        of_planes, of_grid = torch.ops.aten.grid_sampler_2d_backward(
            here * share, planes, grid, 0, 0, False, (True, True)
        )
        of_values = of_planes.view(count, heads, channels, -1).permute(0, 3, 1, 2)
        of_places, of_weights = (
            part.unflatten(0, (count, heads)).transpose(1, 2) for part in (2 * of_grid, of_weights)
        )
        of_levels.append((of_values, of_places, of_weights))
    return _joined(of_levels, values, places, weights)


def _joined(
    of_levels: Sequence[tuple[Tensor, Tensor, Tensor]], values: Tensor, places: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The levels' gradients of values ``[N, H W, M, D]``, places ``[N, Q, M, P, 2]`` and weights as the arguments'."""
    of_values, of_places, of_weights = zip(*of_levels, strict=True)
    return (
        torch.cat(of_values, 1).to(values.dtype),
        torch.stack(of_places, 3).to(places.dtype),
        torch.stack(of_weights, 3).to(weights.dtype),
    )


@_deform_attention_backward.register_fake
def _deform_attention_backward_shape(
    grad: Tensor, values: Tensor, sides: Sequence[int], places: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return values.new_empty(values.shape), places.new_empty(places.shape), weights.new_empty(weights.shape)


def _remember(ctx: Any, inputs: tuple[Tensor, Sequence[int], Tensor, Tensor], output: Tensor) -> None:
    values, ctx.sides, places, weights = inputs
    ctx.save_for_backward(values, places, weights)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
    values, places, weights = ctx.saved_tensors
    of_values, of_places, of_weights = torch.ops.detzoo.deform_attention_backward(
        grad, values, ctx.sides, places, weights
    )
    return of_values, None, of_places, of_weights


_deform_attention.register_autograd(_backward, setup_context=_remember)
