"""Detections drawn on their picture."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from detzoo.arguments import count
from detzoo.atomic import write_atomically
from detzoo.drawing.fonts import Fonts, Run
from detzoo.ops.masks import windows
from detzoo.terminal import printable
from detzoo.types import Detections
from detzoo.user_path import user_path

Color: TypeAlias = tuple[int, int, int]
Rectangle: TypeAlias = tuple[int, int, int, int]

MASK_OPACITY = 0.45
LABEL_OPACITY = 225  # of 255


def color_of(label: int) -> Color:
    """The RGB colour of a class: the same in every picture, neighbouring classes far apart in hue."""
    # steps of the golden ratio never come back near an earlier hue
    hue = (0.58 + label * 0.61803398875) % 1.0
    saturation, value = (0.80, 0.72, 0.90)[label // 7 % 3], (0.95, 0.80, 1.0)[label // 5 % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


@dataclass(frozen=True, slots=True)
class Style:
    """What is drawn and how; see `detzoo.predict.result.Result.plot`."""

    boxes: bool = True
    masks: bool = True
    labels: bool = True
    scores: bool = True
    width: int | None = None
    color_by: Literal["class", "instance"] = "class"
    font: str | Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            ValueError: the width is no positive number of pixels, or the colours are to go by something else.
        """
        if self.width is not None:
            count("width", self.width)
        if self.color_by not in ("class", "instance"):
            raise ValueError(f"color_by is 'class' or 'instance', not {self.color_by!r}")


PLAIN = Style()


def draw(detections: Detections, pixels: Any, threshold: float = 0.0, style: Style = PLAIN) -> Image.Image:
    """An image with masks, boxes and names, of which the surest lie on top.

    Args:
        detections: of one image, in its pixels.
        pixels: the image, uint8 RGB ``(H, W, 3)``; None is refused.
        threshold: detections that score less are left out.
        style: what is drawn and how.

    Raises:
        ValueError: there is no image to draw on, or the font of the names cannot be read.
    """
    if pixels is None:
        raise ValueError("there is no picture to draw on: give one, or draw a result of predict()")
    fonts = Fonts(style.font)
    canvas = np.array(pixels)
    height, width = size = canvas.shape[0], canvas.shape[1]
    scores, boxes, labels = detections.scores.tolist(), detections.boxes.tolist(), detections.labels.tolist()
    colors = [color_of(label if style.color_by == "class" else row) for row, label in enumerate(labels)]
    shown = [index for index, score in enumerate(scores) if score >= threshold]
    thick = style.width or max(1, round(min(size) / 230))
    # results come with the surest first; drawing ends with them
    rows = shown[::-1]
    if style.masks:
        for index, (top, left, inside) in zip(rows, _masks(detections, rows, size), strict=False):
            _tint(canvas, top, left, inside, colors[index], thick)
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture, "RGBA")
    if style.boxes:
        for index in rows:
            _outline(pen, boxes[index], colors[index], thick, width, height)
    if style.labels or style.scores:
        tags = _Labels(pen, width, height, fonts)
        names = detections.names if style.labels else [""] * len(labels)
        for index in shown:
            number = f"{scores[index]:.2f}" if style.scores else ""
            tags.place(names[index], boxes[index], colors[index], number, labels[index])
        tags.draw()
    return picture


def write(picture: Callable[[], Image.Image], path: str | Path) -> Path:
    """Write an image file, whole or not at all, and return its path.

    Args:
        picture: makes the image, once the name is known to be good.
        path: its suffix chooses the format.

    Raises:
        ValueError: the suffix names no image format.
        OSError: the file cannot be written.
    """
    path = user_path(path)
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise ValueError(f"cannot save a picture as {path.name}: give it a suffix such as .jpg or .png")
    image = picture()
    options = {"quality": 92} if kind in ("JPEG", "WEBP") else {}
    return write_atomically(path, lambda temporary: image.save(temporary, format=kind, **options))


def _masks(
    detections: Detections, rows: list[int], size: tuple[int, int]
) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """First row, first column and bitmap of some masks, one at a time so that memory stays flat."""
    if detections.crops is not None:
        crops, boxes = detections.crops[rows].cpu(), detections.mask_boxes[rows].cpu()
        for top, left, inside in windows(crops, boxes, size, detections.mask_threshold):
            yield top, left, inside.numpy()
    elif detections.dense is not None:
        for row in rows:
            yield 0, 0, detections.dense[row].cpu().numpy()


