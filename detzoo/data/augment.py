"""What training does to a picture, step by step; `detzoo.recipes.augment` has the settings.

A step is a function of a `View`, its settings and a random generator, and changes neither. Pixels stay uint8: they are
normalized later, on the device. Every step that moves pixels is a window or a stretch along rows and columns, so the
view remembers which row and column of the file each of its own came from, and masks are drawn once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detzoo.data.distort import distort
from detzoo.data.masks import nearest
from detzoo.data.resize import Picture, fit_input, fit_size, flip_picture, pixels_of, resize_picture
from detzoo.detector import Input
from detzoo.recipes.augment import (
    CenterCropPad,
    Choice,
    Crop,
    Distort,
    Expand,
    Flip,
    IoUCrop,
    Resize,
    Shift,
    Step,
)
from detzoo.recipes.settings import Data

TRIES = 50  # windows drawn at once
ROUNDS = 20  # of tries, before a window is put onto an object


@dataclass(frozen=True, slots=True)
class View:
    """A picture and its objects between two steps.

    Attributes:
        picture: uint8 ``(H, W, 3)`` RGB, or what becomes one when `pixels` is asked for.
        boxes: float64 ``(M, 4)`` xyxy in pixels of ``pixels``.
        objects: int64 ``(M,)``, the position of each object in the file's list; others were cut off.
        learned: bool ``(M,)``, objects to be learned; the others are regions to leave out.
        rows: int64 ``(H,)``, the row of the file that each row shows, by nearest neighbour; -1: none.
        columns: int64 ``(W,)``, likewise.
        proposals: float64 ``(P, 4)``, boxes that only go along.
    """

    picture: Picture
    boxes: NDArray[np.float64]
    objects: NDArray[np.int64]
    learned: NDArray[np.bool_]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    proposals: NDArray[np.float64]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[0], self.picture.shape[1]

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 ``(H, W, 3)`` RGB."""
        return pixels_of(self.picture)

    def only(self, kept: NDArray[np.bool_]) -> View:
        """The same picture with some of its objects."""
        return replace(self, boxes=self.boxes[kept], objects=self.objects[kept], learned=self.learned[kept])


def whole(
    pixels: NDArray[np.uint8],
    boxes: NDArray[np.floating],
    ignored: NDArray[np.bool_],
    proposals: NDArray[np.floating] | None = None,
) -> View:
    """The view of a whole file.

    Args:
        pixels: uint8 ``(H, W, 3)``.
        boxes: ``(M, 4)`` xyxy pixels.
        ignored: bool ``(M,)``, regions not to be learned.
        proposals: ``(P, 4)`` xyxy pixels, if there are any.
    """
    height, width = pixels.shape[:2]
    return View(
        picture=pixels,
        boxes=boxes.astype(np.float64),
        objects=np.arange(len(boxes)),
        learned=~ignored,
        rows=np.arange(height),
        columns=np.arange(width),
        proposals=np.zeros((0, 4)) if proposals is None else proposals.astype(np.float64),
    )


def mixed(view: View, other: View, share: float) -> View:
    """Two whole pictures added up, the first times ``share``; objects of the second are numbered behind the first's."""
    height, width = np.maximum(view.size, other.size).tolist()
    sums = np.zeros((height, width, 3), dtype=np.float32)
    for one, part in ((view, share), (other, 1 - share)):
        sums[: one.size[0], : one.size[1]] += one.pixels * np.float32(part)
    return View(
        picture=(sums + 0.5).astype(np.uint8),
        boxes=np.concatenate([view.boxes, other.boxes]),
        objects=np.concatenate([view.objects, other.objects + len(view.objects)]),
        learned=np.concatenate([view.learned, other.learned]),
        rows=np.arange(height),
        columns=np.arange(width),
        proposals=np.zeros((0, 4)),
    )


def augment(view: View, steps: Sequence[Step], data: Data, input: Input, rng: np.random.Generator) -> View:
    """Take a view through steps, in order.

    Args:
        view: from `whole` or, where the first step is a `Mixup`, from `mixed`.
        steps: what to do; a `Resize` or `Flip` that does not say how follows ``data`` and ``input``.
        data: sizes and probability of a flip.
        input: of the detector: size, aspect ratio and the colour that empty parts are filled with.
        rng: everything random is drawn from it.
    """
    for step in steps:
        match step:
            case Resize():
                view = _resize(view, step, data, input, rng)
            case Flip():
                view = _flip(view, data.flip if step.probability is None else step.probability, rng)
            case Distort():
                view = replace(view, picture=distort(view.pixels, step, rng))
            case Expand():
                view = _expand(view, step, input, rng)
            case IoUCrop():
                view = _iou_crop(view, step, rng)
            case Crop():
                view = _crop(view, step, rng)
            case CenterCropPad():
                view = _center_crop_pad(view, step, input, rng)
            case Shift():
                view = _shift(view, step, rng)
            case Choice():
                view = augment(view, step.options[int(rng.integers(len(step.options)))], data, input, rng)
    return view


