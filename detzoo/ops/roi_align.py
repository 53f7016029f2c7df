"""RoIAlign from a whole feature pyramid in one operator call.

On processors it is an operator of our own, many times faster than torchvision's, forward and backward: RoIAlign is a
linear map that is the same for all channels, every bin a weighted sum of cells. That is what an embedding bag computes,
a row of C channels at a time and on all cores, in half precision too. Elsewhere it is torchvision's.

The levels of a pyramid have different sizes, so pooling each RoI from its own level usually loops over levels and
picks RoIs by index, with shapes that depend on the data. On processors that happens inside of the operator. Elsewhere
the levels are first laid out on one canvas, each with a border that repeats its edge pixels; a RoI on any level is then
a RoI on the canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.ops.boxes import full_precision
from detzoo.ops.mask_windows import MaskWindows

_ROIS = 128  # pooled together on a processor: what they need stays in its cache
_SUMS, _TAPS = 1 << 21, 1 << 18  # of masks, likewise: sums over rows; pixels of bins whose samples are looked at


@dataclass(frozen=True, slots=True)
class Atlas:
    """Feature levels that RoIs are pooled from: as they are on a processor, on one canvas elsewhere.

    On the canvas level 0 lies on top, the others in a row below it, each with a border of one cell. Level l > 0 starts
    at column ``shelf * (1 - 2 / 2^l)``, so that a RoI's place follows from its level by arithmetic: a table of places
    would have to be copied to the device.

    Attributes:
        maps: ``[N, C, H_l, W_l]`` of each level, or the canvas ``[N, C, H', W']`` alone.
        strides: image pixels per feature cell of each level, each twice the one before.
        below: row of the canvas at which the levels above 0 start; 0 if there are none.
        shelf: width that their row would have with endlessly many levels.
        places: where the cells of each level lie among those of all maps, one map after the other: five numbers for
            each level, its columns, its rows, its first cell, and how many cells further the next row and image are.
    """

    maps: tuple[Tensor, ...]
    strides: tuple[int, ...]
    places: tuple[int, ...]
    below: int = 0
    shelf: int = 0


def build_atlas(levels: Sequence[Tensor], strides: Sequence[int]) -> Atlas:
    """Make pyramid levels ``[N, C, H_l, W_l]``, finest first, ready to be pooled from.

    Raises:
        ValueError: the strides do not double from level to level.
    """
    strides = tuple(strides)
    if len(strides) != len(levels) or any(stride != strides[0] << level for level, stride in enumerate(strides)):
        raise ValueError(f"RoIs are pooled from levels whose strides double, got {strides} for {len(levels)} levels")
    if levels[0].device.type != "cpu":
        return _lay_out(levels, strides)
    places, first = [], 0
    for level in levels:
        images, _, height, width = level.shape
        places += [width, height, first, width, height * width]
        first += images * height * width
    return Atlas(tuple(levels), strides, tuple(places))


def _lay_out(levels: Sequence[Tensor], strides: tuple[int, ...]) -> Atlas:
    """The levels on one canvas, in planes: torchvision's operator would copy anything else at every call."""
    # the border reproduces RoIAlign's clamping of samples up to one cell outside a level
    framed = [F.pad(level, (1, 1, 1, 1), mode="replicate") for level in levels]
    first, *others = [level.contiguous() for level in framed]
    if not others:
        return Atlas((first,), strides, _places(first, levels))
    unit = 1 << (len(others) - 1)  # keeps every start whole
    shelf = max(-(-level.shape[3] * 2**number // unit) * unit for number, level in enumerate(others, 1))
    row = shelf - shelf // unit + others[-1].shape[3]
    width, height = max(first.shape[3], row), max(level.shape[2] for level in others)
    cells = []
    for number, level in enumerate(others, 1):
        end = width if level is others[-1] else shelf - (shelf >> number)
        room = end - (shelf - (shelf * 2 >> number))
        cells.append(F.pad(level, (0, room - level.shape[3], 0, height - level.shape[2])))
    if width > first.shape[3]:
        first = F.pad(first, (0, width - first.shape[3]))
    canvas, below = torch.cat([first, torch.cat(cells, 3)], 2), first.shape[2]
    return Atlas((canvas,), strides, _places(canvas, levels, below, shelf), below, shelf)


def _places(canvas: Tensor, levels: Sequence[Tensor], below: int = 0, shelf: int = 0) -> tuple[int, ...]:
    """`Atlas.places` of levels on a canvas, whose borders are no cells of theirs."""
    (height, width), places = canvas.shape[2:], []
    for number, level in enumerate(levels):
        top, left = (below if number else 0) + 1, max(0, shelf - (shelf * 2 >> number)) + 1
        places += [level.shape[3], level.shape[2], top * width + left, width, height * width]
    return tuple(places)


def roi_align(atlas: Atlas, boxes: Tensor, levels: Tensor, size: int, sampling: int = 0) -> Tensor:
    """Features of RoIs, bilinearly sampled at half-pixel-exact positions and averaged per bin.

    Mask R-CNN, section 3 (arXiv:1703.06870), with the half-pixel shift of Detectron2 ("aligned"). Positions and sums
    are float32 at least, whatever the features are; on processors what a cell weighs is rounded as these are.

    Args:
        atlas: of the pyramid.
        boxes: ``[N, R, 4]`` xyxy pixels of the network input, inside the image; an empty slot of zeros gives zeros.
        levels: int64 ``[N, R]``, the level each RoI is pooled from.
        size: bins per side.
        sampling: samples per bin and side; 0: as many as a bin has feature cells.

    Returns:
        ``[N * R, C, size, size]`` in the type of the features.
    """
    power = 1 << levels
    placed = boxes.detach() / (power * atlas.strides[0]).unsqueeze(-1)
    if boxes.device.type != "cpu":
        left = (atlas.shelf - atlas.shelf * 2 // power).clamp(min=0) + 1
        top = (levels > 0) * atlas.below + 1
        placed = placed + torch.stack([left, top, left, top], -1)
    return torch.ops.detzoo.roi_align(atlas.maps, with_image(placed), levels.flatten(), size, sampling)


def with_image(boxes: Tensor) -> Tensor:
    """Boxes ``[N, R, 4]`` as rows of image, x1, y1, x2, y2: ``[N * R, 5]``, in float32 at least."""
    image = torch.arange(boxes.shape[0], dtype=boxes.dtype, device=boxes.device).view(-1, 1, 1)
    return full_precision(torch.cat([image.expand(-1, boxes.shape[1], -1), boxes], 2).flatten(0, 1))


@torch.library.custom_op("detzoo::roi_align", mutates_args=(), device_types=("cuda", "mps"))
def _roi_align(maps: Sequence[Tensor], rois: Tensor, levels: Tensor, size: int, sampling: int) -> Tensor:
    from torchvision.ops import roi_align as torchvision_roi_align  # late: importing it takes a second

    canvas = full_precision(maps[0])  # coordinates need it, and there they have the type of the features
    return torchvision_roi_align(canvas, rois.to(canvas.dtype), size, 1.0, sampling, aligned=True).to(maps[0].dtype)


@_roi_align.register_kernel("cpu")
def _roi_align_cpu(maps: Sequence[Tensor], rois: Tensor, levels: Tensor, size: int, sampling: int) -> Tensor:
    channels = maps[0].shape[1]
    bins = maps[0].new_empty(len(rois), size, size, channels)
    for level, features in enumerate(maps):
        cells = rows_of(features)
        for some in (levels == level).nonzero().squeeze(1).split(_ROIS):
            height, width = features.shape[2:]
            index, weight, samples = _samples(rois[some], size, height, width, sampling)
            rows = weighted_sums(index, cells, weight, samples)
            bins[some] = rows.view(-1, size, size, channels)
    return bins.permute(0, 3, 1, 2)


@_roi_align.register_fake
def _roi_align_shape(maps: Sequence[Tensor], rois: Tensor, levels: Tensor, size: int, sampling: int) -> Tensor:
    rows = maps[0].new_empty(rois.shape[0], size, size, maps[0].shape[1])
    return rows.permute(0, 3, 1, 2) if rows.device.type == "cpu" else rows.permute(0, 3, 1, 2).contiguous()


@torch.library.custom_op("detzoo::roi_align_backward", mutates_args=(), device_types=("cuda", "mps"))
def _roi_align_backward(
    grad: Tensor, rois: Tensor, levels: Tensor, shapes: Sequence[int], sampling: int
) -> list[Tensor]:
    """Gradients of the maps, whose ``shapes`` are given as N and then each height and width."""
    images, height, width = shapes
    wide, (channels, size) = full_precision(grad), grad.shape[1:3]
    sizes = (1.0, size, size, images, channels, height, width)
    of_canvas = torch.ops.torchvision._roi_align_backward(wide, rois.to(wide.dtype), *sizes, sampling, True)
    return [of_canvas.to(grad.dtype)]


@_roi_align_backward.register_kernel("cpu")
def _roi_align_backward_cpu(
    grad: Tensor, rois: Tensor, levels: Tensor, shapes: Sequence[int], sampling: int
) -> list[Tensor]:
    size, grads = grad.shape[2], []
    images, *sides = shapes
    for level, (height, width) in enumerate(zip(sides[0::2], sides[1::2], strict=True)):
        mine = (levels == level).nonzero().squeeze(1)
        parts = [_samples(some, size, height, width, sampling) for some in rois[mine].split(_ROIS)]
        index, weight, samples = (torch.cat(part) for part in zip(*parts, strict=True))
        # the other way round: every cell a weighted sum of bins
        bins = torch.arange(len(samples), dtype=index.dtype).repeat_interleave(samples)
        index, order = index.sort()
        count = index.bincount(minlength=images * height * width)
        rows = weighted_sums(bins[order], rows_of(grad[mine]), weight[order], count.to(index.dtype))
        grads.append(rows.view(images, height, width, -1).permute(0, 3, 1, 2))
    return grads


def rows_of(maps: Tensor) -> Tensor:
    """The cells of ``[N, C, H, W]``, a row of channels each: ``[N * H * W, C]``."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def weighted_sums(index: Tensor, rows: Tensor, weight: Tensor, numbers: Tensor) -> Tensor:
    """Weighted sums of ``rows [K, C]``: of the first ``numbers[0]`` that ``index`` names, of the next, and so on."""
    starts = (numbers.cumsum(0) - numbers).to(index.dtype)
    return F.embedding_bag(index, rows, starts, mode="sum", per_sample_weights=weight.to(rows.dtype))


@_roi_align_backward.register_fake
def _roi_align_backward_shape(
    grad: Tensor, rois: Tensor, levels: Tensor, shapes: Sequence[int], sampling: int
) -> list[Tensor]:
    images, *sides = shapes
    grads = [
        grad.new_empty(images, height, width, grad.shape[1]).permute(0, 3, 1, 2)
        for height, width in zip(sides[0::2], sides[1::2], strict=True)
    ]
    return grads if grad.device.type == "cpu" else [part.contiguous() for part in grads]


def _remember(ctx: Any, inputs: tuple[Sequence[Tensor], Tensor, Tensor, int, int], output: Tensor) -> None:
    maps, rois, levels, _, sampling = inputs
    ctx.save_for_backward(rois, levels)
    ctx.shapes = [maps[0].shape[0], *(side for level in maps for side in level.shape[2:])]
    ctx.sampling = sampling


def _backward(ctx: Any, grad: Tensor) -> tuple[list[Tensor], None, None, None, None]:
    grads = torch.ops.detzoo.roi_align_backward(grad, *ctx.saved_tensors, ctx.shapes, ctx.sampling)
    return grads, None, None, None, None


_roi_align.register_autograd(_backward, setup_context=_remember)


def _samples(rois: Tensor, size: int, height: int, width: int, sampling: int) -> tuple[Tensor, Tensor, Tensor]:
    """The cells of ``H x W`` planes that each bin of ``rois [R, 5]`` is a sum of: their index among those of all
    images (int32), their weight, and how many cells each of the R * size * size bins has, bin after bin."""
    rois = rois.nan_to_num(0.0)
    axes = []
    for low, limit in ((1, width), (2, height)):
        line = _sample(rois[:, low] - 0.5, (rois[:, low + 2] - rois[:, low]) / size, size, limit, sampling)
        share = line.number.clamp(min=1).to(rois.dtype)[:, None, None]
        inside = line.inside / share
        part = line.part * inside
        # the two cells of a sample, one behind the other: [R, size, 2 samples]
        cells = torch.cat([line.cell, (line.cell + 1).clamp(max=limit - 1)], 2)
        axes.append((cells, torch.cat([inside - part, part], 2)))
    (columns, across), (rows, down) = axes
    rows = (rows + rois[:, 0].int()[:, None, None] * height) * width
    index = rows[:, :, None, :, None] + columns[:, None, :, None, :]
    weight = down[:, :, None, :, None] * across[:, None, :, None, :]
    index, weight = index.flatten(3).flatten(0, 2), weight.flatten(3).flatten(0, 2).to(rois.dtype)
    used = weight != 0
    return index[used], weight[used], used.sum(1, dtype=index.dtype)


class _Line(NamedTuple):
    """Where the bins of R RoIs are sampled along one axis.

    Attributes:
        cell: int32 ``[R, size, samples]``, the cell whose middle lies before a sample.
        part: ``[R, size, samples]``, how far the sample is on the way to the next cell's.
        inside: bool ``[R, size, samples]``, samples that count.
        number: int64 ``[R]``, samples of each bin.
    """

    cell: Tensor
    part: Tensor
    inside: Tensor
    number: Tensor


def _sample(start: Tensor, step: Tensor, size: int, limit: int, sampling: int) -> _Line:
    """Samples of ``size`` bins that begin at ``start [R]`` and are ``step [R]`` of ``limit`` cells wide."""
    # adaptive: as many samples per bin and side as it has cells
    number = (step.ceil().long() if sampling == 0 else torch.full_like(step, sampling).long()).clamp(0, limit)
    sample = torch.arange(max(1, int(number.max())) if len(number) else 0, dtype=start.dtype)
    share = number.clamp(min=1).to(start.dtype)[:, None, None]
    start, step = start[:, None, None], step[:, None, None]
    at = start + torch.arange(size)[:, None] * step + (sample + 0.5) * step / share
    inside = (sample < number[:, None, None]) & (at >= -1) & (at <= limit)
    at = at.clamp(0, limit - 1)
    cell = at.floor()
    return _Line(cell.int(), at - cell, inside, number)


def pyramid_levels(boxes: Tensor, count: int, finest: float = 56.0) -> Tensor:
    """The level that each RoI is pooled from: int64 ``[...]`` for boxes ``[..., 4]``.

    FPN, equation 1 (arXiv:1612.03144): RoIs below ``2 * finest`` pixels of scale use level 0, each doubling one more.
    """
    scale = ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])).clamp(min=0).sqrt()
    # NaN, of a box that training has lost, would be no level at all
    return torch.floor(torch.log2(scale / finest + 1e-6)).clamp(0, count - 1).nan_to_num(0.0).long()


def crop_targets(masks: MaskWindows, boxes: Tensor, index: Tensor, size: int) -> Tensor:
    """Training targets of a mask head: ground truth masks pooled to a grid spanning each RoI.

    RoIAlign with half-pixel shift and as many samples per bin as it has pixels, then ``>= 0.5``; bit for bit
    torchvision's of whole float32 masks. Boxes are first clipped to the canvas.

    Args:
        masks: of a batch, G per image.
        boxes: ``[N, S, 4]`` xyxy pixels; an empty slot of zeros is allowed and gives a meaningless target.
        index: int64 ``[N, S]``, which of its image's G masks belongs to each RoI.
        size: bins per side.

    Returns:
        float32 ``[N, S, size, size]`` of 0 and 1.
    """
    (height, width), (images, slots) = masks.canvas, masks.starts.shape
    boxes = boxes.detach().float().nan_to_num(0.0)  # the losses of lost boxes are NaN anyway
    rois = torch.stack([boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)], -1).view(-1, 4)
    owner = (index + torch.arange(images, device=index.device).unsqueeze(1) * slots).flatten()
    places = masks.starts.flatten(), masks.windows.flatten(0, 1)
    targets = torch.ops.detzoo.crop_masks(masks.bits, *places, rois, owner, height, width, size)
    return targets.view(*index.shape, size, size)


def pixels_inside(masks: MaskWindows, boxes: Tensor, index: Tensor) -> Tensor:
    """How many set pixels of a mask lie inside a box: int64 ``[N, S]``.

    Costs a running sum over the bytes of all masks, and two look-ups for each box and row of the canvas.

    Args:
        masks: of a batch, G per image.
        boxes: int64 ``[N, S, 4]`` xyxy, pixels of the canvas; ``x2`` and ``y2`` are outside.
        index: int64 ``[N, S]``, which of its image's G masks belongs to each box.
    """
    windows = masks.windows.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
    left, top, right = windows.unsqueeze(-2).unbind(-1)[:3]  # each [N, S, 1]
    low, high = torch.maximum(boxes[..., :2], windows[..., :2]), torch.minimum(boxes[..., 2:], windows[..., 2:])
    high = torch.maximum(low, high)
    y = torch.arange(masks.canvas[0], device=boxes.device)
    rows = (y >= low[..., 1:]) & (y < high[..., 1:])
    begin = masks.starts.gather(1, index).unsqueeze(-1) * 8 + (y - top) * (right - left) - left
    before = [torch.where(rows, begin + end[..., :1], 0) for end in (low, high)]
    total = _set_bits(masks.bits.long()).cumsum(0)
    counts = []
    for bit in before:  # set bits of all masks up to this one
        byte = masks.bits[bit >> 3].long()
        counts.append(total[bit >> 3] - _set_bits(byte & (0xFF >> (bit & 7))))
    return (counts[1] - counts[0]).sum(-1)


def _set_bits(values: Tensor) -> Tensor:
    """How many bits are set in each of some bytes: int64 ``[...]`` for int64 ``[...]``."""
    values = values - ((values >> 1) & 0x55)
    values = (values & 0x33) + ((values >> 2) & 0x33)
    return (values + (values >> 4)) & 0x0F


@torch.library.custom_op("detzoo::crop_masks", mutates_args=(), device_types="cuda")
def _crop_masks(
    bits: Tensor, starts: Tensor, windows: Tensor, rois: Tensor, owner: Tensor, height: int, width: int, size: int
) -> Tensor:
    from detzoo.ops.mask_windows_triton import crop

    return crop(bits, starts, windows, rois, owner, height, width, size)


@_crop_masks.register_kernel("cpu")
def _crop_masks_cpu(
    bits: Tensor, starts: Tensor, windows: Tensor, rois: Tensor, owner: Tensor, height: int, width: int, size: int
) -> Tensor:
    """Means of bins come from sums over rows, then over columns; only those near 1/2 are summed sample by sample.

    Costs the areas of the RoIs and of their masks' windows, and in memory a float copy of one window.
    """
    order = owner.argsort()  # RoIs of one mask one after the other
    owner, rois = owner[order], rois[order] - 0.5
    across, down = (
        _sample(rois[:, low], (rois[:, low + 2] - rois[:, low]) / size, size, limit, 0)
        for low, limit in ((0, width), (1, height))
    )
    samples = (across.number * down.number).clamp(min=1)
    means = torch.zeros(len(rois), size, size)
    used, counts = owner.unique_consecutive(return_counts=True)
    ends = counts.cumsum(0)
    for mask, begin, end in zip(used.tolist(), (ends - counts).tolist(), ends.tolist(), strict=True):
        x1, y1, x2, y2 = windows[mask].tolist()
        if x2 > x1:
            pixels = unpacked(bits, int(starts[mask]), y2 - y1, x2 - x1)
            step = max(1, _SUMS // (size * (x2 - x1)))
            for some in (slice(first, min(first + step, end)) for first in range(begin, end, step)):
                rows, columns = _taps(down, some, y1, y2, height), _taps(across, some, x1, x2, width)
                means[some] = _window_sums(pixels, rows, columns)
    means /= samples[:, None, None]
    targets = (means >= 0.5).float()
    # a bound on how far rounding takes either way of adding up
    close = (samples + 2 * (down.number + across.number) + 64) * 2**-23
    roi, row, column = ((means - 0.5).abs() <= close[:, None, None]).nonzero(as_tuple=True)
    most = down.number[roi].amax() * across.number[roi].amax() if len(roi) else 1
    step = max(1, _TAPS // max(1, int(most)))
    for some in (slice(first, first + step) for first in range(0, len(roi), step)):
        bins = roi[some], row[some], column[some]
        places = starts[owner[bins[0]]], windows[owner[bins[0]]]
        targets[bins] = (_exact_means(bits, *places, down, across, *bins) >= 0.5).float()
    return torch.empty_like(targets).index_copy_(0, order, targets)


@_crop_masks.register_kernel("mps")
def _crop_masks_mps(
    bits: Tensor, starts: Tensor, windows: Tensor, rois: Tensor, owner: Tensor, height: int, width: int, size: int
) -> Tensor:
    there = [tensor.cpu() for tensor in (bits, starts, windows, rois, owner)]
    return torch.ops.detzoo.crop_masks(*there, height, width, size).to(rois.device)


@_crop_masks.register_fake
def _crop_masks_shape(
    bits: Tensor, starts: Tensor, windows: Tensor, rois: Tensor, owner: Tensor, height: int, width: int, size: int
) -> Tensor:
    return rois.new_empty(rois.shape[0], size, size)


def sample_masks(masks: MaskWindows, points: Tensor, index: Tensor) -> Tensor:
    """Ground truth masks, bilinearly sampled at single points.

    Args:
        masks: of a batch, G per image.
        points: ``[N, S, P, 2]`` x and y in pixels of the canvas, pixels being at halves; outside nothing is set.
        index: int64 ``[N, S]``, which of its image's G masks each P points are of.

    Returns:
        ``[N, S, P]`` in [0, 1], of the type of the points.
    """
    images, slots = masks.starts.shape
    owner = (index + torch.arange(images, device=index.device).unsqueeze(1) * slots).flatten()
    places = masks.starts.flatten()[owner], masks.windows.flatten(0, 1)[owner]
    at = points.detach().flatten(0, 1) - 0.5
    cell = at.floor()
    (right, below), (x, y) = (at - cell).split(1, 2), cell.long().split(1, 2)
    value = torch.zeros_like(right)
    for row, high in ((y, 1 - below), (y + 1, below)):
        for column, wide in ((x, 1 - right), (x + 1, right)):
            value = value + high * wide * pixels_at(masks.bits, *places, row, column)
    return value.view(points.shape[:3])


def _taps(line: _Line, some: slice, low: int, high: int, limit: int) -> tuple[Tensor, Tensor]:
    """Cells of a window from ``low`` to ``high`` and their weights in each bin: two ``[R, size, 2 samples]``."""
    cell, part, inside, number = (values[some] for values in line)
    samples = max(1, int(number.max()))
    cell, part, inside = cell[..., :samples], part[..., :samples], inside[..., :samples]
    cells = torch.cat([cell, (cell + 1).clamp(max=limit - 1)], 2)
    weights = torch.cat([1 - part, part], 2) * (inside.repeat(1, 1, 2) & (cells >= low) & (cells < high))
    return cells.clamp(low, high - 1).long() - low, weights


def _window_sums(pixels: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> Tensor:
    """Sums of a window ``[h, w]`` over the samples of each bin, from `_taps`: ``[R, size, size]``."""
    for cells, weights in (rows, columns):
        if pixels.dim() == 3:  # after the rows: a plane of columns for each RoI
            first = torch.arange(len(cells)) * pixels.shape[1]
            cells, pixels = cells + first[:, None, None], pixels.flatten(0, 1)
        bags = F.embedding_bag(cells.flatten(0, 1), pixels, mode="sum", per_sample_weights=weights.flatten(0, 1))
        pixels = bags.view(*cells.shape[:2], -1).mT.contiguous()
    return pixels


def _exact_means(
    bits: Tensor, starts: Tensor, windows: Tensor, down: _Line, across: _Line, roi: Tensor, row: Tensor, column: Tensor
) -> Tensor:
    """Means of K bins as RoIAlign adds them up, in float32 row by row: ``[K]``.

    ``starts [K]`` and ``windows [K, 4]`` are those of the bin's mask, ``roi``, ``row`` and ``column [K]`` its place.
    """
    import numpy as np

    rows, columns = int(down.number[roi].max()), int(across.number[roi].max())
    y, below, high = (values[roi, row, :rows, None] for values in down[:3])
    x, right, wide = (values[roi, column, None, :columns] for values in across[:3])
    value = torch.zeros(())
    for cell_y, weight_y in ((y, 1 - below), (y + 1, below)):
        for cell_x, weight_x in ((x, 1 - right), (x + 1, right)):
            value = value + weight_y * weight_x * pixels_at(bits, starts, windows, cell_y, cell_x)
    # one after the other, which torch's sums are not
    sums = np.add.accumulate((value * (high & wide)).flatten(1).numpy(), axis=1)[:, -1]
    return torch.from_numpy(sums) / (down.number[roi] * across.number[roi]).clamp(min=1).float()


def unpacked(bits: Tensor, start: int, height: int, width: int) -> Tensor:
    """The pixels of a window that starts at byte ``start``, on the CPU: float32 ``[height, width]``."""
    import numpy as np

    area = height * width
    pixels = np.unpackbits(bits.numpy()[start : start + (area + 7) // 8], count=area)
    return torch.from_numpy(pixels.reshape(height, width)).float()


def pixels_at(bits: Tensor, starts: Tensor, windows: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Whether pixels ``y [K, H, 1]``, ``x [K, 1, W]`` of K masks are set: bool ``[K, H, W]``."""
    x1, y1, x2, y2 = windows[:, None, None].unbind(-1)
    inside = (y >= y1) & (y < y2) & (x >= x1) & (x < x2)
    place = ((y - y1) * (x2 - x1) + x - x1) * inside
    byte = bits[starts[:, None, None] + (place >> 3)]
    return ((byte >> (7 - (place & 7))) & 1).bool() & inside
