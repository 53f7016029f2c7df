"""COCO run-length encoding of instance masks, on the host.

A mask is a dict ``{"size": [H, W], "counts": bytes}``, byte for byte as pycocotools writes it. Decoding, areas and
unions are in `hotcoco.mask`, which reads the same dicts.
"""

from __future__ import annotations

import math
from typing import Any

import hotcoco
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from detzoo.ops.masks import sample


def encode_crops(crops: Tensor, boxes: Tensor, canvas: tuple[int, int], threshold: float = 0.5) -> list[dict[str, Any]]:
    """Encode mask crops without pasting them on a whole canvas; costs the sum of the box areas.

    Args:
        crops: probabilities ``[M, m, m]`` on the CPU.
        boxes: ``[M, 4]`` xyxy pixels, finite, on the CPU.
        canvas: ``(H, W)`` in pixels.
        threshold: a pixel is inside where its value is at least this.

    Returns:
        One dict per mask: the encoding of what `detzoo.ops.masks.paste` gives.
    """
    height, width = canvas
    # every value is at least a threshold of zero, also those far from the box
    everywhere = threshold <= 0
    encoded = []
    for index, (left, top, right, bottom) in enumerate(boxes.tolist()):
        rows = (0, height) if everywhere else _window(top, bottom, crops.shape[1], height)
        columns = (0, width) if everywhere else _window(left, right, crops.shape[2], width)
        one = slice(index, index + 1)
        inside = sample(crops[one], boxes[one], rows, columns)[0] >= threshold
        encoded.append(_from_window(inside.numpy(), rows[0], columns[0], canvas))
    return encoded


def encode_dense(masks: Tensor | NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Encode canvas-sized masks, bool ``[M, H, W]``; a tensor is copied to the host first."""
    array = masks.cpu().numpy() if isinstance(masks, Tensor) else masks
    return [hotcoco.mask.encode(mask) for mask in array]


def _window(low: float, high: float, size: int, limit: int) -> tuple[int, int]:
    """The pixels that a crop reaches: those between ``low`` and ``high`` and half a grid cell around them."""
    reach = (high - low) / size / 2
    first = min(max(math.floor(low - reach), 0), limit)
    return first, max(first, min(math.ceil(high + reach), limit))


def _from_window(inside: NDArray[np.bool_], top: int, left: int, canvas: tuple[int, int]) -> dict[str, Any]:
    """Encode a mask that is ``inside`` at a window and empty elsewhere."""
    height, width = canvas
    # columns first, framed by one empty row above and below, so that every run begins and ends where neighbours differ
    framed = np.zeros((inside.shape[1], inside.shape[0] + 2), dtype=bool)
    framed[:, 1:-1] = inside.T
    column, row = np.nonzero(framed[:, 1:] != framed[:, :-1])
    changes = (column + left) * height + row + top
    if inside.shape[0] == height:
        # a run that ends at the bottom and one that begins at the top of the next column are the same run
        joined = np.flatnonzero(changes[1:-1:2] == changes[2::2]) * 2 + 1
        changes = np.delete(changes, np.concatenate([joined, joined + 1]))
    pixels = height * width
    edges = np.concatenate([[0], changes] if len(changes) and changes[-1] == pixels else [[0], changes, [pixels]])
    counts = np.diff(edges).tolist() if pixels else [0]
    return hotcoco.mask.fr_py_objects({"size": [height, width], "counts": counts}, height, width)