def to_input(view: View, input: Input) -> View:
    """The view at the size that a detector takes, without any chance."""
    return to_size(view, *fit_input(*view.size, input), input.interpolation)


def to_size(view: View, height: int, width: int, interpolation: str = "bilinear") -> View:
    """The view stretched to a size; boxes are clipped to it. ``interpolation``: as of `Input`."""
    before = view.size
    factors = np.array([width / before[1], height / before[0]] * 2)
    return replace(
        view,
        picture=resize_picture(view.pixels, height, width, interpolation),
        boxes=(view.boxes * factors).clip(0, [width, height] * 2),
        rows=view.rows[nearest(before[0], height)],
        columns=view.columns[nearest(before[1], width)],
        proposals=(view.proposals * factors).clip(0, [width, height] * 2),
    )


def _resize(view: View, step: Resize, data: Data, input: Input, rng: np.random.Generator) -> View:
    sizes, mode = (step.sizes, step.mode) if step.sizes else (data.sizes, data.size_mode)
    if not sizes and not input.resize:
        return view
    if not sizes:
        short, long = input.short, input.long
    elif mode == "choice":
        short, long = sizes[int(rng.integers(len(sizes)))]
    else:
        edges = zip(sizes[0], sizes[-1], strict=True)
        short, long = (int(rng.integers(min(edge), max(edge) + 1)) for edge in edges)
    if step.jitter is not None:
        factor = rng.uniform(*step.jitter)
        short, long = max(1, int(short * factor)), max(1, int(long * factor))
    keep_ratio = input.keep_ratio if step.keep_ratio is None else step.keep_ratio
    return to_size(view, *fit_size(*view.size, short, long, keep_ratio), input.interpolation)


def _flip(view: View, probability: float, rng: np.random.Generator) -> View:
    if rng.random() >= probability:
        return view
    return replace(
        view,
        picture=flip_picture(view.picture),
        boxes=_mirrored(view.boxes, view.size[1]),
        columns=view.columns[::-1],
        proposals=_mirrored(view.proposals, view.size[1]),
    )


def _mirrored(boxes: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    return boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width, 0, width, 0]


def _expand(view: View, step: Expand, input: Input, rng: np.random.Generator) -> View:
    if rng.random() >= step.probability:
        return view
    ratio = rng.uniform(*step.ratio)
    height, width = (int(edge * ratio) for edge in view.size)
    top, left = (int(rng.uniform(0, edge * (ratio - 1))) for edge in view.size)
    return _window(view, -top, -left, height, width, _mean(input))


def _iou_crop(view: View, step: IoUCrop, rng: np.random.Generator) -> View:
    height, width = view.size
    while True:  # ends, since one of the modes is to do nothing
        mode = int(rng.integers(len(step.min_ious) + 2))
        if mode == 0:
            return view
        least = (0.0, *step.min_ious)[mode - 1]
        draws = rng.random((TRIES, 4))
        edges = (step.min_edge + (1 - step.min_edge) * draws[:, :2]) * (height, width)
        corners = draws[:, 2:] * ((height, width) - edges)
        windows = _windows(corners, edges)
        good = (edges[:, 0] >= edges[:, 1] / 2) & (edges[:, 0] <= edges[:, 1] * 2) & (_areas(windows) > 0)
        inside = _centres_inside(windows, view.boxes)
        if len(view.boxes):
            good &= _ious(windows, view.boxes).min(axis=1) >= least
        if view.learned.any():
            good &= np.any(inside & view.learned, axis=1)
        if good.any():
            first = int(good.argmax())
            left, top, right, bottom = windows[first].tolist()
            return _window(view.only(inside[first]), top, left, bottom - top, right - left)


