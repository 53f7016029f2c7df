"""Instance masks between a grid spanning each box and the canvas of the image.

Mask R-CNN (arXiv:1703.06870), section 3: a mask head predicts an m x m grid per box, and a result is the grid resized
to the box. The way back, from ground truth to grids, is `detzoo.ops.roi_align.crop_targets`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK = 1 << 24  # pixels of float32 canvas held at once while pasting, 64 MiB


def paste(crops: Tensor, boxes: Tensor, canvas: tuple[int, int], threshold: float = 0.5) -> Tensor:
    """Resize mask crops to their boxes and binarize them.

    The crop is sampled bilinearly at every pixel centre of the canvas, and is zero outside of its grid, which is what
    ``grid_sample(align_corners=False, padding_mode="zeros")`` computes. Sampling is separable: one weight matrix per
    box and axis and two matrix products replace the canvas-sized sampling grid.

    Args:
        crops: probabilities ``[M, m, m]``.
        boxes: ``[M, 4]`` xyxy pixels. A box without width or height gives an empty mask.
        canvas: ``(H, W)`` in pixels.
        threshold: a pixel is inside where its value is at least this.

    Returns:
        bool ``[M, H, W]``.
    """
    height, width = canvas
    out = torch.empty((len(crops), height, width), dtype=torch.bool, device=crops.device)
    step = max(1, CHUNK // max(1, height * width))
    for start in range(0, len(crops), step):
        part = slice(start, start + step)
        out[part] = sample(crops[part], boxes[part], (0, height), (0, width)) >= threshold
    return out


def sample(crops: Tensor, boxes: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Mask probabilities at the pixels of a window.

    Args:
        crops: ``[M, m, m]`` probabilities.
        boxes: ``[M, 4]`` xyxy pixels.
        rows: first row of the window, and the one after its last.
        columns: likewise.

    Returns:
        float32 ``[M, rows, columns]``.
    """
    # reduced precision would move mask edges, so an enclosing autocast does not apply
    with torch.autocast(crops.device.type, enabled=False):
        boxes = boxes.float()
        down = _weights(boxes[:, 1], boxes[:, 3], rows, crops.shape[1])
        across = _weights(boxes[:, 0], boxes[:, 2], columns, crops.shape[2])
        return down @ crops.float() @ across.transpose(1, 2)


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
    height, width = canvas
    for index, (left, top, right, bottom) in enumerate(boxes.tolist()):
        # every value reaches a threshold of zero, also those far from the box
        rows = (0, height) if threshold <= 0 else _reach(top, bottom, crops.shape[1], height)
        columns = (0, width) if threshold <= 0 else _reach(left, right, crops.shape[2], width)
        one = slice(index, index + 1)
        yield rows[0], columns[0], sample(crops[one], boxes[one], rows, columns)[0] >= threshold


def _reach(low: float, high: float, size: int, limit: int) -> tuple[int, int]:
    """The pixels that a crop reaches: those between ``low`` and ``high`` and half a grid cell around them."""
    cell = max(high - low, 0) / size
    first = min(max(math.floor(low - cell / 2), 0), limit)
    return first, max(first, min(math.ceil(high + cell / 2), limit))


def _weights(low: Tensor, high: Tensor, span: tuple[int, int], size: int) -> Tensor:
    """``[M, span, size]``: how much each grid line counts at each pixel centre between ``low`` and ``high`` ``[M]``."""
    extent = (high - low).unsqueeze(1)
    whole = extent > 0
    centres = torch.arange(span[0], span[1], device=low.device, dtype=low.dtype) + 0.5
    place = (centres - low.unsqueeze(1)) / extent.where(whole, 1.0) * size - 0.5
    lines = torch.arange(size, device=low.device, dtype=low.dtype)
    weights = (1 - (place.unsqueeze(2) - lines).abs()).clamp(min=0)
    return weights.where(whole.unsqueeze(2), 0.0)
