"""Ground truth masks at the size of a feature map, for methods whose masks span the whole picture.

One operator with a backend per kind of device: on the CPU its cost follows the masks' own windows, elsewhere a few
masks at a time are read at every cell. Both add in the same order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detzoo.ops.mask_windows import MaskWindows
from detzoo.ops.roi_align import pixels_at, unpacked

_CHUNK = 16  # masks that are read at every cell at once: bounds the memory


@torch.no_grad()
def at_size(masks: MaskWindows, size: tuple[int, int]) -> Tensor:
    """Bool ``[N, G, h, w]``: where masks, bilinearly resized from the canvas to ``size``, are above a half.

    What ``F.interpolate(align_corners=False)`` gives of whole float masks, of which there are none: memory is a byte
    for each cell of a map and, on the CPU, one window.
    """
    (height, width), images = masks.canvas, masks.starts.shape[0]
    places = masks.starts.flatten(), masks.windows.flatten(0, 1)
    found = torch.ops.detzoo.masks_at_size(masks.bits, *places, height, width, *size)
    return found.view(images, -1, *size)


@torch.library.custom_op("detzoo::masks_at_size", mutates_args=(), device_types="cpu")
def _at_size(bits: Tensor, starts: Tensor, windows: Tensor, height: int, width: int, high: int, wide: int) -> Tensor:
    out = torch.zeros((len(starts), high, wide), dtype=torch.bool)
    down, across = _lines(height, high, bits.device), _lines(width, wide, bits.device)
    for mask, start, (left, top, right, bottom) in zip(out, starts.tolist(), windows.tolist(), strict=True):
        if right <= left:
            continue
        (first, last), (begin, end) = _read(down, top, bottom), _read(across, left, right)
        # a pixel of nothing on either side, for lines of which only one is in the window
        pixels = torch.nn.functional.pad(unpacked(bits, start, bottom - top, right - left), (1, 1, 1, 1))
        values = _mixed(pixels, 1, across, slice(begin, end), left)
        mask[first:last, begin:end] = _mixed(values, 0, down, slice(first, last), top) > 0.5
    return out


@_at_size.register_kernel(("cuda", "mps"))
def _at_size_elsewhere(
    bits: Tensor, starts: Tensor, windows: Tensor, height: int, width: int, high: int, wide: int
) -> Tensor:
    y, y_next, below = _lines(height, high, bits.device)
    x, x_next, right = _lines(width, wide, bits.device)
    parts = []
    for some in (slice(start, start + _CHUNK) for start in range(0, len(starts), _CHUNK)):
        rows = []
        for row in (y, y_next):
            one, other = (
                pixels_at(bits, starts[some], windows[some], row[None, :, None], column[None, None]).float()
                for column in (x, x_next)
            )
            rows.append((1 - right) * one + right * other)
        parts.append((1 - below[:, None]) * rows[0] + below[:, None] * rows[1] > 0.5)
    return torch.cat(parts)


@_at_size.register_fake
def _at_size_shape(
    bits: Tensor, starts: Tensor, windows: Tensor, height: int, width: int, high: int, wide: int
) -> Tensor:
    return bits.new_empty((starts.shape[0], high, wide), dtype=torch.bool)


def _lines(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each of ``size`` cells the two of ``length`` pixels that it is read from, int64, and the second's share."""
    place = ((torch.arange(size, device=device) + 0.5) * (length / size) - 0.5).clamp(min=0)
    first = place.floor().clamp(max=length - 1)
    line = first.long()
    return line, (line + 1).clamp(max=length - 1), place - first


def _read(lines: tuple[Tensor, Tensor, Tensor], low: int, high: int) -> tuple[int, int]:
    """The first cell that reads a pixel from ``low`` to ``high``, and the one after the last."""
    return int(torch.searchsorted(lines[1], low)), int(torch.searchsorted(lines[0], high))


def _mixed(pixels: Tensor, axis: int, lines: tuple[Tensor, Tensor, Tensor], some: slice, low: int) -> Tensor:
    """Some cells of a window that begins at pixel ``low`` and has a pixel of nothing on either side."""
    one, other, share = (line[some] for line in lines)
    most = pixels.shape[axis] - 1
    one, other = ((line - low + 1).clamp(0, most) for line in (one, other))
    share = share if axis else share[:, None]
    return (1 - share) * pixels.index_select(axis, one) + share * pixels.index_select(axis, other)