def _crop(view: View, step: Crop, rng: np.random.Generator) -> View:
    before = np.array(view.size)
    if step.mode == "pixels":
        after = np.minimum(before, step.size)
    elif step.mode == "pixels_range":
        after = rng.integers(np.minimum(before, step.size[0]), np.minimum(before, step.size[1]) + 1)
    else:
        part = np.array(step.size)
        if step.mode == "part_range":
            part = part + (1 - part) * rng.random(2)
        after = before * part + 0.5
    after = np.maximum(after.astype(np.int64), 1)
    corners = rng.integers(0, before - after + 1, (1 if step.allow_empty else TRIES, 2))
    windows = _windows(corners, after)
    touched = _overlaps(windows, view.boxes) > 0
    if view.learned.any() and not step.allow_empty:
        good = np.any(touched & view.learned, axis=1)
        if good.any():
            top, left = corners[int(good.argmax())].tolist()
        else:
            top, left = np.clip(_some_centre(view, rng) - after // 2, 0, before - after).tolist()
    else:
        top, left = corners[0].tolist()
    cropped = _window(view, top, left, *after.tolist())
    return cropped.only(_areas(cropped.boxes) > 0)


def _center_crop_pad(view: View, step: CenterCropPad, input: Input, rng: np.random.Generator) -> View:
    border = [_inner_border(step.border, edge) for edge in view.size]
    rounds = 0
    while True:
        after = (np.array(step.size) * step.ratios[int(rng.integers(len(step.ratios)))]).astype(np.int64)
        if rounds < ROUNDS:
            centres = rng.integers(border, np.subtract(view.size, border), (TRIES, 2))
        else:  # a window far smaller than the border, which leaves objects out of reach
            centres = _some_centre(view, rng)[None]
        windows = _windows(centres - after // 2, after)
        inside = _centres_inside(windows, view.boxes)
        good = np.any(inside & view.learned, axis=1)
        if good.any() or not view.learned.any():
            break
        rounds += 1
    first = int(good.argmax())
    left, top, right, bottom = windows[first].tolist()
    return _window(view.only(inside[first]), top, left, bottom - top, right - left, _mean(input))


def _inner_border(border: int, edge: int) -> int:
    """``border``, halved until some of an edge of that many pixels lies between the two borders."""
    while 2 * border >= edge:
        border //= 2
    return border


def _shift(view: View, step: Shift, rng: np.random.Generator) -> View:
    if rng.random() >= step.probability:
        return view
    down, right = rng.integers(-step.most, step.most + 1, 2).tolist()
    moved = _window(view, -down, -right, *view.size, np.zeros(3, dtype=np.uint8))
    left = np.all(moved.boxes[:, 2:] - moved.boxes[:, :2] > step.min_box, axis=1)
    return moved.only(left) if np.any(left & view.learned) else view


def _window(view: View, top: int, left: int, height: int, width: int, fill: NDArray[np.uint8] | None = None) -> View:
    """A window onto a view; boxes are moved along and clipped to it, and all of them are kept.

    Args:
        view: what is seen.
        top, left: where the window's corner lies in the view; may be negative.
        height, width: of the window, which may reach beyond the view.
        fill: uint8 ``(3,)``, the colour beyond the view; None: black.
    """
    (y0, y1), (x0, x1) = (
        (max(start, 0), max(start, 0, min(start + count, edge)))
        for start, count, edge in zip((top, left), (height, width), view.size, strict=True)
    )
    there = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    pixels = view.pixels[y0:y1, x0:x1]
    if pixels.shape[:2] != (height, width):
        canvas = np.empty((height, width, 3), dtype=np.uint8)
        canvas[:] = np.tile(np.zeros(3, np.uint8) if fill is None else fill, (width, 1))  # by rows: far faster
        canvas[there] = pixels
        pixels = canvas
    rows, columns = np.full(height, -1), np.full(width, -1)
    rows[there[0]], columns[there[1]] = view.rows[y0:y1], view.columns[x0:x1]
    boxes, proposals = (
        (old - [left, top, left, top]).clip(0, [width, height] * 2) for old in (view.boxes, view.proposals)
    )
    proposals = proposals[_areas(proposals) > 0]
    return replace(view, picture=pixels, boxes=boxes, rows=rows, columns=columns, proposals=proposals)


def _mean(input: Input) -> NDArray[np.uint8]:
    """The colour that normalization makes zero, nearly: uint8 RGB ``(3,)``."""
    mean = input.mean if input.order == "rgb" else input.mean[::-1]
    return np.round(mean).astype(np.uint8)


def _windows(corners: NDArray[Any], edges: NDArray[Any]) -> NDArray[np.int64]:
    """``left, top, right, bottom`` cut off to whole pixels, ``(K, 4)``, of ``top, left`` and ``height, width``."""
    return np.concatenate([corners, corners + edges], axis=1)[:, [1, 0, 3, 2]].astype(np.int64)


def _some_centre(view: View, rng: np.random.Generator) -> NDArray[np.int64]:
    """``y, x`` of the middle of one object to be learned, int64 ``(2,)``."""
    box = view.boxes[int(rng.choice(np.flatnonzero(view.learned)))]
    return ((box[[1, 0]] + box[[3, 2]]) / 2).astype(np.int64)


def _areas(boxes: NDArray[Any]) -> NDArray[np.float64]:
    return (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)


def _overlaps(windows: NDArray[np.int64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Common area of K windows and M boxes, ``(K, M)``."""
    corner = np.maximum(windows[:, None, :2], boxes[:, :2])
    edges = np.minimum(windows[:, None, 2:], boxes[:, 2:]) - corner
    return edges.clip(0).prod(axis=-1)


def _ious(windows: NDArray[np.int64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of K windows and M boxes, ``(K, M)``."""
    common = _overlaps(windows, boxes)
    return common / np.maximum(_areas(windows)[:, None] + _areas(boxes) - common, 1e-6)


def _centres_inside(windows: NDArray[np.int64], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the middle of each of M boxes lies within each of K windows, bool ``(K, M)``."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.all((centres > windows[:, None, :2]) & (centres < windows[:, None, 2:]), axis=-1)
