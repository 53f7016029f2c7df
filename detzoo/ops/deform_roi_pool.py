"""Deformable RoI pooling: RoIAlign of which every bin stands at a shift of its own.

As RoIAlign a weighted sum of cells for each bin, the same for all channels, which is what an embedding bag computes; so
is its slope, by which shifts are learned. One operator of plain torch for every device, over all images and levels. How
many samples there are is known to the data alone: on CUDA the host waits for that number, within the operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detzoo.ops.boxes import full_precision
from detzoo.ops.roi_align import Atlas, rows_of, weighted_sums, with_image

_FAR = 1e6  # cells: outside of every level


def deform_roi_pool(
    atlas: Atlas, boxes: Tensor, levels: Tensor, offsets: Tensor, size: int, sampling: int = 0, reach: float = 0.1
) -> Tensor:
    """Features of RoIs as `detzoo.ops.roi_align.roi_align` gives them, each bin moved by its offset.

    Deformable Convolutional Networks, equation 6 (arXiv:1703.06211), with the half-pixel shift and the samples of
    RoIAlign: as many as for the bin where it was, beyond the level by more than a cell zeros. Gradients of maps and
    offsets are exact, also where a sample reads the level's edge: there moving it changes nothing. (MMCV's kernel
    takes other slopes there.) Positions and sums are float32 at least.

    Beside the result and a copy of the maps some 280 bytes are taken for each sample of a bin, and in the backward pass
    two more results. 1000 RoIs of 7 x 7 bins with 9 samples each: 441,000 samples, 123 MB.

    Args:
        atlas: of the pyramid.
        boxes: ``[N, R, 4]`` xyxy pixels of the network input, inside the image; an empty slot of zeros gives zeros.
        levels: int64 ``[N, R]``, the level each RoI is pooled from.
        offsets: ``[N * R, 2, size, size]`` right and down; one that is not finite moves its bin outside.
        size: bins per side.
        sampling: samples per bin and side; 0: as many as a bin has feature cells.
        reach: how far an offset of 1 moves, as a share of the RoI's width and height.

    Returns:
        ``[N * R, C, size, size]`` in the type of the features.
    """
    rois = with_image(boxes.detach() / (atlas.strides[0] << levels).unsqueeze(-1))
    moves = full_precision(offsets) * (reach * (rois[:, 3:] - rois[:, 1:3]))[..., None, None]
    return torch.ops.detzoo.deform_roi_pool(atlas.maps, rois, levels.flatten(), moves, atlas.places, sampling)


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


def _taps(rois: Tensor, levels: Tensor, moves: Tensor, places: Sequence[int], sampling: int) -> _Taps:
    """Cells of RoIs ``[R, 5]``, in cells of their levels, whose bins are moved by ``[R, 2, size, size]`` cells."""
    size, rois = moves.shape[2], rois.nan_to_num(0.0)
    place = torch.tensor(places, device=rois.device).view(-1, 5)[levels]
    step = (rois[:, 3:] - rois[:, 1:3]) / size
    number = step.ceil().long() if sampling == 0 else torch.full_like(step, sampling, dtype=torch.int64)
    number = number.clamp(min=0).minimum(place[:, :2])
    bins = torch.arange(size, device=rois.device).expand(size, size)
    bins = torch.stack([bins, bins.T]) * step[..., None, None]
    start = bins + rois[:, 1:3, None, None] - 0.5 + moves.nan_to_num(_FAR, _FAR, -_FAR)
    # one sample after the other, row by row of its bin
    samples = number.prod(1).repeat_interleave(size**2)
    owner = torch.arange(len(samples), device=rois.device).repeat_interleave(samples)
    roi, rank = owner // size**2, torch.arange(len(owner), device=rois.device)
    rank -= (samples.cumsum(0) - samples)[owner]
    columns, (limit, place) = number[roi, 0], place[roi].split([2, 3], 1)
    sample = torch.stack([rank % columns, rank // columns], 1)
    at = rows_of(start)[owner] + (sample + 0.5) * (step / number.clamp(min=1))[roi]
    share = ((at >= -1) & (at <= limit)).all(1) / samples[owner].to(at.dtype)
    moving = ((at > 0) & (at < limit - 1)).to(at.dtype)
    at = at.clamp(min=0).minimum(limit - 1)
    cell, part = at.floor(), at.frac()
    across, down = torch.stack([cell, (cell + 1).minimum(limit - 1)], 2).long().unbind(1)
    first = place[:, 0] + place[:, 2] * rois[:, 0].long()[roi]
    cells = (first[:, None] + down * place[:, 1:2])[:, :, None] + across[:, None]
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
    cell, weight, _, number = _taps(rois, levels, moves, places, sampling)
    bins = weighted_sums(cell, _cells(maps), weight, number)
    return bins.view(len(rois), *moves.shape[2:], maps[0].shape[1]).permute(0, 3, 1, 2)


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
    cell, weight, slopes, number = _taps(rois, levels, moves, places, sampling)
    cells, bins = _cells(maps), rows_of(grad)
    of_bins = [(full_precision(weighted_sums(cell, cells, slope, number)) * bins).sum(1) for slope in slopes]
    of_moves = torch.stack(of_bins, 1).view(-1, *moves.shape[2:], 2).permute(0, 3, 1, 2)
    # the other way round: every cell a weighted sum of bins
    order = cell.argsort()
    owner = torch.arange(len(bins), device=grad.device).repeat_interleave(number)
    of_cells = weighted_sums(owner[order], bins, weight[order], cell.bincount(minlength=len(cells)))
    parts = of_cells.split([len(features) * features[0, 0].numel() for features in maps])
    grads = [
        part.clone().view(len(features), *features.shape[2:], -1).permute(0, 3, 1, 2)
        for part, features in zip(parts, maps, strict=True)
    ]
    return grads, of_moves.to(moves.dtype)


@_deform_roi_pool_backward.register_fake
def _deform_roi_pool_backward_shape(
    grad: Tensor,
    maps: Sequence[Tensor],
    rois: Tensor,
    levels: Tensor,
    moves: Tensor,
    places: Sequence[int],
    sampling: int,
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
