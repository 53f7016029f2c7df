"""Box arithmetic, and the precision of boxes and scores.

Boxes are xyxy pixels (see `detzoo.types`); everything broadcasts over leading dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# exp() of a larger size change would overflow long before it could describe an object (Fast R-CNN's 1000/16)
MAX_LOG_RATIO = math.log(1000.0 / 16.0)


def full_precision(x: Tensor) -> Tensor:
    """``x [...]`` in float32, whatever the network computes in; float64 stays, so that it reaches the results."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def area(boxes: Tensor) -> Tensor:
    """Area ``[...]`` in square pixels of boxes ``[..., 4]``."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Common area of boxes ``[..., 4]`` and ``[..., 4]``, broadcast against each other."""
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    return width.clamp(min=0) * height.clamp(min=0)


def iou(a: Tensor, b: Tensor, eps: float = 1e-6) -> Tensor:
    """Intersection over union of boxes ``[..., 4]`` and ``[..., 4]``, broadcast; the union is at least ``eps``."""
    common = intersection(a, b)
    return common / (area(a) + area(b) - common).clamp(min=eps)


def giou(a: Tensor, b: Tensor, eps: float = 1e-7) -> Tensor:
    """Generalized IoU of boxes ``[..., 4]`` and ``[..., 4]``, broadcast; algorithm 1 of arXiv:1902.09630.

    Union and hull are at least ``eps``. Between -1 (far apart) and 1 (equal).
    """
    common = intersection(a, b)
    union = (area(a) + area(b) - common).clamp(min=eps)
    low, high = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    hull = (high - low).clamp(min=0).prod(-1).clamp(min=eps)
    return common / union - (hull - union) / hull


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of every box of ``a [..., A, 4]`` with every one of ``b [..., B, 4]``: ``[..., A, B]``."""
    return iou(a[..., :, None, :], b[..., None, :, :])


def coverage(boxes: Tensor, regions: Tensor, eps: float = 1e-6) -> Tensor:
    """Share of each of ``boxes [..., 4]`` that lies inside ``regions [..., 4]``, broadcast."""
    return intersection(boxes, regions) / area(boxes).clamp(min=eps)


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Boxes ``[N, K, 4]`` cut off at the borders of images of ``sizes [N, 2]`` (height, width)."""
    limit = sizes.to(boxes.dtype).flip(1).repeat(1, 2).unsqueeze(1)
    return torch.minimum(boxes.clamp(min=0), limit)


def to_centres(boxes: Tensor) -> Tensor:
    """Centre and size ``x, y, w, h`` of boxes ``[..., 4]``."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)


def from_centres(boxes: Tensor) -> Tensor:
    """Boxes ``[..., 4]`` from centre and size ``x, y, w, h``."""
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([middle - half, middle + half], -1)


def encode(anchors: Tensor, boxes: Tensor, stds: tuple[float, float, float, float]) -> Tensor:
    """Offsets that move ``anchors [..., 4]`` onto ``boxes [..., 4]``: (dx, dy, dlog w, dlog h) / ``stds``.

    R-CNN, equations 6-9 (arXiv:1311.2524). Empty slots (no width or height) give finite numbers.
    """
    size = (anchors[..., 2:] - anchors[..., :2]).clamp(min=1e-6)
    target = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-6)
    centre = (anchors[..., :2] + anchors[..., 2:]) * 0.5
    shift = ((boxes[..., :2] + boxes[..., 2:]) * 0.5 - centre) / size
    return _scaled(torch.cat([shift, (target / size).log()], -1), [1 / std for std in stds])


def decode(anchors: Tensor, offsets: Tensor, stds: tuple[float, float, float, float]) -> Tensor:
    """Inverse of `encode`: boxes ``[..., 4]``; the change of size is bounded by 1000 / 16 either way."""
    offsets = _scaled(full_precision(offsets), stds)
    size = anchors[..., 2:] - anchors[..., :2]
    centre = (anchors[..., :2] + anchors[..., 2:]) * 0.5 + size * offsets[..., :2]
    half = size * offsets[..., 2:].clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp() * 0.5
    return torch.cat([centre - half, centre + half], -1)


def _scaled(offsets: Tensor, factors: Sequence[float]) -> Tensor:
    """``offsets [..., 4]`` times one number per column.

    The numbers are never made a tensor: copying that to a device would make the host wait.
    """
    if all(factor == 1 for factor in factors):
        return offsets
    columns = zip(offsets.unbind(-1), factors, strict=True)
    return torch.stack([column * factor for column, factor in columns], -1)
