"""Feature pyramid.

Feature Pyramid Networks for Object Detection, arXiv:1612.03144, 2016; the extra coarse levels of RetinaNet,
arXiv:1708.02002, and FCOS, arXiv:1904.01355.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import ConvNorm, Norm, start_xavier
from detzoo.config import Config as BaseConfig


class PyramidConfig(BaseConfig):
    """Settings that a feature pyramid shares with those that go on from one."""

    out_channels: int = Field(default=256, ge=1)
    levels: int = Field(default=5, ge=1, le=16)  # feature maps returned, extra ones included
    start: int = Field(default=0, ge=0)  # first backbone map used; earlier ones are ignored
    end: int | None = Field(default=None, ge=1)  # one past the last backbone map used; None: all
    # what levels above the backbone's are made of: the last level subsampled, or 3x3 stride-2 convolutions starting
    # from the backbone's last map, its lateral, or the last output
    extra: Literal["pool", "on_input", "on_lateral", "on_output"] = "pool"
    upsample: Literal["nearest", "bilinear"] = "nearest"  # how a coarser map gets the size of the finer one
    relu_before_extra: bool = False  # ReLU before the second and later extra convolutions
    norm: Norm | None = None
    norm_on_lateral: bool = True
    standardize: bool = False  # weights of every convolution; see `StandardizedConv2d`


class Pyramid(nn.Module):
    """What necks share that begin with a top-down pathway with lateral connections (arXiv:1612.03144, figure 3).

    Parameters are named as in published MMDetection weights.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    def __init__(self, config: PyramidConfig, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``.

        Raises:
            ValueError: no backbone map lies between ``start`` and ``end``, or there are more than ``levels``.
        """
        super().__init__()
        self.config = config
        self.end = len(channels) if config.end is None else config.end
        used = list(channels[config.start : self.end])
        if not used or self.end > len(channels):
            raise ValueError(f"start {config.start} and end {self.end} do not fit {len(channels)} backbone maps")
        if config.levels < len(used):
            raise ValueError(f"levels is {config.levels}, but {len(used)} backbone maps are used; set neck.end")
        self.extras = config.levels - len(used)
        out = config.out_channels
        lateral_norm = config.norm if config.norm_on_lateral else None
        shared: dict[str, Any] = {"relu": False, "standardize": config.standardize}
        self.lateral_convs = nn.ModuleList(ConvNorm(c, out, 1, norm=lateral_norm, **shared) for c in used)
        convs = [ConvNorm(out, out, 3, norm=config.norm, **shared) for _ in used]
        if config.extra != "pool":
            for index in range(self.extras):
                inputs = used[-1] if index == 0 and config.extra == "on_input" else out
                convs.append(ConvNorm(inputs, out, 3, stride=2, norm=config.norm, **shared))
        self.fpn_convs = nn.ModuleList(convs)
        base = list(strides[config.start : self.end])
        self.strides = tuple(base + [base[-1] * 2 ** (index + 1) for index in range(self.extras)])
        self.channels = (out,) * config.levels
        start_xavier(self)

    def merged(self, used: Sequence[Tensor]) -> list[Tensor]:
        """The top-down pathway: ``M_k [N, out_channels, H_k, W_k]`` of the backbone's maps that are used."""
        merged = [conv(feature) for conv, feature in zip(self.lateral_convs, used, strict=True)]
        for index in range(len(merged) - 1, 0, -1):
            merged[index - 1] = _add_coarser(merged[index - 1], merged[index], self.config.upsample)
        return merged

    def smoothed(self, merged: Sequence[Tensor]) -> list[Tensor]:
        """``P_k [N, out_channels, H_k, W_k]`` of what `merged` gave."""
        return [conv(lateral) for conv, lateral in zip(self.fpn_convs[: len(merged)], merged, strict=True)]

    def extended(self, outputs: list[Tensor], used: Sequence[Tensor], merged: Sequence[Tensor]) -> list[Tensor]:
        """``outputs`` of the levels of ``used`` and ``merged``, and after them the extra ones."""
        if self.config.extra == "pool":
            for _ in range(self.extras):
                outputs.append(F.max_pool2d(outputs[-1], 1, 2))
            return outputs
        source = {"on_input": used[-1], "on_lateral": merged[-1], "on_output": outputs[-1]}[self.config.extra]
        for index, conv in enumerate(self.fpn_convs[len(merged) :]):
            if index > 0:
                source = F.relu(outputs[-1]) if self.config.relu_before_extra else outputs[-1]
            outputs.append(conv(source))
        return outputs

    def top_down(self, features: Sequence[Tensor]) -> list[Tensor]:
        """`merged`, `smoothed` and `extended` maps ``[N, out_channels, H, W]`` of all the backbone's ``features``."""
        used = features[self.config.start : self.end]
        merged = self.merged(used)
        return self.extended(self.smoothed(merged), used, merged)


class FPN(Pyramid):
    """Top-down pathway with lateral connections (arXiv:1612.03144, section 3 and figure 3).

    ``P_k = conv3x3(M_k)`` with ``M_k = conv1x1(C_k) + nearest(M_{k+1})``, resized to exactly the size of ``C_k``;
    ``upsample`` may be bilinear.
    Parameters are named as in published MMDetection weights.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(PyramidConfig):
        """Settings of `FPN`."""

        kind: Literal["fpn"] = "fpn"

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> FPN:
            """The neck of these settings for a backbone that returns maps of these ``channels`` and ``strides``."""
            return FPN(self, channels, strides)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Pyramid maps, finest first.

        Args:
            features: the backbone's maps, each ``[N, C_i, H_i, W_i]``, finest first.

        Returns:
            ``levels`` maps ``[N, out_channels, H, W]``; each extra one halves the size, rounded up.
        """
        return self.top_down(features)


def _add_coarser(finer: Tensor, coarser: Tensor, mode: str) -> Tensor:
    """``finer [N, C, H, W]``, in place plus ``coarser [N, C, h, w]``: its nearest cell, or four of them mixed."""
    height, width = coarser.shape[-2:]
    if mode == "bilinear":
        return finer.add_(F.interpolate(coarser, size=finer.shape[-2:], mode=mode))
    if finer.shape[-2:] == (2 * height, 2 * width) and not torch.is_grad_enabled():
        # no resized copy is needed; its gradient, a sum of four cells, would be slower than that of resizing
        finer.unflatten(3, (width, 2)).unflatten(2, (height, 2)).add_(coarser[:, :, :, None, :, None])
        return finer
    return finer.add_(F.interpolate(coarser, size=finer.shape[-2:], mode="nearest"))
