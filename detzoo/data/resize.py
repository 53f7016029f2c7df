"""Image sizes and resizing, rounded as the published models were trained."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from detzoo.detector import Input
from detzoo.tta import Scale

STRIP = 1 << 17  # pixels that are resized at once, so that they stay in the processor's cache


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


def fit_input(height: int, width: int, input: Input, scale: Scale = 1.0) -> tuple[int, int]:
    """Height and width, in pixels, at which a detector takes an image of this size.

    ``scale`` multiplies the bounds of the edges, or the image's own size where that is kept, or gives other bounds.

    Raises:
        ValueError: the image has no pixels, or ``scale`` is to change a detector's only canvas.
    """
    if input.canvas is not None:
        if scale != 1:
            raise ValueError("this detector takes one size only: it cannot look at other scales")
        if not input.keep_ratio or min(height, width) < 1:
            return fit_size(height, width, *input.canvas, keep_ratio=False)
        factor = min(input.canvas[0] / height, input.canvas[1] / width)
        return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))
    if isinstance(scale, tuple):
        return fit_size(height, width, *scale, input.keep_ratio)
    if not input.resize:
        return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
    short, long = (max(1, int(edge * scale + 0.5)) for edge in (input.short, input.long))
    return fit_size(height, width, short, long, input.keep_ratio)


def canvas_size(sizes: Tensor, settings: Input) -> tuple[int, int]:
    """Height and width of the smallest canvas that images of ``sizes [N, 2]`` fit on, in pixels.

    Plus ``settings.less``, both are multiples of ``settings.multiple``. ``settings.canvas`` is the only one, if given.
    """
    if settings.canvas is not None:
        return settings.canvas
    multiple, less = settings.multiple, settings.less
    height, width = (-(-(edge + less) // multiple) * multiple - less for edge in sizes.amax(0).tolist())
    return height, width


@dataclass(frozen=True, slots=True)
class Resized:
    """A picture of another size, and perhaps mirrored, that is made where it is wanted: best in its batch, by `draw`.

    Bilinear, with half-pixel centres and no smoothing: OpenCV's INTER_LINEAR within one grey level. First along the
    rows, then along the columns, with grey levels rounded in between. PyTorch does both at once in twice the time, most
    of it for parting the channels; here they are parted in between, where there are the fewest pixels.

    Attributes:
        image: uint8 RGB ``(H, W, 3)``; fastest if it is the first three of four bytes, as `read_image` gives them with
            ``spare``.
        height, width: of the result, pixels.
        mirrored: left and right are exchanged.
        cubic: bicubic instead: OpenCV's INTER_CUBIC within one grey level. In floats, for what overshoots along
            the rows is not cut off in between.
    """

    image: NDArray[np.uint8]
    height: int
    width: int
    mirrored: bool = False
    cubic: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the array ``(height, width, 3)``."""
        return self.height, self.width, 3

    def pixels(self) -> NDArray[np.uint8]:
        """uint8 ``(height, width, 3)``, in memory channel by channel."""
        canvas = torch.empty((3, self.height, self.width + -self.width % 4), dtype=torch.uint8, device="cpu")
        self.draw(canvas)
        return canvas[..., : self.width].permute(1, 2, 0).numpy()

    def draw(self, canvas: Tensor) -> None:
        """Fill the top ``height`` rows of a canvas, uint8 ``(3, H, W)``, contiguous; W is a multiple of 4."""
        if self.cubic:
            return self._draw_cubic(canvas)
        rows, beside = len(self.image), canvas.shape[2]
        planes = canvas.numpy() if rows == self.height else np.empty((3, rows, beside), dtype=np.uint8)
        planes[:, :rows, self.width :] = 0
        whole = _with_spare(self.image)
        pixels = np.ascontiguousarray(self.image) if whole is None else whole
        strip = max(1, STRIP // self.width)
        for top in range(0, rows, strip):
            part = torch.from_numpy(pixels[top : top + strip])
            if self.width != part.shape[1]:
                part = _interpolated(part, part.new_empty((len(part), self.width, part.shape[2])))
            _part_channels(part, planes[:, top : top + len(part), : self.width], self.mirrored)
        if rows != self.height:  # to the kernel a column is a column, whatever four of its bytes belong to
            for plane, target in zip(torch.from_numpy(planes), canvas, strict=True):
                _interpolated(plane.view(rows, -1, 4), target[: self.height].view(self.height, -1, 4))

    def _draw_cubic(self, canvas: Tensor) -> None:
        planes = torch.from_numpy(np.ascontiguousarray(self.image)).permute(2, 0, 1)[None].float()
        size = self.height, self.width
        made = F.interpolate(planes, size, mode="bicubic")[0].round_().clamp_(0, 255)
        canvas[:, : self.height, : self.width] = made.flip(2) if self.mirrored else made
        canvas[:, : self.height, self.width :] = 0


def _part_channels(pixels: Tensor, planes: NDArray[np.uint8], mirrored: bool) -> None:
    """Copy pixels ``(H, W, 3 or 4)`` to ``(3, H, W)``."""
    if pixels.shape[2] == 3:
        array = (pixels.flip(1) if mirrored else pixels).numpy()
        for channel in range(3):  # faster than one transposed copy
            planes[channel] = array[..., channel]
        return
    turned = pixels.view(torch.int32)[..., 0]
    words = (turned.flip(1) if mirrored else turned).numpy().view("<u4")
    for channel in range(3):  # the lowest byte of a word: twice as fast as picking bytes
        planes[channel] = words >> 8 * channel if channel else words


def _with_spare(image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The array ``(H, W, 4)`` of which ``image`` is the first three channels, if it is part of such an array."""
    whole = image.base
    if not isinstance(whole, np.ndarray) or whole.dtype != np.uint8 or whole.shape != (*image.shape[:2], 4):
        return None
    same = whole.flags.c_contiguous and image.strides == whole.strides and image.ctypes.data == whole.ctypes.data
    return whole if same else None


def _interpolated(pixels: Tensor, target: Tensor) -> Tensor:
    """``target``, filled by bilinear resizing; both ``(H, W, C)`` and contiguous, C is 3 or 4."""
    # the kernel is fastest where channels are last in memory, before and after; the public function has no ``out``
    before, after = (some.permute(2, 0, 1)[None] for some in (pixels, target))
    torch.ops.aten.upsample_bilinear2d.out(before, target.shape[:2], False, out=after)
    return target


Picture = NDArray[np.uint8] | Resized  # uint8 RGB (H, W, 3), or what becomes one


def resize_picture(picture: Picture, height: int, width: int, interpolation: str = "bilinear") -> Picture:
    """A picture in another size, pixels; the picture itself if it has that size. ``interpolation``: as of `Input`."""
    if (height, width) == picture.shape[:2]:
        return picture
    return Resized(pixels_of(picture), height, width, cubic=interpolation == "bicubic")


def flip_picture(picture: Picture) -> Picture:
    """A picture with left and right exchanged."""
    if isinstance(picture, Resized):
        return replace(picture, mirrored=not picture.mirrored)
    return torch.from_numpy(picture).flip(1).numpy()  # twenty times faster than a copy in numpy


def pixels_of(picture: Picture) -> NDArray[np.uint8]:
    """uint8 RGB ``(H, W, 3)``."""
    return picture.pixels() if isinstance(picture, Resized) else picture


def draw(picture: Picture, canvas: Tensor) -> None:
    """Put a picture into the top left corner of a canvas, uint8 ``(3, H, W)``, contiguous; the rest becomes zero."""
    height, width, _ = picture.shape
    canvas[:, height:] = 0
    if isinstance(picture, Resized) and not canvas.shape[2] % 4:
        picture.draw(canvas)
        return
    canvas[:, :height, :width] = torch.from_numpy(pixels_of(picture)).permute(2, 0, 1)
    canvas[:, :height, width:] = 0


def to_tensor(image: NDArray[np.uint8]) -> Tensor:
    """uint8 ``(3, H, W)``, contiguous and a copy, of an array ``(H, W, 3)``."""
    planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
    for channel in range(3):  # faster than a transposed copy
        planes[channel] = image[..., channel]
    return torch.from_numpy(planes)


def resize(
    image: NDArray[np.uint8], target: Input | tuple[int, int], keep_ratio: bool = True, scale: Scale = 1.0
) -> tuple[Tensor, tuple[float, float]]:
    """Resize an image to what a detector takes.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        target: the detector's input settings, or ``(short, long)`` pixels.
        keep_ratio: used with ``(short, long)``; input settings have their own.
        scale: used with input settings; see `fit_input`.

    Returns:
        uint8 ``(3, h, w)`` and ``(w / W, h / H)``, the factors for x and y coordinates.

    Raises:
        ValueError: the array is not uint8 ``(H, W, 3)``, or has no pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image is uint8 (height, width, 3), not {image.dtype} {image.shape}")
    before = image.shape[0], image.shape[1]
    if isinstance(target, Input):
        (height, width), way = fit_input(*before, target, scale), target.interpolation
    else:
        (height, width), way = fit_size(*before, *target, keep_ratio), "bilinear"
    if not image.flags.writeable or min(image.strides) < 0:  # torch takes neither
        image = image.copy()
    return to_tensor(pixels_of(resize_picture(image, height, width, way))), (width / before[1], height / before[0])
