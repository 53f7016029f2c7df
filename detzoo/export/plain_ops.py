"""What our operators are in those of torch and torchvision, for files that run where detzoo is not installed.

Arguments are those of the operator of the same name in `detzoo.ops`, which says what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms
from torchvision.ops import roi_align as torchvision_roi_align

import detzoo.ops.nms
import detzoo.ops.planes
import detzoo.ops.roi_align  # noqa: F401 (for their operators)
from detzoo.ops.boxes import full_precision
from detzoo.ops.soft_nms import soft_nms_on_device


def rank(scores: Tensor, valid: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Of equal scores any comes first, as `torch.topk` has it: index ``[B, limit]`` and which slots are used."""
    best, index = torch.where(valid, scores, -torch.inf).topk(limit, dim=1)
    used = best > -torch.inf
    return index * used, used


def nms(
    boxes: Tensor, groups: Tensor, valid: Tensor, threshold: float, group_count: int, pixels: bool = False
) -> Tensor:
    """One suppression of all rows and groups ``[B, K]``, moved apart: in float64, where that changes no overlap.

    Of what ``pixels`` change, only that thinner boxes are empty: torchvision has no other overlaps.
    """
    if pixels:
        boxes = boxes * (boxes[..., 2:] - boxes[..., :2] >= 1).all(-1, keepdim=True)
    rows, slots = valid.shape
    group = groups + torch.arange(rows, device=groups.device).unsqueeze(1) * group_count
    apart = torch.where(valid, group, rows * group_count)  # what is not valid is one box, which suppresses itself
    wide = torch.where(valid.unsqueeze(2), boxes, 0.0).double()
    lowest, highest = wide.amin(), wide.amax()
    moved = wide - lowest + apart.unsqueeze(2) * (highest - lowest + 1)
    falling = torch.arange(rows * slots, 0, -1, dtype=torch.float64, device=boxes.device)
    kept = torchvision_nms(moved.flatten(0, 1), falling, threshold)
    return torch.zeros_like(valid).flatten().index_fill(0, kept, True).view(rows, slots) & valid


def roi_align(maps: Sequence[Tensor], rois: Tensor, levels: Tensor, size: int, sampling: int) -> Tensor:
    """Every RoI is pooled from every map, but as a point where that is not its own: ``[R, C, size, size]``."""
    wide = [full_precision(level) for level in maps]
    pooled = torch.zeros((), dtype=wide[0].dtype, device=rois.device)
    for number, level in enumerate(wide):
        mine = (levels == number).unsqueeze(1)
        own = torch.where(mine, rois, 0.0).to(level.dtype)
        found = torchvision_roi_align(level, own, size, 1.0, sampling, aligned=True)
        pooled = torch.where(mine[..., None, None], found, pooled)
    return pooled.to(maps[0].dtype)


def planes(x: Tensor) -> Tensor:
    """The same values ``[N, C, H, W]``, contiguous."""
    return x.clone(memory_format=torch.contiguous_format)


PLAIN: dict[Any, Callable[..., Any]] = {
    torch.ops.detzoo.nms.default: nms,
    torch.ops.detzoo.planes.default: planes,
    torch.ops.detzoo.rank.default: rank,
    torch.ops.detzoo.roi_align.default: roi_align,
    torch.ops.detzoo.soft_nms.default: soft_nms_on_device,
}
