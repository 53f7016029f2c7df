"""RoIAlign from a whole feature pyramid in one operator call.

The levels of a pyramid have different sizes, so pooling each RoI from its own level usually loops over levels and
picks RoIs by index, with shapes that depend on the data. Here the levels are first laid out on one canvas (an atlas),
each with a border that repeats its edge pixels; a RoI on any level is then a RoI on the canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align as torchvision_roi_align


@dataclass(frozen=True, slots=True)
class Atlas:
    """Feature levels on one canvas.

    Attributes:
        canvas: ``[N, C, H', W']``.
        strides: image pixels per feature cell of each level.
        corners: ``(x, y)`` of each level's first cell on the canvas.
    """

    canvas: Tensor
    strides: tuple[int, ...]
    corners: tuple[tuple[int, int], ...]


def build_atlas(levels: Sequence[Tensor], strides: Sequence[int]) -> Atlas:
    """Lay out pyramid levels ``[N, C, H_l, W_l]``, finest first: the finest on top, the others in a row below it."""
    # the border reproduces RoIAlign's clamping of samples up to one cell outside a level
    framed = [F.pad(level, (1, 1, 1, 1), mode="replicate") for level in levels]
    corners = [(1, 1)]
    if len(framed) == 1:
        return Atlas(framed[0], tuple(strides), tuple(corners))
    top, shelf = framed[0].shape[2], max(level.shape[2] for level in framed[1:])
    left = 0
    for level in framed[1:]:
        corners.append((left + 1, top + 1))
        left += level.shape[3]
    row = torch.cat([F.pad(level, (0, 0, 0, shelf - level.shape[2])) for level in framed[1:]], 3)
    width = max(framed[0].shape[3], left)
    rows = [F.pad(part, (0, width - part.shape[3])) for part in (framed[0], row)]
    return Atlas(torch.cat(rows, 2), tuple(strides), tuple(corners))


def roi_align(atlas: Atlas, boxes: Tensor, levels: Tensor, size: int, sampling: int = 0) -> Tensor:
    """Features of RoIs, bilinearly sampled at half-pixel-exact positions and averaged per bin.

    Mask R-CNN, section 3 (arXiv:1703.06870), with the half-pixel shift of Detectron2 ("aligned").

    Args:
        atlas: of the pyramid.
        boxes: ``[N, R, 4]`` xyxy pixels of the network input, inside the image; an empty slot of zeros gives zeros.
        levels: int64 ``[N, R]``, the level each RoI is pooled from.
        size: bins per side.
        sampling: samples per bin and side; 0: as many as a bin has feature cells.

    Returns:
        ``[N * R, C, size, size]``.
    """
    images, count = levels.shape
    strides = boxes.new_tensor(atlas.strides)[levels]
    corners = boxes.new_tensor(atlas.corners)[levels]
    placed = boxes.detach() / strides.unsqueeze(-1) + corners.repeat(1, 1, 2)
    owner = torch.arange(images, device=boxes.device).repeat_interleave(count, output_size=images * count)
    rois = torch.cat([owner.to(placed.dtype).unsqueeze(1), placed.reshape(-1, 4)], 1)
    canvas = atlas.canvas
    return torchvision_roi_align(canvas, rois.to(canvas.dtype), size, 1.0, sampling, aligned=True)


def pyramid_levels(boxes: Tensor, count: int, finest: float = 56.0) -> Tensor:
    """The level that each RoI is pooled from: int64 ``[...]`` for boxes ``[..., 4]``.

    FPN, equation 1 (arXiv:1612.03144): RoIs below ``2 * finest`` pixels of scale use level 0, each doubling one more.
    """
    scale = ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])).clamp(min=0).sqrt()
    return torch.floor(torch.log2(scale / finest + 1e-6)).clamp(0, count - 1).long()
