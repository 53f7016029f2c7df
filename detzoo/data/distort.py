"""Random colours, as SSD trains with them (arXiv:1512.02325, section 2.2, and its code)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detzoo.recipes.augment import Distort


def distort(pixels: NDArray[np.uint8], step: Distort, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation, hue and the order of channels, each changed with probability 0.5.

    All in float32, clipped and rounded to grey levels once, at the end; the published models went on without that.

    Args:
        pixels: uint8 RGB ``(H, W, 3)``.
        step: how much.
        rng: draws which and how much.
    """
    last, brighter, contrast, saturate, turn, swap = rng.random(6) < 0.5
    image = pixels.astype(np.float32)
    if brighter:
        image += np.float32(rng.uniform(-step.brightness, step.brightness))
    factor = np.float32(rng.uniform(*step.contrast)) if contrast else np.float32(1)
    if contrast and not last:
        image *= factor
    if saturate:
        image = scale_saturation(image, rng.uniform(*step.saturation))
    if turn:
        image = turn_hue(image, rng.uniform(-step.hue, step.hue))
    if contrast and last:
        image *= factor
    if swap:
        image = image[..., rng.permutation(3)]
    return np.round(image).clip(0, 255).astype(np.uint8)


def scale_saturation(image: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Saturation in the HSV sense times ``factor``, at most full; value and hue stay.

    With the value V, the largest channel, a channel c lies ``V - c`` below it, in proportion to the saturation.

    Args:
        image: float32 ``(H, W, 3)``; pixels without a positive channel have no saturation.
        factor: from 0.
    """
    value = image.max(axis=2, keepdims=True)
    spread = value - image.min(axis=2, keepdims=True)
    most = np.divide(value, spread, out=np.ones_like(value), where=(spread > 0) & (value > 0))  # full saturation
    return value - (value - image) * np.minimum(np.float32(factor), np.maximum(most, 1))


def turn_hue(image: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """Hue in the HSV sense turned by ``degrees``; value and saturation stay.

    Args:
        image: float32 RGB ``(H, W, 3)``.
        degrees: counted from red towards yellow.
    """
    value, least = image.max(axis=2), image.min(axis=2)
    spread = value - least
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    # sixths of the circle from the largest channel's own place: red 0, green 2, blue 4
    below = np.where(value == red, green - blue, np.where(value == green, blue - red, red - green))
    place = np.where(value == red, 0, np.where(value == green, 2, 4)).astype(np.float32)
    hue = place + np.divide(below, spread, out=np.zeros_like(spread), where=spread > 0) + np.float32(degrees / 60)
    # a channel is at the bottom, rises over one sixth, stays on top for two, and falls over one
    away = (hue[..., None] + np.array([5, 3, 1], dtype=np.float32)) % 6
    return value[..., None] - spread[..., None] * np.minimum(away, 4 - away).clip(0, 1)
