"""Instance masks in the columnar store: compact polygons and run lengths, and bitmaps from either.

Polygons are kept in fifths of a pixel. That loses nothing in the bitmap: COCO's rasteriser rounds every vertex to that
grid first. Each coordinate is the difference from the vertex before, as a variable-length integer (7 bits a
byte), 1.2 bytes on average in COCO. Run lengths are kept as COCO's compressed string.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import hotcoco.mask as rle_codec
import numpy as np
from numpy.typing import NDArray

from detzoo.data.annotations import NO_MASK, RLE, Annotations
from detzoo.data.problems import DataError
from detzoo.ops.mask_windows import MaskWindows

if TYPE_CHECKING:
    from detzoo.ops.mask_windows import Piece

GRID = 5  # steps per pixel of COCO's rasteriser
FARTHEST = 1e6  # pixels: vertices beyond this are moved here, far outside of any picture


def encode_polygons(objects: Sequence[Sequence[Sequence[float]]]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bytes of many objects' polygons.

    Args:
        objects: per object its polygons, each ``x, y, x, y, ...`` in pixels with at least 3 points.

    Returns:
        All bytes in one buffer, and the number of bytes of each object.
    """
    points = np.array([len(polygon) for polygons in objects for polygon in polygons], dtype=np.int64)  # coordinates
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(objects)), dtype=np.float64, count=int(points.sum()))
    flat = flat.clip(-FARTHEST, FARTHEST)
    grid = np.trunc(flat * GRID + 0.5).astype(np.int64).reshape(-1, 2)  # as COCO's C code: a cast, hence towards zero
    steps = np.diff(grid, axis=0, prepend=np.zeros((1, 2), dtype=np.int64))
    first = (np.cumsum(points) - points) // 2
    steps[first] = grid[first]
    # even for positive, odd for negative steps; plus 1, because 0 ends a polygon
    codes = ((steps << 1) ^ (steps >> 63)).reshape(-1) + 1
    stream = np.zeros(len(codes) + len(points), dtype=np.int64)
    ends = np.cumsum(points + 1) - 1
    inside = np.ones(len(stream), dtype=bool)
    inside[ends] = False
    stream[inside] = codes
    buffer, sizes = _varints(stream)
    counts = np.array([sum(len(polygon) + 1 for polygon in polygons) for polygons in objects], dtype=np.int64)
    totals = np.concatenate([[0], np.cumsum(sizes)])
    return buffer, np.diff(totals[np.concatenate([[0], np.cumsum(counts)])])


