"""Stand-in weights, images and objects: every number follows from a name alone, so nothing needs to be exchanged.

A name's SHA-256 keys a counter-based generator (Philox), of whose 64-bit words the upper 24 bits make a float32 in
[0, 1). Only integers and exact divisions are involved: the values do not depend on library versions.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from detzoo.types import Images, Targets

Array = np.ndarray
_ROOT_12 = np.float32(12**0.5)
_UNIT = np.float32(2**-24)


def uniform(name: str, shape: Sequence[int]) -> Array:
    """float32 in [0, 1)."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    words = np.random.Philox(key=seed).random_raw(math.prod(shape))
    words >>= np.uint64(40)
    return (words.astype(np.float32) * _UNIT).reshape(tuple(shape))


def spread(name: str, shape: Sequence[int]) -> Array:
    """float32, uniform with mean 0 and variance 1."""
    return (uniform(name, shape) - np.float32(0.5)) * _ROOT_12


def parameter(name: str, shape: Sequence[int], gain: float = 1.0) -> Array:
    """Value of the published parameter or buffer ``name``, of a size that keeps activations near 1."""
    kind = name.rpartition(".")[2]
    if kind == "weight_gamma":  # weight standardization
        return 0.02 * (0.5 + uniform(name, shape))
    if kind == "weight_beta":
        return 0.0003 * spread(name, shape)
    if "init_proposal_bboxes" in name:  # normalized centres and sizes
        return 0.3 + 0.4 * uniform(name, shape)
    if kind == "running_var":
        return 0.5 + uniform(name, shape)
    if len(shape) < 2:
        scale = kind in ("weight", "gamma", "scale")
        return 0.5 + uniform(name, shape) if scale else 0.1 * spread(name, shape)
    return spread(name, shape) * np.float32(gain / math.prod(shape[1:]) ** 0.5)


# convolutions that the levels of a head share stand in its state dict once for each level
_SHARED = re.compile(r"^(bbox_head\.(?:cls|reg)_convs)\.\d+(\.\d+\.conv\.\w+)$")


def weights(shapes: Mapping[str, Sequence[int]], gain: float = 1.0, before: str = "") -> dict[str, Tensor]:
    """A published state dict; batch normalization's step counters are zero, and what a network computes is left out.

    The values follow from the names with ``before`` in front of them. Of names that share a tensor the original keeps
    what it loads last.
    """
    shared = {found.groups(): name for name in shapes if (found := _SHARED.match(name))}
    last = {name: shared[found.groups()] for name in shapes if (found := _SHARED.match(name))}
    return {
        name: torch.zeros((), dtype=torch.int64)
        if name.endswith("num_batches_tracked")
        else torch.from_numpy(np.asarray(parameter(before + last.get(name, name), shape, gain)))
        for name, shape in shapes.items()
        if not name.endswith(("relative_position_index", ".project"))
    }


def image(name: str, height: int, width: int) -> Array:
    """float32 ``(3, height, width)``, normalized: four waves per channel plus noise."""
    rows = np.arange(height, dtype=np.float64)[:, None] / height
    columns = np.arange(width, dtype=np.float64)[None, :] / width
    waves = uniform(f"{name}/waves", (3, 4, 3)).astype(np.float64)
    turn = 6.283185307179586
    pixels = np.zeros((3, height, width))
    for channel, wave in np.ndindex(3, 4):
        u, v, phase = waves[channel, wave]
        pixels[channel] += 0.5 * np.sin(turn * ((1 + 6 * u) * rows + (1 + 6 * v) * columns) + turn * phase)
    pixels += 0.3 * spread(f"{name}/noise", (3, height, width))
    return pixels.astype(np.float32)


def images(canvas: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> Images:
    """A zero-padded batch of `image` ``image0``, ``image1``, ... of these heights and widths."""
    pixels = torch.zeros(len(sizes), 3, *canvas)
    for index, (height, width) in enumerate(sizes):
        pixels[index, :, :height, :width] = torch.from_numpy(image(f"image{index}", height, width))
    return Images(pixels, torch.tensor(sizes))


def targets(canvas: tuple[int, int], sizes: Sequence[tuple[int, int]], classes: int, masks: bool) -> Targets:
    """Five objects in the first image, three in each other, `proposals`, and masks: the ellipses inside the boxes.

    A class map of 183 classes is constant in every 8 x 8 pixels.
    """
    return Targets.pack(list(_objects(canvas, sizes, classes, masks)))


def proposals(index: int, height: int, width: int) -> Tensor:
    """Sixty boxes ``[60, 4]`` of image ``index``, for methods that are given theirs."""
    u = uniform(f"image{index}/proposals", (60, 4))
    x, y = u[:, 0] * width, u[:, 1] * height
    half_width, half_height = (0.05 + 0.6 * u[:, 2]) * width / 2, (0.05 + 0.6 * u[:, 3]) * height / 2
    boxes = np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=1)
    return torch.from_numpy(boxes.clip(0, [width, height, width, height]).astype(np.float32))


def _objects(
    canvas: tuple[int, int], sizes: Sequence[tuple[int, int]], classes: int, masks: bool
) -> Iterator[dict[str, Tensor]]:
    for index, (height, width) in enumerate(sizes):
        u = uniform(f"image{index}/gt", (5 if index == 0 else 3, 5))
        x, y = (0.2 + 0.6 * u[:, 0]) * width, (0.2 + 0.6 * u[:, 1]) * height
        half_width, half_height = (0.12 + 0.5 * u[:, 2]) * width / 2, (0.12 + 0.5 * u[:, 3]) * height / 2
        boxes = np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=1)
        boxes = boxes.clip(0, [width, height, width, height]).astype(np.float32)
        item = {
            "boxes": torch.from_numpy(boxes),
            "labels": torch.from_numpy(np.floor(u[:, 4] * classes).astype(np.int64)),
            "proposals": proposals(index, height, width),
            "semantic": _class_map(index, canvas),
        }
        if masks:
            item["masks"] = torch.from_numpy(np.stack([_ellipse(box, canvas) for box in boxes]))
        yield item


def _class_map(index: int, canvas: tuple[int, int]) -> Tensor:
    cells = uniform(f"image{index}/sem", (1, canvas[0] // 8, canvas[1] // 8))[0]
    pixels = np.full(canvas, 255, dtype=np.int64)
    drawn = np.floor(cells * 183).astype(np.int64).repeat(8, 0).repeat(8, 1)
    pixels[: drawn.shape[0], : drawn.shape[1]] = drawn
    return torch.from_numpy(pixels)


def _ellipse(box: Array, canvas: tuple[int, int]) -> Array:
    x1, y1, x2, y2 = box.astype(np.float64)
    columns = (np.arange(canvas[1]) + 0.5 - (x1 + x2) / 2) / max((x2 - x1) / 2, 1e-6)
    rows = (np.arange(canvas[0]) + 0.5 - (y1 + y2) / 2) / max((y2 - y1) / 2, 1e-6)
    return columns[None, :] ** 2 + rows[:, None] ** 2 <= 1
