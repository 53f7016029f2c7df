"""Image sizes and resizing, rounded as the published models were trained."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from detzoo.detector import Input


def fit_size(height: int, width: int, short: int, long: int, keep_ratio: bool = True) -> tuple[int, int]:
    """Height and width of an image after resizing, in pixels.

    With ``keep_ratio`` the largest size whose edges stay within ``short`` and ``long``:
    ``s = min(long / max(h, w), short / min(h, w))``, then ``int(h * s + 0.5), int(w * s + 0.5)``, at least 1.
    Without it the height is ``short`` and the width is ``long``.

    Raises:
        ValueError: the image has no pixels.
    """
    if height < 1 or width < 1:
        raise ValueError(f"an image of {height} x {width} pixels cannot be resized")
    if not keep_ratio:
        return short, long
    short, long = min(short, long), max(short, long)
    scale = min(long / max(height, width), short / min(height, width))
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def fit_input(height: int, width: int, input: Input) -> tuple[int, int]:
    """Height and width, in pixels, at which a detector takes an image of this size.

    Raises:
        ValueError: the image has no pixels.
    """
    if not input.resize:
        return height, width
    return fit_size(height, width, input.short, input.long, input.keep_ratio)


def canvas_size(sizes: Tensor, settings: Input) -> tuple[int, int]:
    """Height and width of the smallest canvas that images of ``sizes [N, 2]`` fit on, in pixels.

    Plus ``settings.less``, both are multiples of ``settings.multiple``.
    """
    multiple, less = settings.multiple, settings.less
    height, width = (-(-(edge + less) // multiple) * multiple - less for edge in sizes.amax(0).tolist())
    return height, width


def resize_pixels(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Bilinear resizing with half-pixel centres and no smoothing: OpenCV's INTER_LINEAR within one grey level.

    Args:
        image: uint8 ``(H, W, 3)``.
        height, width: of the result, pixels.

    Returns:
        uint8 ``(height, width, 3)``; ``image`` itself if it has that size.
    """
    if (height, width) == image.shape[:2]:
        return image
    # channels last in memory, where resizing is fastest
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    pixels = functional.interpolate(pixels, (height, width), mode="bilinear", align_corners=False)
    return pixels[0].permute(1, 2, 0).numpy()


def to_tensor(image: NDArray[np.uint8]) -> Tensor:
    """uint8 ``(3, H, W)``, contiguous and a copy, of an array ``(H, W, 3)``."""
    return torch.from_numpy(np.stack([image[..., channel] for channel in range(3)]))  # faster than a transposed copy


def resize(
    image: NDArray[np.uint8], target: Input | tuple[int, int], keep_ratio: bool = True
) -> tuple[Tensor, tuple[float, float]]:
    """Resize an image to what a detector takes.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        target: the detector's input settings, or ``(short, long)`` pixels.
        keep_ratio: used with ``(short, long)``; input settings have their own.

    Returns:
        uint8 ``(3, h, w)`` and ``(w / W, h / H)``, the factors for x and y coordinates.

    Raises:
        ValueError: the array is not uint8 ``(H, W, 3)``, or has no pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image is uint8 (height, width, 3), not {image.dtype} {image.shape}")
    before = image.shape[0], image.shape[1]
    if isinstance(target, Input):
        height, width = fit_input(*before, target)
    else:
        height, width = fit_size(*before, *target, keep_ratio)
    if not image.flags.writeable:  # torch does not take it
        image = image.copy()
    return to_tensor(resize_pixels(image, height, width)), (width / before[1], height / before[0])
