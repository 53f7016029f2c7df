"""The forms in which COCO files hold an object's outline: polygons and run lengths, and what tools make of them."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import hotcoco.mask as rle_codec
import msgspec
import numpy as np
from numpy.typing import NDArray

from detzoo.data.json_file import number, numbers_in
from detzoo.data.masks import FARTHEST, decompress

Size = tuple[int, int]  # height and width of the picture, pixels
DEEPEST = 8  # lists within lists that are looked through


class Runs(msgspec.Struct, gc=False):
    """COCO's run lengths as they are mostly written."""

    counts: str | list[int]
    size: list[int]


Plain = list[list[float | None]] | Runs | None  # what nearly every file has


@dataclass(frozen=True, slots=True)
class Outline:
    """One object's mask.

    Attributes:
        polygons: each ``x, y, x, y, ...`` in pixels with at least 3 points.
        runs: COCO's compressed run lengths instead, or None.
        area: pixels, known for run lengths only.
    """

    polygons: list[list[float]] = field(default_factory=list)
    runs: bytes | None = None
    area: int | None = None


def outline(shape: Any, size: Size) -> Outline | None:
    """What a ``segmentation`` means in a picture of this size, or None where it has none that can be understood.

    Args:
        shape: `Plain`, or any JSON value: one flat polygon, points as pairs or as ``{"x": ..., "y": ...}``, lists too
            deep, numbers as text, null in between, run lengths as floats, without size, with width and height swapped,
            in a list, or as text, JSON within text.
        size: of the picture.
    """
    if isinstance(shape, Runs):
        return _from_runs(shape.counts, shape.size, size)
    if isinstance(shape, str):
        return _from_text(shape, size)
    if isinstance(shape, list) and all(_is_plain(part) for part in shape):
        return Outline(shape) if shape else None
    parts = _parts(shape, size, 0)
    runs = [part for part in parts if isinstance(part, Outline)]
    polygons = [part for part in parts if isinstance(part, list)]
    if not runs:
        return Outline(polygons) if polygons else None
    return runs[0] if len(parts) == 1 else _union(runs, polygons, size)


def _is_plain(part: Any) -> bool:
    """Whether a polygon can be taken as it is; asked for every object of a large file."""
    return isinstance(part, list) and set(map(type, part)) == {float} and _is_polygon(part) and math.isfinite(sum(part))


def _is_polygon(part: list[float]) -> bool:
    return len(part) >= 6 and len(part) % 2 == 0


def _parts(shape: Any, size: Size, depth: int) -> list[list[float] | Outline]:
    """Polygons and run lengths anywhere in a value; what is neither is left out."""
    if isinstance(shape, dict):
        found = _from_runs(shape.get("counts"), shape.get("size"), size)
        return [] if found is None else [found]
    if not isinstance(shape, list) or depth > DEEPEST:
        return []
    flat = [number(value) for value in shape]
    if any(value is not None for value in flat):
        numbers = [value for value in flat if value is not None]
        return [numbers] if len(numbers) == len(flat) and _is_polygon(numbers) else []
    points = [_point(value) for value in shape if value is not None]
    if points and None not in points:
        joined = list(chain.from_iterable(point for point in points if point is not None))
        return [joined] if _is_polygon(joined) else []
    return [part for value in shape for part in _parts(value, size, depth + 1)]


def _point(value: Any) -> list[float] | None:
    if isinstance(value, dict) and {"x", "y"} <= value.keys():
        value = [value["x"], value["y"]]
    if not isinstance(value, list) or len(value) != 2:
        return None
    x, y = number(value[0]), number(value[1])
    return None if x is None or y is None else [x, y]


def _from_text(text: str, size: Size) -> Outline | None:
    """JSON within text, or compressed run lengths alone."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return outline(value, size)
    return _from_runs(text, None, size)


def _from_runs(counts: Any, stated: Any, size: Size) -> Outline | None:
    """Run lengths that fit the picture: column by column, off and on in turn, as COCO has them."""
    pixels = size[0] * size[1]
    if not _fits(stated, size):
        return None
    if isinstance(counts, list) and len(counts) == 1 and isinstance(counts[0], list):
        counts = counts[0]
    if isinstance(counts, str):
        counts = numbers_in(counts) or counts
    if isinstance(counts, list):
        lengths = _whole(counts)
        if lengths is None or sum(lengths) != pixels:
            return None
        encoded = rle_codec.fr_py_objects({"size": list(size), "counts": lengths}, *size)["counts"]
        return Outline(runs=encoded, area=sum(lengths[1::2]))
    if not isinstance(counts, str):
        return None
    data = _ascii(counts)
    runs = None if data is None else decompress(data)
    # where the size is said, the last run may be left out
    if runs is None or runs.sum() > pixels or (stated is None and runs.sum() != pixels):
        return None
    return Outline(runs=data, area=int(runs[1::2].sum()))


def _fits(stated: Any, size: Size) -> bool:
    """Whether a stated size is the picture's, in either order, or none is stated."""
    if isinstance(stated, str):
        stated = numbers_in(stated) or [stated]
    if isinstance(stated, dict):
        names = next((names for names in (("height", "width"), ("h", "w")) if stated.keys() >= set(names)), ())
        stated = [stated[name] for name in names] or [stated]
    if isinstance(stated, list) and len(stated) == 1 and isinstance(stated[0], list):
        stated = stated[0]
    if not stated:
        return stated is None or stated == []
    return isinstance(stated, list) and [number(edge) for edge in stated] in (list(size), list(size[::-1]))


