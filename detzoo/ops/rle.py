"""COCO run-length encoding of instance masks, on the host.

A mask is a dict ``{"size": [H, W], "counts": bytes}``, byte for byte as pycocotools writes it. Decoding, areas and
unions are in `hotcoco.mask`, which reads the same dicts.
"""

from __future__ import annotations

from typing import Any

import hotcoco
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from detzoo.ops.masks import windows


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
    found = windows(crops, boxes, canvas, threshold)
    return [_from_window(inside.numpy(), top, left, canvas) for top, left, inside in found]


def encode_dense(masks: Tensor | NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Encode canvas-sized masks, bool ``[M, H, W]``; a tensor is copied to the host first."""
    array = masks.cpu().numpy() if isinstance(masks, Tensor) else masks
    return [hotcoco.mask.encode(mask) for mask in array]


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
