"""The pyramid that a search for FCOS found.

NAS-FCOS: Fast Neural Architecture Search for Object Detection, arXiv:1906.04423, 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import Conv2d, ConvNorm, Deform, DeformConv, Norm, build_norm, start_xavier
from detzoo.config import Config as BaseConfig

USED = 3  # maps of the backbone, the last ones
# each cell by its published name: the two maps that it merges, and whether it convolves the second, too; the maps are
# numbered from the backbone's three on, and every cell adds one
CELLS = {
    "c22_1": (2, 2, True),
    "c22_2": (2, 2, True),
    "c32": (3, 2, False),
    "c02": (0, 2, False),
    "c42": (4, 2, True),
    "c36": (3, 6, True),
    "c61": (6, 1, True),
}
SHARED = 5  # the map that is added to each of the last three, which are returned, the coarsest first


class NASFCOSNeck(nn.Module):
    """Seven cells in the found order (arXiv:1906.04423, section 4.2), and 3x3 stride-2 convolutions for coarser levels.

    A cell convolves one or both of two maps, puts them together at the larger one's size, and mixes them with a norm,
    ReLU and a grouped 1x1 convolution. Parameters are named as in published MMDetection weights.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `NASFCOSNeck`."""

        kind: Literal["nas_fcos"] = "nas_fcos"
        out_channels: int = Field(default=256, ge=1)
        levels: int = Field(default=5, ge=USED, le=16)  # feature maps returned, extra ones included
        norm: Norm | None = "bn"  # of the cells' 3x3 convolutions
        deform: Deform | None = Deform(version=2, groups=2)  # these are deformable; None: ordinary

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> NASFCOSNeck:
            """The neck of these settings for a backbone that returns maps of these ``channels`` and ``strides``."""
            return NASFCOSNeck(self, channels, strides)

    def __init__(self, config: NASFCOSNeck.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``.

        Raises:
            ValueError: there are fewer than three.
        """
        super().__init__()
        if len(channels) < USED:
            raise ValueError(f"NAS-FCOS merges the last {USED} maps of a backbone, which has {len(channels)}")
        out, extras = config.out_channels, range(config.levels - USED)
        self.adapt_convs = nn.ModuleList(ConvNorm(width, out, 1, norm="bn") for width in channels[-USED:])
        self.fpn = nn.ModuleDict({name: _Cell(config, second) for name, (_, _, second) in CELLS.items()})
        self.extra_downsamples = nn.ModuleList(ConvNorm(out, out, 3, stride=2, relu=False) for _ in extras)
        self.channels = (out,) * config.levels
        self.strides = (*strides[-USED:], *(strides[-1] * 2 ** (extra + 1) for extra in extras))
        start_xavier(self)
        for module in self.modules():
            if isinstance(module, DeformConv):
                module.start_undeformed()

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Maps ``[N, out_channels, H, W]``, finest first; an extra one halves the size, rounded up.

        Args:
            features: the backbone's maps, each ``[N, C_i, H_i, W_i]``, finest first.
        """
        used = features[-USED:]
        maps = [conv(feature) for conv, feature in zip(self.adapt_convs, used, strict=True)]
        for cell, (first, second, _) in zip(self.fpn.values(), CELLS.values(), strict=True):
            maps.append(cell(maps[first], maps[second]))
        found = []
        for merged, feature in zip(maps[: -USED - 1 : -1], used, strict=True):
            summed = merged + _resized(maps[SHARED], merged, "bilinear")
            found.append(_resized(summed, feature, "bilinear"))
        for number, downsample in enumerate(self.extra_downsamples):
            found.append(downsample(F.relu(found[-1]) if number else found[-1]))
        return found


class _Cell(nn.Module):
    """Two maps ``[N, C, H, W]`` become one of the larger size."""

    def __init__(self, config: NASFCOSNeck.Config, second: bool) -> None:
        super().__init__()
        out, settings = config.out_channels, {"norm": config.norm, "bias": True, "deform": config.deform}
        self.input1_conv = ConvNorm(out, out, 3, **settings)
        self.input2_conv = ConvNorm(out, out, 3, **settings) if second else nn.Identity()
        self.out_conv = nn.ModuleDict(
            {"bn": build_norm("bn", 2 * out), "conv": Conv2d(2 * out, out, 1, groups=out, bias=False)}
        )

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        larger = max(one, other, key=lambda x: x.shape[-2:])
        both = [_resized(x, larger, "nearest") for x in (self.input1_conv(one), self.input2_conv(other))]
        return self.out_conv["conv"](F.relu_(self.out_conv["bn"](torch.cat(both, 1))))


def _resized(x: Tensor, like: Tensor, mode: str) -> Tensor:
    """``x [N, C, h, w]`` at the size of ``like [N, C', H, W]``."""
    return x if x.shape[-2:] == like.shape[-2:] else F.interpolate(x, size=like.shape[-2:], mode=mode)
