"""Instance masks between a grid spanning each box and the canvas of the image.

Mask R-CNN (arXiv:1703.06870), section 3: a mask head predicts an m x m grid per box, and a result is the grid resized
to the box. The way back, from ground truth to grids, is `detzoo.ops.roi_align.crop_targets`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from detzoo.ops.boxes import full_precision

CHUNK = 1 << 24  # pixels of float32 canvas held at once while pasting, 64 MiB


def paste(crops: Tensor, boxes: Tensor, canvas: tuple[int, int], threshold: float = 0.5) -> Tensor:
    """Resize mask crops to their boxes and binarize them.

    The crop is sampled bilinearly at every pixel centre of the canvas, and is zero outside of its grid, which is what
    ``grid_sample(align_corners=False, padding_mode="zeros")`` computes. Sampling is separable: one weight matrix per
    box and axis and two matrix products replace the canvas-sized sampling grid. On a
    processor only what a box reaches is sampled.

    Args:
        crops: probabilities ``[M, m, m]``.
        boxes: ``[M, 4]`` xyxy pixels. A box without width or height gives an empty mask.
        canvas: ``(H, W)`` in pixels.
        threshold: a pixel is inside where its value is at least this.

    Returns:
        bool ``[M, H, W]``.
    """
    paste_all = _paste_windows if crops.device.type == "cpu" else _paste_whole
    return paste_all(crops, boxes, canvas, threshold)


def _paste_whole(crops: Tensor, boxes: Tensor, canvas: tuple[int, int], threshold: float) -> Tensor:
    height, width = canvas
    out = torch.empty((len(crops), height, width), dtype=torch.bool, device=crops.device)
    step = max(1, CHUNK // max(1, height * width))
    for start in range(0, len(crops), step):
        part = slice(start, start + step)
        out[part] = sample(crops[part], boxes[part], (0, height), (0, width)) >= threshold
    return out


def _paste_windows(crops: Tensor, boxes: Tensor, canvas: tuple[int, int], threshold: float) -> Tensor:
    out = crops.new_zeros((len(crops), *canvas), dtype=torch.bool)
    finite = boxes.isfinite().all(1, keepdim=True)
    for mask, (top, left, inside) in zip(out, windows(crops, boxes.where(finite, 0.0), canvas, threshold), strict=True):
        mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return out


def sample(crops: Tensor, boxes: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Mask probabilities at the pixels of a window.

    Args:
        crops: ``[M, m, m]`` probabilities.
        boxes: ``[M, 4]`` xyxy pixels.
        rows: first row of the window, and the one after its last.
        columns: likewise.

    Returns:
        float32 ``[M, rows, columns]``, float64 of such crops.
    """
    # reduced precision would move mask edges, so an enclosing autocast does not apply
    with torch.autocast(crops.device.type, enabled=False):
        boxes, crops = _one_precision(boxes, crops)
        down = _weights(boxes[:, 1], boxes[:, 3], rows, crops.shape[1])
        across = _weights(boxes[:, 0], boxes[:, 2], columns, crops.shape[2])
        return down @ crops @ across.transpose(1, 2)


def windows(
    crops: Tensor, boxes: Tensor, canvas: tuple[int, int], threshold: float = 0.5
) -> Iterator[tuple[int, int, Tensor]]:
    """What `paste` gives, one mask at a time and only where it can be inside; costs the sum of the box areas.

    Args:
        crops: probabilities ``[M, m, m]`` on the CPU.
        boxes: ``[M, 4]`` xyxy pixels, finite, on the CPU.
        canvas: ``(H, W)`` in pixels.
        threshold: a pixel is inside where its value is at least this.

    Yields:
        First row and first column of a window on the canvas, and bool ``[rows, columns]``; all outside is empty.
    """
    spans = reach(crops, boxes, canvas, threshold)
    for (top, _, left, _), values in zip(spans.tolist(), window_values(crops, boxes, spans), strict=True):
        yield top, left, (values >= threshold).T


