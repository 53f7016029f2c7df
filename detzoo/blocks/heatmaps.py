"""Keypoints on heat maps: bells around the true ones to learn from, and peaks to find them again.

One heat map per class; a keypoint is a cell. Batched over images and objects, with fixed shapes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.ops.boxes import full_precision

_CHUNK = 16  # object slots drawn at once: bounds the memory of crowded images


@torch.no_grad()
def bell_radius(sizes: Tensor, overlap: float) -> Tensor:
    """How many cells the two corners of a box may be off while it still overlaps the true box.

    CornerNet, section 3.1 (arXiv:1808.01244): the largest r for which both corners, moved by up to r along each axis,
    leave an IoU of ``overlap``. Both may move outwards, both inwards, or one either way; each bounds r by a quadratic
    equation.

    Args:
        sizes: ``[..., 2]`` width and height of the true boxes in cells.
        overlap: IoU between 0 and 1.

    Returns:
        float32 ``[...]``, whole numbers from 0.
    """
    total, product = sizes.float().sum(-1), sizes.float().prod(-1)
    one_each = _root(1.0, -total, product * (1 - overlap) / (1 + overlap))
    inwards = _root(4.0, -2 * total, product * (1 - overlap))
    outwards = _root(4 * overlap, 2 * overlap * total, product * (overlap - 1))
    return torch.minimum(torch.minimum(one_each, inwards), outwards).floor().clamp(min=0)


def _root(a: float, b: Tensor, c: Tensor) -> Tensor:
    """The smallest positive solution of ``a r^2 + b r + c = 0``, c > 0 > b or b > 0 > c."""
    root = (b.square() - 4 * a * c).clamp(min=0).sqrt()
    # the other of the two formulas for the solution: a difference of numbers of one sign would lose digits
    return -2 * c / torch.where(b > 0, b + root, b - root).where(c != 0, 1.0)


@torch.no_grad()
def draw_bells(
    x: Tensor, y: Tensor, radius: Tensor, labels: Tensor, valid: Tensor, shape: tuple[int, int, int]
) -> Tensor:
    """Heat maps ``[N, C, H, W]`` with a bell at every object's keypoint: 1 there, falling to 0 beyond ``radius``.

    CornerNet, section 3.1 (arXiv:1808.01244): ``exp(-d^2 / 2 s^2)`` in a square of ``2 radius + 1`` cells, s a sixth of
    its edge; where bells of a class meet, the higher value counts.

    Args:
        x: ``[N, G]``, whole numbers, column of each keypoint.
        y: ``[N, G]``, its row.
        radius: ``[N, G]``, whole numbers from 0.
        labels: int64 ``[N, G]``.
        valid: bool ``[N, G]``; other slots draw nothing.
        shape: C, H and W.
    """
    classes, height, width = shape
    heat = torch.zeros((len(x), classes, height * width), device=x.device)
    for start in range(0, x.shape[1], _CHUNK):
        some = slice(start, start + _CHUNK)
        rows = _bells(y[:, some], radius[:, some], height) * valid[:, some, None]
        drawn = rows[..., :, None] * _bells(x[:, some], radius[:, some], width)[..., None, :]
        drawn = drawn.flatten(2)
        heat = heat.scatter_reduce(1, labels[:, some, None].expand_as(drawn), drawn, "amax")
    return heat.unflatten(2, (height, width))


def _bells(centre: Tensor, radius: Tensor, length: int) -> Tensor:
    """``[N, G]`` centres along one axis to ``[N, G, length]``."""
    distance = torch.arange(length, device=centre.device) - centre.unsqueeze(-1)
    edge = 2 * radius.unsqueeze(-1) + 1
    return torch.exp(-18 * (distance / edge).square()) * (distance.abs() <= radius.unsqueeze(-1))


class Peaks(NamedTuple):
    """The best keypoints of each image, K of them.

    Attributes:
        scores: float32 ``[N, K]``, falling.
        labels: int64 ``[N, K]``.
        cells: int64 ``[N, K]``, row times W plus column.
        used: bool ``[N, K]``: slots that hold a keypoint, all but in a tiny map.
    """

    scores: Tensor
    labels: Tensor
    cells: Tensor
    used: Tensor


def find_peaks(logits: Tensor, count: int, window: int = 3) -> Peaks:
    """The ``count`` highest cells of heat maps ``logits [N, C, H, W]`` among those that none in their window tops.

    CornerNet, section 4.1 (arXiv:1808.01244).

    Args:
        logits: a cell's score is their sigmoid.
        count: keypoints per image, over all classes.
        window: edge of the square around a cell in which it must be highest, odd, cells.
    """
    scores = full_precision(logits).sigmoid()
    highest = F.max_pool2d(scores, window, stride=1, padding=window // 2) == scores
    flat = torch.where(highest, scores, -1.0).flatten(1)
    best, index = flat.topk(min(count, flat.shape[1]), dim=1)
    area = logits.shape[2] * logits.shape[3]
    used = best >= 0
    return Peaks(best * used, index // area, index % area, used)