def _tint(canvas: NDArray[np.uint8], top: int, left: int, inside: NDArray[np.bool_], color: Color, thick: int) -> None:
    """Lay a colour over a mask, and draw its rim ``thick`` pixels wide."""
    part = canvas[top : top + inside.shape[0], left : left + inside.shape[1]]
    paint = np.array(color, dtype=np.float32)
    core = np.pad(inside, 1)
    for _ in range(thick):
        shrunk = core.copy()
        shrunk[1:] &= core[:-1]
        shrunk[:-1] &= core[1:]
        shrunk[:, 1:] &= core[:, :-1]
        shrunk[:, :-1] &= core[:, 1:]
        core = shrunk
    part[inside] = (part[inside] * (1 - MASK_OPACITY) + paint * MASK_OPACITY + 0.5).astype(np.uint8)
    part[inside & ~core[1:-1, 1:-1]] = color


def _outline(pen: ImageDraw.ImageDraw, box: Sequence[float], color: Color, thick: int, width: int, height: int) -> None:
    """A box's frame, kept inside the picture, with a dark edge so that it stands out on its own colour."""
    left, top = min(max(round(box[0]), 0), width - 1), min(max(round(box[1]), 0), height - 1)
    right, bottom = min(max(round(box[2]) - 1, left), width - 1), min(max(round(box[3]) - 1, top), height - 1)
    pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=(0, 0, 0, 110), width=1)
    pen.rectangle((left, top, right, bottom), outline=(*color, 255), width=thick)


class _Labels:
    """Names beside their boxes: inside the picture, and not on one another where there is room."""

    def __init__(self, pen: ImageDraw.ImageDraw, width: int, height: int, fonts: Fonts) -> None:
        self.pen, self.width, self.height, self.fonts = pen, width, height, fonts
        self.points = min(max(min(width, height) / 32, 11.0), 40.0)
        self.placed: list[tuple[str, list[Run], Rectangle, Color]] = []

    def place(self, name: str, box: Sequence[float], color: Color, number: str = "", label: int = 0) -> None:
        """Choose where a label goes; earlier labels keep their place."""
        runs = self._runs(name, number, label, self.points)
        wide, high = self._extent(runs)
        if wide > self.width:
            runs = self._runs(name, number, label, max(6.0, self.points * self.width / wide))
            wide, high = self._extent(runs)
        left = min(max(round(box[0]), 0), max(self.width - wide, 0))
        above, inside, below = round(box[1]) - high, round(box[1]), round(box[3])
        tops = [above, inside, below, *(inside + step * high for step in range(1, 12))]
        spots = [(left, top, left + wide, top + high) for top in tops if 0 <= top <= self.height - high]
        fallback = (left, 0, left + wide, high)
        free = (spot for spot in spots if not any(_touch(spot, other[2]) for other in self.placed))
        self.placed.append((name, runs, next(free, spots[0] if spots else fallback), color))

    def draw(self) -> None:
        """Draw every label, the first placed on top."""
        for _, runs, (left, top, right, bottom), color in reversed(self.placed):
            self.pen.rectangle((left, top, right - 1, bottom - 1), fill=(*color, LABEL_OPACITY))
            x = (left + right - self._length(runs)) / 2
            baseline = top + max(font.getmetrics()[0] for font, _ in runs)
            for font, text in runs:
                self.pen.text((x, baseline), text, fill=ink_on(color), font=font, anchor="ls")
                x += self.pen.textlength(text, font=font)

    def _runs(self, name: str, number: str, label: int, points: float) -> list[Run]:
        """A name and what stands behind it, each in a font that has its letters."""
        runs = self.fonts.name(printable(name), label, points) if name else []
        behind = self.fonts.runs(f" {number}" if name else number, points) if number else []
        return [*runs, *(behind or [])] or (self.fonts.runs(" ", points) or [])

    def _length(self, runs: list[Run]) -> float:
        return sum(self.pen.textlength(text, font=font) for font, text in runs)

    def _extent(self, runs: list[Run]) -> tuple[int, int]:
        """Width and height of a label, its margins included."""
        rise, fall = (max(part) for part in zip(*(font.getmetrics() for font, _ in runs), strict=True))
        margin = max(2, round(self.points / 5))
        return math.ceil(self._length(runs)) + 2 * margin, rise + fall


def ink_on(color: Color) -> Color:
    """Black or white, whichever is easier to read on ``color`` (contrast ratio of WCAG 2.1, section 1.4.3)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def _touch(first: Rectangle, second: Rectangle) -> bool:
    apart = first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]
    return not apart