def window_values(crops: Tensor, boxes: Tensor, spans: Tensor) -> Iterator[Tensor]:
    """`sample` of one mask at a time in a window of its own, columns first.

    The weights of all masks are made together: for small windows that costs more than the products.

    Args:
        crops: probabilities ``[M, m, m]`` on the CPU.
        boxes: ``[M, 4]`` xyxy pixels, on the CPU.
        spans: int64 ``[M, 4]`` as of `reach`.

    Yields:
        float32 ``[columns, rows]``, float64 of such crops.
    """
    boxes, crops = _one_precision(boxes, crops)
    down = _window_weights(boxes[:, 1], boxes[:, 3], spans[:, :2], crops.shape[1])
    across = _window_weights(boxes[:, 0], boxes[:, 2], spans[:, 2:], crops.shape[2])
    for crop, rows, columns in zip(crops, down, across, strict=True):
        yield columns @ (rows @ crop).T


def reach(crops: Tensor, boxes: Tensor, canvas: tuple[int, int], threshold: float) -> Tensor:
    """The pixels that mask crops can reach: between the lines of the grid beside those that are inside somewhere.

    Args:
        crops: probabilities ``[M, h, w]``.
        boxes: ``[M, 4]`` xyxy pixels, finite.
        canvas: ``(H, W)`` in pixels.
        threshold: of 0 or less is reached by every value, so also far from the box.

    Returns:
        int64 ``[M, 4]``: first row, the one after the last, first column, the one after the last.
    """
    if threshold <= 0:
        everything = torch.tensor([0, canvas[0], 0, canvas[1]], dtype=torch.int64, device=boxes.device)
        return everything.expand(len(boxes), 4)
    inside = crops >= threshold
    spans = []
    for low, high, limit, axis in ((1, 3, canvas[0], 2), (0, 2, canvas[1], 1)):
        lines = inside.any(axis)
        size = lines.shape[1]
        number = torch.arange(size, device=boxes.device)
        first = torch.where(lines, number, size).amin(1)
        last = torch.where(lines, number, -1).amax(1)  # before the first: of a crop that is inside nowhere
        start = boxes[:, low].double()
        cell = (boxes[:, high].double() - start).clamp(min=0) / size
        begin = (start + (first - 0.5) * cell).floor().clamp(0, limit)
        end = (start + (last + 1.5) * cell).ceil().clamp(max=limit)
        spans += [begin, torch.maximum(begin, end)]
    return torch.stack(spans, 1).long()


def _one_precision(boxes: Tensor, crops: Tensor) -> tuple[Tensor, Tensor]:
    """Both in that of the crops, which is float32 at least."""
    crops = full_precision(crops)
    return boxes.to(crops.dtype), crops


def _window_weights(low: Tensor, high: Tensor, spans: Tensor, size: int) -> tuple[Tensor, ...]:
    """What `_weights` gives between each mask's own ``spans [M, 2]``, ``[span, size]`` for each of M masks.

    Only the two grid lines beside a pixel's centre have weight.
    """
    lengths = spans[:, 1] - spans[:, 0]
    mask = torch.repeat_interleave(lengths)  # the number of the mask of each pixel
    first = spans[:, 0] - (lengths.cumsum(0) - lengths)
    centres = (torch.arange(len(mask), device=low.device) + first[mask]).to(low.dtype) + 0.5
    extent = high - low
    whole = extent > 0
    place = (centres - low[mask]) / extent.where(whole, 1.0)[mask] * size - 0.5
    line = place.floor().clamp(-1, size)
    pair = torch.stack([line, line + 1], 1)
    weights = (1 - (place.unsqueeze(1) - pair).abs()).clamp(min=0).where(whole[mask].unsqueeze(1), 0.0)
    # a line before the first and two after the last take what falls outside of the grid
    out = torch.zeros((len(mask), size + 3), dtype=low.dtype, device=low.device)
    out.scatter_(1, pair.long() + 1, weights)
    return out[:, 1 : size + 1].split(lengths.tolist())


def _weights(low: Tensor, high: Tensor, span: tuple[int, int], size: int) -> Tensor:
    """``[M, span, size]``: how much each grid line counts at each pixel centre between ``low`` and ``high`` ``[M]``."""
    extent = (high - low).unsqueeze(1)
    whole = extent > 0
    centres = torch.arange(span[0], span[1], device=low.device, dtype=low.dtype) + 0.5
    place = (centres - low.unsqueeze(1)) / extent.where(whole, 1.0) * size - 0.5
    lines = torch.arange(size, device=low.device, dtype=low.dtype)
    weights = (1 - (place.unsqueeze(2) - lines).abs()).clamp(min=0)
    return weights.where(whole.unsqueeze(2), 0.0)
