"""Deformable RoI pooling: RoIAlign of which every bin stands at a shift of its own.

As RoIAlign a weighted sum of cells for each bin, the same for all channels, which is what an embedding bag computes; so
is its slope, by which shifts are learned. One operator over all images and levels, of plain torch, but on CUDA a Triton
program (`detzoo.ops.deform_roi_pool_triton`): how many samples there are is known to the data alone, and stays there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detzoo.ops.boxes import full_precision
from detzoo.ops.roi_align import Atlas, roi_align, rows_of, weighted_sums, with_image

_FAR = 1e6  # cells: outside of every level


def deform_roi_pool(
    atlas: Atlas, boxes: Tensor, levels: Tensor, offsets: Tensor, sampling: int = 0, reach: float = 0.1
) -> Tensor:
    """Features of RoIs as `detzoo.ops.roi_align.roi_align` gives them, each bin moved by its offset.

    Deformable Convolutional Networks, equation 6 (arXiv:1703.06211), with the half-pixel shift and the samples of
    RoIAlign: as many as for the bin where it was, beyond the level by more than a cell zeros. Gradients of maps and
    offsets are exact, also where a sample reads the level's edge: there moving it changes nothing. (MMCV's kernel
    takes other slopes there.) Positions and sums are float32 at least.

    Beside the result a copy of the maps is taken, in the backward pass two more results, and but on CUDA some 280 bytes
    for each sample of a bin. 1000 RoIs of 7 x 7 bins with 9 samples each: 441,000 samples, 123 MB.

    Args:
        atlas: of the pyramid.
        boxes: ``[N, R, 4]`` xyxy pixels of the network input, inside the image; an empty slot of zeros gives zeros.
        levels: int64 ``[N, R]``, the level each RoI is pooled from.
        offsets: ``[N * R, 2, size, size]`` right and down; one that is not finite moves its bin outside.
        sampling: samples per bin and side; 0: as many as a bin has feature cells.
        reach: how far an offset of 1 moves, as a share of the RoI's width and height.

    Returns:
        ``[N * R, C, size, size]`` in the type of the features.
    """
    rois = with_image(boxes.detach() / (atlas.strides[0] << levels).unsqueeze(-1))
    moves = full_precision(offsets) * (reach * (rois[:, 3:] - rois[:, 1:3]))[..., None, None]
    return torch.ops.detzoo.deform_roi_pool(atlas.maps, rois, levels.flatten(), moves, atlas.places, sampling)


def roi_align_beyond(atlas: Atlas, boxes: Tensor, levels: Tensor, size: int, sampling: int = 0) -> Tensor:
    """Features ``[N * R, C, size, size]`` of boxes ``[N, R, 4]``, with zeros where they reach beyond the image.

    Other arguments as of `detzoo.ops.roi_align.roi_align`. On the canvas of other devices than a CPU there are other
    levels beside: there these bins are deformable ones that stay.
    """
    if boxes.device.type == "cpu":
        return roi_align(atlas, boxes, levels, size, sampling)
    return deform_roi_pool(atlas, boxes, levels, boxes.new_zeros(levels.numel(), 2, size, size), sampling)


class _Taps(NamedTuple):
    """The cells that B bins are sums of, four for each of T samples, bin after bin.

    Attributes:
        cell: int64 ``[4 T]``, among those of all maps.
        weight: ``[4 T]``.
        slopes: ``[4 T]`` each, by how much the weight grows as the bin moves right, and down.
        number: int64 ``[B]``, how many cells each bin has.
    """

    cell: Tensor
    weight: Tensor
    slopes: tuple[Tensor, Tensor]
    number: Tensor


class _Bins(NamedTuple):
    """Where the bins of R RoIs lie, in cells of the RoIs' levels.

    Attributes:
        place: int64 ``[R, 4]``: columns and rows of the level, its first cell, and how many further the next row is.
        number: int64 ``[R, 2]``, samples of a bin to the right and down.
        step: ``[R, 2]``, how wide and high a bin is.
        start: ``[R, 2, size, size]``, where each begins.
    """

    place: Tensor
    number: Tensor
    step: Tensor
    start: Tensor


def _bins(rois: Tensor, levels: Tensor, moves: Tensor, places: Sequence[int], sampling: int) -> _Bins:
    """Bins of RoIs ``[R, 5]``, in cells of their levels, that are moved by ``[R, 2, size, size]`` cells."""
    size, rois = moves.shape[2], rois.nan_to_num(0.0)
    # filled on the device: a table copied there would make the host wait
    table = torch.stack([levels.new_full((), value) for value in places]).view(-1, 5)[levels]
    place = torch.cat([table[:, :2], (table[:, 2] + table[:, 4] * rois[:, 0].long())[:, None], table[:, 3:4]], 1)
    step = (rois[:, 3:] - rois[:, 1:3]) / size
    number = step.ceil().long() if sampling == 0 else torch.full_like(step, sampling, dtype=torch.int64)
    number = number.clamp(min=0).minimum(place[:, :2])
    bins = torch.arange(size, device=rois.device).expand(size, size)
    bins = torch.stack([bins, bins.T]) * step[..., None, None]
    return _Bins(place, number, step, bins + rois[:, 1:3, None, None] - 0.5 + moves.nan_to_num(_FAR, _FAR, -_FAR))


def _taps(bins: _Bins) -> _Taps:
    """What these bins are sums of."""
    place, number, step, start = bins
    size = start.shape[2]
    # one sample after the other, row by row of its bin
    samples = number.prod(1).repeat_interleave(size**2)
    owner = torch.arange(len(samples), device=place.device).repeat_interleave(samples)
    roi, rank = owner // size**2, torch.arange(len(owner), device=place.device)
    rank -= (samples.cumsum(0) - samples)[owner]
    columns, (limit, place) = number[roi, 0], place[roi].split(2, 1)
    sample = torch.stack([rank % columns, rank // columns], 1)
    at = rows_of(start)[owner] + (sample + 0.5) * (step / number.clamp(min=1))[roi]
    share = ((at >= -1) & (at <= limit)).all(1) / samples[owner].to(at.dtype)
    moving = ((at > 0) & (at < limit - 1)).to(at.dtype)
    at = at.clamp(min=0).minimum(limit - 1)
    cell, part = at.floor(), at.frac()
    across, down = torch.stack([cell, (cell + 1).minimum(limit - 1)], 2).long().unbind(1)
    cells = (place[:, :1] + down * place[:, 1:])[:, :, None] + across[:, None]
    (wide, high), (right, below) = (
        torch.stack([low, up], 2).unbind(1) for low, up in ((1 - part, part), (-moving, moving))
    )
    weight, *slopes = (
        (share[:, None, None] * y[:, :, None] * x[:, None]).flatten()
        for y, x in ((high, wide), (high, right), (below, wide))
    )
    return _Taps(cells.flatten(), weight, (slopes[0], slopes[1]), samples * 4)


def _cells(maps: Sequence[Tensor]) -> Tensor:
    """The cells of all maps, a row of channels each."""
    return rows_of(maps[0]) if len(maps) == 1 else torch.cat([rows_of(features) for features in maps])


@torch.library.custom_op("detzoo::deform_roi_pool", mutates_args=())
def _deform_roi_pool(
    maps: Sequence[Tensor], rois: Tensor, levels: Tensor, moves: Tensor, places: Sequence[int], sampling: int
) -> Tensor:
    cell, weight, _, number = _taps(_bins(rois, levels, moves, places, sampling))
    bins = weighted_sums(cell, _cells(maps), weight, number)
    return bins.view(len(rois), *moves.shape[2:], maps[0].shape[1]).permute(0, 3, 1, 2)


@_deform_roi_pool.register_kernel("cuda")
def _deform_roi_pool_cuda(
    maps: Sequence[Tensor], rois: Tensor, levels: Tensor, moves: Tensor, places: Sequence[int], sampling: int
) -> Tensor:
    from detzoo.ops.deform_roi_pool_triton import pool

    return pool(_cells(maps), *_bins(rois, levels, moves, places, sampling)).permute(0, 3, 1, 2)


@_deform_roi_pool.register_fake
def _deform_roi_pool_shape(
    maps: Sequence[Tensor], rois: Tensor, levels: Tensor, moves: Tensor, places: Sequence[int], sampling: int
) -> Tensor:
    return _empty(maps[0], rois.shape[0], maps[0].shape[1], *moves.shape[2:])


def _empty(like: Tensor, count: int, channels: int, height: int, width: int) -> Tensor:
    """``[N, C, H, W]``, channels last in memory."""
    return like.new_empty(count, height, width, channels).permute(0, 3, 1, 2)


@torch.library.custom_op("detzoo::deform_roi_pool_backward", mutates_args=())
def _deform_roi_pool_backward(
    grad: Tensor,
    maps: Sequence[Tensor],
    rois: Tensor,
    levels: Tensor,
    moves: Tensor,
    places: Sequence[int],
    sampling: int,
) -> tuple[list[Tensor], Tensor]:
    cell, weight, slopes, number = _taps(_bins(rois, levels, moves, places, sampling))
    cells, bins = _cells(maps), rows_of(grad)
    of_bins = [(full_precision(weighted_sums(cell, cells, slope, number)) * bins).sum(1) for slope in slopes]
    of_moves = torch.stack(of_bins, 1).view(-1, *moves.shape[2:], 2).permute(0, 3, 1, 2)
    # the other way round: every cell a weighted sum of bins
    order = cell.argsort()
    owner = torch.arange(len(bins), device=grad.device).repeat_interleave(number)
    of_cells = weighted_sums(owner[order], bins, weight[order], cell.bincount(minlength=len(cells)))
    return _by_map(of_cells, maps), of_moves.to(moves.dtype)


@_deform_roi_pool_backward.register_kernel("cuda")
def _deform_roi_pool_backward_cuda(
    grad: Tensor, maps: Sequence[Tensor], rois: Tensor, levels: Tensor, moves: Tensor, *given: Any
) -> tuple[list[Tensor], Tensor]:
    from detzoo.ops.deform_roi_pool_triton import pool_backward

    bins = _bins(rois, levels, moves, *given)
    of_cells, of_moves = pool_backward(grad.permute(0, 2, 3, 1), _cells(maps), *bins)
    return _by_map(of_cells.to(maps[0].dtype), maps), of_moves.to(moves.dtype)


def _by_map(rows: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
    """Rows of cells as maps again; the other way than `_cells`."""
    parts = rows.split([len(features) * features[0, 0].numel() for features in maps])
    return [
        part.clone().view(len(features), *features.shape[2:], -1).permute(0, 3, 1, 2)
        for part, features in zip(parts, maps, strict=True)
    ]


@_deform_roi_pool_backward.register_fake
def _deform_roi_pool_backward_shape(
    grad: Tensor, maps: Sequence[Tensor], rois: Tensor, levels: Tensor, moves: Tensor, *given: Any
) -> tuple[list[Tensor], Tensor]:
    return [_empty(features, *features.shape) for features in maps], _empty(moves, *moves.shape)


def _remember(
    ctx: Any, inputs: tuple[Sequence[Tensor], Tensor, Tensor, Tensor, Sequence[int], int], output: Tensor
) -> None:
    maps, rois, levels, moves, ctx.places, ctx.sampling = inputs
    ctx.save_for_backward(rois, levels, moves, *maps)


def _backward(ctx: Any, grad: Tensor) -> tuple[list[Tensor], None, None, Tensor, None, None]:
    rois, levels, moves, *maps = ctx.saved_tensors
    grads, of_moves = torch.ops.detzoo.deform_roi_pool_backward(
        grad, maps, rois, levels, moves, ctx.places, ctx.sampling
    )
    return grads, None, None, of_moves, None, None


_deform_roi_pool.register_autograd(_backward, setup_context=_remember)
