"""`shapes`: a generated data set of coloured shapes that hide each other over textured backgrounds.

Every picture follows from its split and number alone, so nothing is stored and nothing is downloaded. Colour hints at
the class but does not tell it: hues of different classes overlap.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import hotcoco.mask as rle_codec
import numpy as np
from numpy.typing import NDArray

from detzoo.data.annotations import RLE, Annotations, Columns, arrange

SHAPES = ("circle", "square", "triangle", "star", "cross")
_SPLITS = {"train": 0, "val": 1}
_SMALLEST, _LARGEST = 14.0, 43.0  # pixels from the middle to the farthest point
_VISIBLE = 0.45  # part of an object that others may not hide


@dataclass(frozen=True, slots=True)
class Scene:
    """What a generated picture shows.

    Attributes:
        height, width: pixels.
        labels: index into `SHAPES` of each object, back to front.
        hues: of each object, in [0, 1).
        masks: bool ``[M, height, width]``, the visible part of each object.
    """

    height: int
    width: int
    labels: NDArray[np.int64]
    hues: NDArray[np.float64]
    masks: NDArray[np.bool_]


def make_scene(split: str, number: int) -> Scene:
    """The objects of one picture: 1 to 6, each 24 to 86 pixels large, turned at random and partly hidden.

    Raises:
        KeyError: ``split`` is neither ``train`` nor ``val``.
    """
    rng = np.random.default_rng((_SPLITS[split], number, 0))
    height, width = (int(edge) for edge in rng.integers((144, 184), (177, 217)))
    if rng.random() < 0.25:
        height, width = width, height
    xs, ys = np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32)[:, None] + 0.5
    labels: list[int] = []
    masks: list[NDArray[np.bool_]] = []
    areas: list[float] = []
    for _ in range(int(rng.integers(1, 7))):
        label = int(rng.integers(len(SHAPES)))
        radius = _SMALLEST * (_LARGEST / _SMALLEST) ** rng.random()
        middle = rng.uniform(radius * 0.8, np.array([width, height]) - radius * 0.8)
        turn = rng.uniform(0, 2 * np.pi)
        (left, top), (right, bottom) = np.maximum(middle - radius, 0).astype(int), (middle + radius + 1).astype(int)
        window = np.s_[top:bottom, left:right]
        mask = np.zeros((height, width), dtype=bool)
        mask[window] = _inside(SHAPES[label], xs[window[1]] - middle[0], ys[window[0]] - middle[1], radius, turn)
        remaining = [old & ~mask for old in masks]
        if any(old.sum() < _VISIBLE * area for old, area in zip(remaining, areas, strict=True)):
            continue
        masks = [*remaining, mask]
        labels.append(label)
        areas.append(float(mask.sum()))
    hues = (np.array(labels) / len(SHAPES) + rng.normal(0, 0.065, len(labels))) % 1
    return Scene(height, width, np.array(labels), hues, np.stack(masks))


def _inside(
    shape: str, x: NDArray[np.float32], y: NDArray[np.float32], radius: float, turn: float
) -> NDArray[np.bool_]:
    """Which pixels lie in a shape around the origin."""
    if shape == "circle":
        return np.hypot(x, y) < radius * 0.9
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    if shape == "square":
        return np.maximum(abs(u), abs(v)) < radius * 0.71
    if shape == "cross":
        long, thin = np.maximum(abs(u), abs(v)), np.minimum(abs(u), abs(v))
        return (long < radius * 0.95) & (thin < radius * 0.3)
    if shape == "triangle":
        sides = [u * np.cos(angle) + v * np.sin(angle) for angle in np.pi * np.array([1 / 3, 1, 5 / 3])]
        return np.maximum.reduce(sides) < radius / 2
    # star: five points; within a tenth of the turn the edge runs straight from the tip to the notch
    angle = np.abs((np.arctan2(v, u) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    notch = 0.45 * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])  # where the tip is at (1, 0)
    side = (notch[0] - 1) * np.sin(angle) - notch[1] * np.cos(angle)
    return np.hypot(u, v) * side > -notch[1] * radius


def render(split: str, number: int) -> NDArray[np.uint8]:
    """The picture of `make_scene`: uint8 RGB ``(height, width, 3)``."""
    scene = make_scene(split, number)
    rng = np.random.default_rng((_SPLITS[split], number, 1))
    xs, ys = np.arange(scene.width, dtype=np.float32), np.arange(scene.height, dtype=np.float32)[:, None]
    picture = np.tile(rng.uniform(60, 190, 3).astype(np.float32), (scene.height, scene.width, 1))
    for strength in (35, 25):
        picture += _waves(rng, xs, ys)[..., None] * rng.uniform(-strength, strength, 3).astype(np.float32)
    for mask, hue in zip(scene.masks, scene.hues, strict=True):
        colour = 255 * np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.55, 1), rng.uniform(0.55, 1)), dtype=np.float32)
        rows, columns = np.nonzero(mask)
        picture[rows, columns] = colour + (_waves(rng, xs[columns], ys[rows, 0]) * rng.uniform(5, 22))[:, None]
    picture += rng.standard_normal((scene.height, scene.width, 1), dtype=np.float32) * 7 + rng.uniform(-12, 12)
    return picture.clip(0, 255).astype(np.uint8)


def _waves(rng: np.random.Generator, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Texture in [-1, 1] at some pixels: two crossing waves of random length and direction."""
    out = np.float32(1)
    for _ in range(2):
        turn, length, start = rng.uniform(0, np.pi), rng.uniform(5, 60), rng.uniform(0, 2 * np.pi)
        step = 2 * np.pi / length
        out = out * np.sin(
            x * np.float32(np.cos(turn) * step) + (y * np.float32(np.sin(turn) * step) + np.float32(start))
        )
    return np.asarray(out)