def _varints(values: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Little-endian base-128 bytes of non-negative integers, and how many bytes each takes."""
    sizes = np.ones(len(values), dtype=np.int64)
    rest = values >> 7
    while rest.any():
        sizes += rest > 0
        rest >>= 7
    starts = np.cumsum(sizes) - sizes
    out = np.empty(int(sizes.sum()), dtype=np.uint8)
    for byte in range(int(sizes.max(initial=0))):
        has = sizes > byte
        more = np.where(sizes[has] > byte + 1, 128, 0)
        out[starts[has] + byte] = (values[has] >> (7 * byte)) & 127 | more
    return out, sizes


def decode_polygons(data: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """One object's polygons from `encode_polygons`: float64 ``(points, 2)`` x, y in pixels, on a grid of 1/5 pixel.

    Coordinates are such that COCO's rasteriser rounds them to the very grid points it would have for the original.
    """
    last = data < 128
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(data)) - np.repeat(starts, ends - starts + 1)
    stream = np.add.reduceat((data & 127).astype(np.int64) << (7 * place), starts)
    polygons = []
    begin = 0
    for end in np.flatnonzero(stream == 0):
        codes = stream[begin:end] - 1
        grid = np.cumsum(((codes >> 1) ^ -(codes & 1)).reshape(-1, 2), axis=0)
        # the rasteriser casts 5 * x + 0.5 to an integer, towards zero: below zero one step lower comes back as it was
        polygons.append((grid - (grid < 0)) / GRID)
        begin = end + 1
    return polygons


def rle(annotations: Annotations, row: int, height: int, width: int) -> dict[str, Any] | None:
    """One object's mask as COCO has it: ``{"size": [height, width], "counts": bytes}``, or None without a mask.

    The same run lengths as ``pycocotools`` makes from the annotation file.

    Raises:
        DataError: the run lengths do not fit the image.
    """
    kind = annotations.mask_kind[row]
    if kind == NO_MASK:
        return None
    start = annotations.mask_ends[row - 1] if row else 0
    data = annotations.mask_bytes[start : annotations.mask_ends[row]]
    if kind == RLE:
        return {"size": [height, width], "counts": data.tobytes()}
    parts = [rle_codec.fr_poly(polygon.reshape(-1).tolist(), height, width) for polygon in decode_polygons(data)]
    return parts[0] if len(parts) == 1 else rle_codec.merge(parts)


def decompress(data: bytes) -> NDArray[np.int64] | None:
    """The run lengths of COCO's compressed string, or None if it is none.

    Six bits a character, of which one says that more follow; from the fourth on a number is a difference from the one
    two places before.
    """
    codes = np.frombuffer(data, dtype=np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return None
    ends = np.flatnonzero(codes < 32)
    starts = np.concatenate([[0], ends[:-1] + 1])
    widths = ends - starts + 1
    if widths.max() > 8:
        return None
    place = np.arange(len(codes)) - np.repeat(starts, widths)
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    values -= np.where(codes[ends] & 16, 1 << (5 * widths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return None if values.min() < 0 else values


def decode(annotations: Annotations, row: int, height: int, width: int) -> NDArray[np.bool_]:
    """One object's mask as a bitmap.

    Args:
        annotations: the store.
        row: the object.
        height, width: of its image, pixels.

    Returns:
        bool ``(height, width)``; nothing set for an object without a mask.

    Raises:
        DataError: the run lengths do not fit the image.
    """
    out = np.zeros((height, width), dtype=bool)
    top, left, pixels = _rasterized(annotations, row, height, width)
    out[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return out


def drawn(
    annotations: Annotations,
    objects: Sequence[int],
    size: tuple[int, int],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> MaskWindows:
    """Masks of several objects of one image as training sees it: stretched, cut, moved, flipped.

    Each mask is rasterized at the size of the file and its nearest pixels are taken, as OpenCV's INTER_NEAREST and as
    the published models were trained; only the columns that it has are ever drawn.

    Args:
        annotations: the store.
        objects: their rows in the store.
        size: height and width of the image file.
        rows: int64 ``(h,)``, the row of the file that each row of the result shows; -1: none. Rising or falling
            wherever it is not -1.
        columns: int64 ``(w,)``, likewise.

    Returns:
        The masks on a canvas of ``(h, w)``.

    Raises:
        DataError: run lengths do not fit the image.
    """
    pieces = []
    for row in objects:
        top, left, pixels = _rasterized(annotations, row, *size)
        y, x = (
            _span(start, start + count, places)
            for start, count, places in zip((top, left), pixels.shape, (rows, columns), strict=True)
        )
        # an axis at a time, the contiguous one last: many times faster than both at once
        shown = pixels.T.take(columns[x] - left, axis=0).take(rows[y] - top, axis=1).T
        pieces.append((y.start, x.start, shown))
    return MaskWindows.cut(pieces, (len(rows), len(columns)))


def _rasterized(annotations: Annotations, row: int, height: int, width: int) -> Piece:
    """The part of one object's `decode` that holds its set pixels."""
    runs = rle(annotations, row, height, width)
    counts = np.zeros(0, dtype=np.int64) if runs is None else decompress(runs["counts"])
    if counts is None or counts.sum() > height * width:
        raise DataError(f"mask of object {annotations.ids[row]}: its run lengths do not fit {height} x {width} pixels")
    ends = counts.cumsum()
    begins, ends = ends[: len(ends) // 2 * 2 : 2], ends[1::2]
    begins, ends = begins[ends > begins], ends[ends > begins]
    if not len(ends):
        return 0, 0, np.zeros((0, 0), dtype=bool)
    first, last = np.divmod(begins, height), np.divmod(ends - 1, height)  # column and row
    left, right = int(first[0][0]), int(last[0][-1]) + 1
    top, bottom = (0, height) if np.any(first[0] < last[0]) else (int(first[1].min()), int(last[1].max()) + 1)
    edges = np.concatenate([[left * height], np.stack([begins, ends], 1).reshape(-1), [right * height]])
    on: NDArray[np.bool_] = np.arange(len(edges) - 1) % 2 == 1
    return top, left, on.repeat(np.diff(edges)).reshape(right - left, height)[:, top:bottom].T


def nearest(old: int, new: int) -> NDArray[np.int64]:
    """int64 ``(new,)``, the pixel of ``old`` that each of ``new`` is taken from."""
    return np.minimum(np.floor(np.arange(new) * (1 / (new / old))).astype(np.int64), old - 1)


def _span(first: int, end: int, places: NDArray[np.int64]) -> slice:
    """The slice of ``places`` that lies from ``first`` on and before ``end``."""
    within = (places >= first) & (places < end)
    start = int(within.argmax()) if len(within) else 0
    return slice(start, start + int(within.sum()))
