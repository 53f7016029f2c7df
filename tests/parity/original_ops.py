"""Stand-ins for the compiled operators of the original framework's library, which pip cannot install everywhere.

Torchvision's operators compute the same; the recordings were made so, too.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import ops


class _Missing(ModuleType):
    """Has every operator, each an error when it is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: Any, **__: Any) -> None:
            raise NotImplementedError(f"no stand-in for the operator {name}")

        return missing


def install() -> None:
    """Put the stand-ins in place; before anything of ``mmdet`` is imported."""
    compiled: Any = _Missing("mmcv._ext")
    compiled.nms, compiled.softnms = _nms, _soft_nms
    sys.modules["mmcv._ext"] = compiled
    import_module("mmcv.ops")
    align: Any = sys.modules["mmcv.ops.roi_align"]
    align.RoIAlign.forward, align.roi_align = _roi_align_layer, _roi_align
    switchable: Any = sys.modules["mmcv.ops.saconv"]
    switchable.deform_conv2d = _switched_deform_conv
    deform: Any = sys.modules["mmcv.ops.deform_conv"]
    deform.DeformConv2dPack.forward = _deform_conv
    modulated: Any = sys.modules["mmcv.ops.modulated_deform_conv"]
    modulated.ModulatedDeformConv2dPack.forward = _modulated_deform_conv
    distances = torch.cdist  # between predicted boxes and objects
    torch.cdist = lambda one, other, *rest, **more: distances(one, other.to(one.dtype), *rest, **more)
    sample = F.grid_sample  # masks are pasted at places that are always float32
    F.grid_sample = lambda input, grid, *rest, **more: sample(input, grid.to(input.dtype), *rest, **more)


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    assert offset == 0
    return ops.nms(boxes, scores, iou_threshold)


def _soft_nms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Fills ``dets`` with boxes and scores in the order of choice, whose indices it returns."""
    assert offset == 0
    left, overlaps = scores.clone(), ops.box_iou(boxes, boxes)
    chosen: list[int] = []
    while left.max() > -1:
        best = int(left.argmax())
        dets[len(chosen)] = torch.cat([boxes[best], left[best : best + 1]])
        chosen.append(best)
        over = overlaps[best]
        linear, gaussian = torch.where(over >= iou_threshold, 1 - over, 1.0), (-(over**2) / sigma).exp()
        left = left * {1: linear, 2: gaussian}[method]
        left[left < min_score] = -2.0
        left[chosen] = -2.0
    return torch.tensor(chosen)


def _roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    pool_mode: str = "avg",
    aligned: bool = True,
) -> Tensor:
    assert pool_mode == "avg"
    return ops.roi_align(features, rois.to(features.dtype), output_size, spatial_scale, sampling_ratio, aligned)


def _roi_align_layer(self: Any, features: Tensor, rois: Tensor) -> Tensor:
    settings = (self.output_size, self.spatial_scale, self.sampling_ratio, self.pool_mode, self.aligned)
    return _roi_align(features, rois, *settings)


def _deform_conv(self: Any, x: Tensor) -> Tensor:
    return ops.deform_conv2d(x, self.conv_offset(x), self.weight, None, self.stride, self.padding, self.dilation)


def _switched_deform_conv(
    x: Tensor, shifts: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any, groups: int, offset_groups: int
) -> Tensor:
    return ops.deform_conv2d(x, shifts, weight, None, stride, padding, dilation)


def _modulated_deform_conv(self: Any, x: Tensor) -> Tensor:
    down, right, scale = self.conv_offset(x).chunk(3, dim=1)
    shifts = torch.cat([down, right], 1)
    settings = (self.stride, self.padding, self.dilation, scale.sigmoid())
    return ops.deform_conv2d(x, shifts, self.weight, self.bias, *settings)
