"""COCO run-length encoding of instance masks, on the host.

A mask is a dict ``{"size": [H, W], "counts": bytes}``, byte for byte as pycocotools writes it. Decoding, areas and
unions are in `hotcoco.mask`, which reads the same dicts.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import hotcoco
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from detzoo.ops.masks import reach, window_values


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
    spans = reach(crops, boxes, canvas, threshold)
    rows, columns = (spans[:, 1] - spans[:, 0]).numpy(), (spans[:, 3] - spans[:, 2]).numpy()
    # all windows in one buffer, columns first, an empty pixel before each column: every run begins and ends where
    # neighbours differ
    ends = np.cumsum((rows + 1) * columns)
    inside = np.zeros((int(ends[-1]) if len(ends) else 0) + 1, dtype=bool)
    values = window_values(crops, boxes, spans)
    for end, wide, high, value in zip(ends.tolist(), columns.tolist(), rows.tolist(), values, strict=True):
        window = inside[end - wide * (high + 1) : end].reshape(wide, high + 1)
        np.greater_equal(value.numpy(), threshold, out=window[:, 1:])
    changes = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    # a run is of the mask that it begins in; a mask's last one may end at the next one's first empty pixel
    mask = np.repeat(np.arange(len(ends)), 2 * np.diff(np.searchsorted(changes[::2], ends), prepend=0))
    column, row = np.divmod(changes - (ends - (rows + 1) * columns)[mask], rows[mask] + 1)
    top, left = spans[:, 0].numpy()[mask], spans[:, 2].numpy()[mask]
    # an end at the empty pixel before a column is the end of the column before
    column, row = np.where(row == 0, column - 1, column), np.where(row == 0, rows[mask], row - 1)
    return _encoded((column + left) * canvas[0] + row + top, mask, len(crops), canvas)


def encode_dense(masks: Tensor | NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Encode canvas-sized masks, bool ``[M, H, W]``; a tensor is copied to the host first."""
    array = masks.cpu().numpy() if isinstance(masks, Tensor) else masks
    return [hotcoco.mask.encode(mask) for mask in array]


def _encoded(
    changes: NDArray[np.int64], mask: NDArray[np.int64], count: int, canvas: tuple[int, int]
) -> list[dict[str, Any]]:
    """COCO's compressed run lengths of many masks.

    Args:
        changes: pixels, counted down the columns of the canvas, at which a run inside begins and, in turns, is over.
        mask: the number of the mask that each belongs to, rising.
        count: of the masks.
        canvas: ``(H, W)`` in pixels.
    """
    pixels = canvas[0] * canvas[1]
    # a run to the bottom of a column and one from the top of the next are the same run
    joined = np.flatnonzero((changes[1:-1:2] == changes[2::2]) & (mask[1:-1:2] == mask[2::2])) * 2 + 1
    keep = np.ones(len(changes), dtype=bool)
    keep[joined] = keep[joined + 1] = False
    changes, mask = changes[keep], mask[keep]
    # a mask's counts: from 0 to the first change, between changes, and to the last pixel unless the last run ends there
    number = np.bincount(mask, minlength=count)
    last = np.zeros(count, dtype=np.int64)
    last[mask] = changes  # the last one stays
    open_ended = (last < pixels) | (number == 0)
    lengths = number + open_ended
    ends = np.cumsum(lengths)
    edges = np.full(int(lengths.sum()), pixels, dtype=np.int64)
    place = np.arange(len(changes)) + np.repeat(ends - lengths, number) - np.repeat(np.cumsum(number) - number, number)
    edges[place] = changes
    counts = np.diff(edges, prepend=0)
    counts[(ends - lengths)[lengths > 0]] = edges[(ends - lengths)[lengths > 0]]
    position = np.arange(len(counts)) - np.repeat(ends - lengths, lengths)
    text, sizes = _texts(np.where(position > 2, counts - np.roll(counts, 2), counts))
    stops = np.concatenate([[0], np.cumsum(sizes)])[np.concatenate([[0], ends])].tolist()
    return [{"size": list(canvas), "counts": text[a:b]} for a, b in pairwise(stops)]


def _texts(values: NDArray[np.int64]) -> tuple[bytes, NDArray[np.int64]]:
    """COCO's text of whole numbers, five bits a letter from the lowest on, and the letters of each."""
    letters, used = [], []
    more = np.ones(len(values), dtype=bool)
    while more.any():
        five, values = values & 31, values >> 5
        used.append(more)
        more = more & np.where(five & 16, values != -1, values != 0)
        letters.append((five | (more.astype(np.int64) << 5)) + 48)
    if not letters:
        return b"", np.zeros(0, dtype=np.int64)
    mine = np.stack(used, 1)
    return np.stack(letters, 1)[mine].astype(np.uint8).tobytes(), mine.sum(1)
