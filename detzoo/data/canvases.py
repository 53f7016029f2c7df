"""Batches of one canvas: padding reaches into an image's features, so its result must not hang on its neighbours'."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detzoo.data.resize import canvas_size, fit_input
from detzoo.detector import Input
from detzoo.tta import Scale

_Key = TypeVar("_Key", bound=Hashable)
_Item = TypeVar("_Item")


def canvas(height: int, width: int, input: Input, scales: Sequence[Scale] = (1.0,)) -> tuple[int, ...]:
    """Height and width of the padded network input of an image file of this size, alone in its batch. All pixels.

    With several ``scales``, as of `detzoo.tta.TTA`, height and width at each of them.

    Raises:
        ValueError: the image has no pixels.
    """
    fitted = (torch.tensor([fit_input(height, width, input, scale)], device="cpu") for scale in scales)
    return tuple(edge for sizes in fitted for edge in canvas_size(sizes, input))


def canvases(sizes: NDArray[np.integer], input: Input, scales: Sequence[Scale] = (1.0,)) -> NDArray[np.int64]:
    """`canvas` of each height and width in ``sizes [N, 2]``, int64 ``[N, 2]`` at one scale, ``[N, 2 S]`` at S."""
    different, which = np.unique(sizes, axis=0, return_inverse=True)
    found = [canvas(height, width, input, scales) for height, width in different.tolist()]
    return np.array(found, dtype=np.int64).reshape(-1, 2 * len(scales))[which.reshape(-1)]


def of_one_canvas(items: Iterable[tuple[_Key, _Item]], size: int, window: int | None = None) -> Iterator[list[_Item]]:
    """Batches out of a stream, as soon as each is full; what is left goes at the end, those that came first first.

    Args:
        items: canvas and image of each; a batch holds images of equal canvases, in the order in which they came.
        size: images per batch.
        window: images that wait at most: beyond it, the one that has waited longest goes with those of its canvas that
            there are. None: the last batch of each canvas alone may have less than ``size``.
    """
    waiting: dict[_Key, list[_Item]] = {}
    count = 0
    for key, item in items:
        waiting.setdefault(key, []).append(item)
        count += 1
        if len(waiting[key]) < size:
            if window is None or count <= window:
                continue
            key = next(iter(waiting))  # dicts hold their keys as they came
        batch = waiting.pop(key)
        count -= len(batch)
        yield batch
    yield from waiting.values()


def padded(images: Sequence[Tensor], input: Input) -> tuple[Tensor, Tensor]:
    """Pixels, uint8 ``[N, 3, H, W]``, of images ``[3, h, w]`` padded to one canvas, and sizes, int64 ``[N, 2]``."""
    sizes = torch.tensor([image.shape[1:] for image in images], device="cpu")
    height, width = canvas_size(sizes, input)
    pixels = torch.zeros((len(images), 3, height, width), dtype=torch.uint8, device="cpu")
    for index, image in enumerate(images):
        pixels[index, :, : image.shape[1], : image.shape[2]] = image
    return pixels, sizes
