"""Instance masks as windows: what they weigh is the sum of their own areas in bits, not objects x canvas in bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

if TYPE_CHECKING:  # numpy is imported where it is used: a detector is built without it
    import numpy as np
    from numpy.typing import NDArray

    Piece = tuple[int, int, NDArray[np.bool_]]  # top, left and pixels: part of a canvas, elsewhere nothing is set

_LEAST = 1024  # bytes of a batch's buffer


@dataclass(frozen=True, slots=True)
class MaskWindows:
    """Masks on one canvas, each held as the smallest window around its set pixels; a batch's, or one image's.

    Coordinates are pixels of the canvas, the origin its top left corner. Pixel ``y, x`` of a mask with window
    ``x1, y1, x2, y2`` is bit ``(y - y1) * (x2 - x1) + x - x1`` from byte ``start`` on, the highest bit of a byte first;
    outside of its window nothing is set.

    Attributes:
        bits: uint8 ``[B]``, the windows of all masks one after the other, each from a whole byte on. A batch's length
            is rounded up to a power of two beyond them, so that few shapes occur.
        starts: int64 ``[N, G]`` (one image: ``[G]``), the byte that each mask's window starts at.
        windows: int64 ``[N, G, 4]`` (one image: ``[G, 4]``) xyxy; zeros where nothing is set and in unused slots.
        canvas: ``(H, W)`` in pixels.
    """

    bits: Tensor
    starts: Tensor
    windows: Tensor
    canvas: tuple[int, int]

    @classmethod
    def cut(cls, pieces: Sequence[Piece], canvas: tuple[int, int]) -> Self:
        """One image's masks from parts of the canvas that hold all their set pixels.

        Args:
            pieces: per mask ``top``, ``left`` and bool ``(h, w)``; may be larger than the mask's window.
            canvas: ``(H, W)``, which the parts lie in.
        """
        import numpy as np

        windows = np.zeros((len(pieces), 4), dtype=np.int64)
        packed = [np.zeros(0, dtype=np.uint8)]
        for window, (top, left, pixels) in zip(windows, pieces, strict=True):
            rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
            if len(rows):
                y1, y2, x1, x2 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
                window[:] = left + x1, top + y1, left + x2, top + y2
                packed.append(np.packbits(pixels[y1:y2, x1:x2]))
        lengths = _bytes(windows)
        return cls(
            bits=torch.from_numpy(np.concatenate(packed)),
            starts=torch.from_numpy(lengths.cumsum() - lengths),
            windows=torch.from_numpy(windows),
            canvas=canvas,
        )

    @classmethod
    def of(cls, masks: Tensor) -> Self:
        """From whole masks, bool ``[G, H, W]`` of one image or ``[N, G, H, W]``, on the device that they are on."""
        height, width = masks.shape[-2:]
        if masks.dim() == 4:
            images, slots = masks.shape[:2]
            flat = cls.join([cls.of(masks.flatten(0, 1))], images * slots)
            starts, windows = flat.starts.view(images, slots), flat.windows.view(images, slots, 4)
            return dataclasses.replace(flat, starts=starts, windows=windows)
        pieces = [(0, 0, mask) for mask in masks.bool().cpu().numpy()]
        return cls.cut(pieces, (height, width)).to(masks.device)

    @classmethod
    def join(cls, images: Sequence[MaskWindows], slots: int) -> Self:
        """A batch of images with G = ``slots`` slots each.

        Raises:
            ValueError: the images' canvases differ, or one has more masks than ``slots``.
        """
        first = images[0]
        for image in images:
            if image.canvas != first.canvas or len(image) > slots:
                raise ValueError(
                    f"{len(image)} masks on a canvas of {image.canvas} do not fit {slots} slots on {first.canvas}"
                )
        starts = first.starts.new_zeros(len(images), slots)
        windows = first.windows.new_zeros(len(images), slots, 4)
        held = sum(len(image.bits) for image in images)
        bits = first.bits.new_zeros(max(_LEAST, 1 << held.bit_length()))
        filled = 0
        for row, image in enumerate(images):
            starts[row, : len(image)] = image.starts + filled
            windows[row, : len(image)] = image.windows
            bits[filled : filled + len(image.bits)] = image.bits
            filled += len(image.bits)
        return cls(bits, starts, windows, first.canvas)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, G, H, W)``, of one image ``(G, H, W)``: what `dense` gives."""
        return (*self.starts.shape, *self.canvas)

    def numel(self) -> int:
        """Bytes that the windows take."""
        return self.bits.numel()

    def __len__(self) -> int:
        """Images of a batch, masks of one image."""
        return len(self.starts)

    def __getitem__(self, index: int) -> Self:
        """Image ``index`` of a batch; its windows stay in the batch's buffer."""
        return dataclasses.replace(self, starts=self.starts[index], windows=self.windows[index])

    def dense(self) -> Tensor:
        """Whole masks: bool ``[N, G, H, W]``, of one image ``[G, H, W]``. For drawings and tests."""
        import numpy as np

        windows, starts = self.windows.reshape(-1, 4).cpu().numpy(), self.starts.flatten().tolist()
        out = np.zeros((len(starts), *self.canvas), dtype=np.bool_)
        bits = self.bits.cpu().numpy()
        for mask, (x1, y1, x2, y2), start, length in zip(out, windows, starts, _bytes(windows), strict=True):
            pixels = np.unpackbits(bits[start : start + length], count=(y2 - y1) * (x2 - x1))
            mask[y1:y2, x1:x2] = pixels.reshape(y2 - y1, x2 - x1)
        return torch.from_numpy(out).reshape(self.shape).to(self.bits.device)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """A copy with every tensor on ``device``."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """A copy in memory from which a device reads faster; a `torch.utils.data.DataLoader` calls it."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Any) -> Self:
        tensors = (self.bits, self.starts, self.windows)
        return type(self)(*map(change, tensors), canvas=self.canvas)


def _bytes(windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many bytes each window ``[..., 4]`` takes: int64 ``[...]``."""
    return ((windows[..., 2:] - windows[..., :2]).prod(axis=-1) + 7) // 8