def read_shapes(split: str, count: int, first: int = 0) -> Annotations:
    """Annotations, masks included, of pictures ``first`` to ``first + count`` of a split.

    ``files`` are names that `picture` takes; image ids are the numbers.
    """
    scenes = [make_scene(split, number) for number in range(first, first + count)]
    rows = [(image, scene, item) for image, scene in enumerate(scenes) for item in range(len(scene.labels))]
    runs = [rle_codec.encode(np.asfortranarray(scene.masks[item]).view(np.uint8))["counts"] for _, scene, item in rows]
    boxes = np.array([_bounds(scene.masks[item]) for _, scene, item in rows], dtype=np.float32).reshape(-1, 4)
    columns = Columns(
        image=np.array([image for image, _, _ in rows], dtype=np.int64),
        boxes=boxes,
        labels=np.array([scene.labels[item] for _, scene, item in rows], dtype=np.int32),
        areas=np.array([scene.masks[item].sum() for _, scene, item in rows], dtype=np.float32),
        crowd=np.zeros(len(rows), dtype=bool),
        ignore=np.zeros(len(rows), dtype=bool),
        ids=np.arange(1, len(rows) + 1),
        mask_kind=np.full(len(rows), RLE, dtype=np.uint8),
        mask_lengths=np.array([len(run) for run in runs], dtype=np.int64),
        masks=np.frombuffer(b"".join(runs), dtype=np.uint8),
    )
    numbers = range(first, first + count)
    return arrange(
        columns,
        np.ones(len(rows), dtype=bool),
        SHAPES,
        range(1, len(SHAPES) + 1),
        list(numbers),
        [f"shapes/{split}/{number}" for number in numbers],
        np.array([(scene.height, scene.width) for scene in scenes], dtype=np.int32).reshape(-1, 2),
    )


def picture(name: str) -> NDArray[np.uint8]:
    """The picture of a name from `read_shapes`, e.g. ``shapes/train/12``."""
    _, split, number = name.split("/")
    return render(split, int(number))


def class_map(name: str) -> NDArray[np.uint8]:
    """The class of each pixel of a picture from `read_shapes`: uint8 ``(height, width)``, 0 the ground, 1 a circle."""
    _, split, number = name.split("/")
    scene = make_scene(split, int(number))
    out = np.zeros((scene.height, scene.width), dtype=np.uint8)
    for mask, label in zip(scene.masks, scene.labels, strict=True):
        out[mask] = label + 1
    return out


def _bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The tight box around a mask, xyxy."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1
