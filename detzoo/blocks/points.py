"""Points: the centre of every cell of every feature level, boxes told by their distances from them, and centerness."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cell_centres(
    sizes: Sequence[Sequence[int]], strides: Sequence[int], device: torch.device, offset: float = 0.5
) -> Tensor:
    """Where the cells of a pyramid look; FCOS, section 3.1 (arXiv:1904.01355).

    Args:
        sizes: height and width of each level, in cells.
        strides: pixels per cell of each level.
        device: where the result goes.
        offset: of a cell's point from the cell's top left corner, in strides.

    Returns:
        float32 ``[A, 2]``, x and y in pixels of the network input, by level, row, then column.
    """
    levels = []
    for (height, width), stride in zip(sizes, strides, strict=True):
        y = (torch.arange(height, device=device, dtype=torch.float32) + offset) * stride
        x = (torch.arange(width, device=device, dtype=torch.float32) + offset) * stride
        levels.append(torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).view(-1, 2))
    return torch.cat(levels)


def per_cell(sizes: Sequence[Sequence[int]], values: Sequence[float], device: torch.device) -> Tensor:
    """The value of each cell's level: float32 ``[A, 1]`` of levels of ``sizes`` (height, width), as their strides."""
    counts = [height * width for height, width in sizes]
    levels = [torch.full((count, 1), value, device=device) for count, value in zip(counts, values, strict=True)]
    return torch.cat(levels).float()


def middles(boxes: Tensor) -> Tensor:
    """Centres ``[..., 2]`` of ``boxes [..., 4]``."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def sides(points: Tensor, boxes: Tensor) -> Tensor:
    """Distances ``[..., 4]`` in pixels from ``points [..., 2]`` to the left, top, right and bottom of ``boxes
    [..., 4]``, broadcast; negative beyond a side. FCOS, equation 1.
    """
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1)


def around(points: Tensor, distances: Tensor) -> Tensor:
    """Inverse of `sides`: boxes ``[..., 4]`` xyxy from ``points [..., 2]`` and ``distances [..., 4]``, broadcast."""
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)


def centerness(distances: Tensor, positive: Tensor) -> Tensor:
    """Centerness ``[...]`` in [0, 1] of points at ``distances [..., 4]`` to the sides of a box that they lie in: 1 in
    its middle, 0 at its sides and where ``positive [...]`` is not set. FCOS, equation 3.
    """
    near = torch.minimum(distances[..., :2], distances[..., 2:])
    far = torch.maximum(distances[..., :2], distances[..., 2:])
    ratio = torch.where(positive.unsqueeze(-1), near / far, 0.0)
    return ratio.prod(-1).sqrt()
