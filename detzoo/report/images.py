"""Pictures inside the page itself: with boxes, names and masks drawn on them, or as maps of numbers."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from detzoo.drawing.draw import Style, draw
from detzoo.types import Detections

LONGEST, SHORTEST = 900, 420  # pixels of the long edge: large pictures are made smaller, tiny ones larger


def inlined(picture: Image.Image) -> str:
    """A picture as an address that holds it, JPEG."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def heat_map(values: NDArray[Any]) -> str:
    """Numbers ``[H, W]``, 0 to 1, as an address that holds a picture of H x W pixels, PNG."""
    share = np.clip(np.asarray(values, dtype=np.float64), 0, 1)[..., None] ** 0.6
    colors = (1 - share) * np.array([244, 246, 250]) + share * np.array([24, 78, 160])
    file = io.BytesIO()
    Image.fromarray(colors.round().astype(np.uint8)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def drawn(
    pixels: NDArray[np.uint8],
    boxes: NDArray[Any],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    scores: NDArray[Any] | None = None,
    masks: NDArray[np.bool_] | None = None,
) -> str:
    """A picture with objects drawn on it, inlined.

    Args:
        pixels: uint8 RGB ``[H, W, 3]``.
        boxes: ``[K, 4]`` xyxy pixels.
        labels: ``[K]``.
        classes: names by label.
        scores: ``[K]``, written where given.
        masks: bool ``[K, H, W]``, or None.
    """
    height, width = pixels.shape[:2]
    longest = max(height, width)
    factor = min(max(longest, SHORTEST), LONGEST) / longest
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    scale = np.array([size[0] / width, size[1] / height] * 2)
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    dense = None
    if masks is not None and len(masks):
        shrunk = [np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)) for mask in masks]
        dense = torch.from_numpy(np.stack(shrunk))
    count = len(boxes)
    found = Detections(
        boxes=torch.from_numpy(np.asarray(boxes, dtype=np.float32) * scale.astype(np.float32)).reshape(-1, 4),
        scores=torch.ones(count) if scores is None else torch.from_numpy(np.asarray(scores, dtype=np.float32)),
        labels=torch.from_numpy(np.asarray(labels, dtype=np.int64)),
        valid=torch.ones(count, dtype=torch.bool),
        dense=dense,
        classes=classes,
    )
    return inlined(draw(found, small, 0.0, Style(scores=scores is not None)))