def _whole(counts: list[Any]) -> list[int] | None:
    """Whole numbers from 0 on, however they are written, or None."""
    values = [number(value) for value in counts]
    whole = [int(value) for value in values if value is not None and value >= 0 and value.is_integer()]
    return whole if len(whole) == len(values) else None


def _ascii(counts: str) -> bytes | None:
    """Compressed run lengths as bytes; also of ``b'...'``, as Python writes bytes that were not decoded."""
    if counts.startswith(("b'", 'b"')) and counts.endswith(counts[1]):
        try:
            value = ast.literal_eval(counts)
        except (ValueError, SyntaxError):
            return None
        return value if isinstance(value, bytes) else None
    return counts.encode() if counts.isascii() else None


def run_lengths(found: Outline, size: Size) -> dict[str, Any]:
    """COCO's compressed run lengths of a mask."""
    if found.runs is not None:
        return {"size": list(size), "counts": found.runs}
    # as they are stored: see detzoo.data.masks
    parts = [rle_codec.fr_poly(np.clip(part, -FARTHEST, FARTHEST).tolist(), *size) for part in found.polygons]
    return parts[0] if len(parts) == 1 else rle_codec.merge(parts)


def _union(runs: Sequence[Outline], polygons: list[list[float]], size: Size) -> Outline:
    parts = [run_lengths(part, size) for part in (*runs, *([Outline(polygons)] if polygons else []))]
    merged = rle_codec.merge(parts)
    return Outline(runs=merged["counts"], area=int(rle_codec.area(merged)))


def area(found: Outline, size: Size) -> int:
    """How many pixels a mask has."""
    return int(rle_codec.area(run_lengths(found, size))) if found.area is None else found.area


def box(found: Outline, size: Size) -> list[float]:
    """Bounds of a mask that has pixels: x, y, width, height; of polygons those of their vertices, as COCO's are."""
    if found.runs is not None:
        return rle_codec.to_bbox(run_lengths(found, size)).tolist()
    points = np.concatenate([np.asarray(part, dtype=np.float64).reshape(-1, 2) for part in found.polygons])
    low, high = points.min(axis=0), points.max(axis=0)
    return [*low.tolist(), *(high - low).tolist()]


def with_pixels(masks: Sequence[Outline | None], sizes: Sequence[Size]) -> list[Outline | None]:
    """The same masks, with None for those without a single pixel in their picture: a line, or all of it outside.

    Drawing every mask would take minutes for a large file: polygons within their picture that are at least two pixels
    thick on average surely have some.
    """
    drawings = {place: found for place, found in enumerate(masks) if found is not None and found.polygons}
    sure = _surely_drawn(list(drawings.values()), [sizes[place] for place in drawings])
    drawn = dict(zip(drawings, sure, strict=True))
    return [
        found if found is not None and (drawn.get(place) or area(found, sizes[place])) else None
        for place, found in enumerate(masks)
    ]


def _surely_drawn(outlines: Sequence[Outline], sizes: Sequence[Size]) -> list[bool]:
    """Whether one of the polygons of each mask has pixels for certain."""
    if not outlines:
        return []
    counts = np.array([len(found.polygons) for found in outlines])
    polygons = [polygon for found in outlines for polygon in found.polygons]
    lengths = np.array([len(polygon) for polygon in polygons]) // 2
    points = np.fromiter(chain.from_iterable(polygons), dtype=np.float64, count=int(lengths.sum()) * 2).reshape(-1, 2)
    points = points.clip(-FARTHEST, FARTHEST)
    starts = np.cumsum(lengths) - lengths
    following = np.arange(1, len(points) + 1)
    following[starts + lengths - 1] = starts
    turns = points[:, 0] * points[following, 1] - points[following, 0] * points[:, 1]
    areas = np.abs(np.add.reduceat(turns, starts)) / 2
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    limits = np.repeat(np.array(sizes)[:, ::-1], counts, axis=0)
    inside: NDArray[np.bool_] = np.all((low >= 0) & (high <= limits), axis=1)
    sure = inside & (areas >= 2 * (high - low).max(axis=1)) & (areas > 0)
    return np.logical_or.reduceat(sure, np.cumsum(counts) - counts).tolist()
