"""The pyramid that a search found.

NAS-FPN: Learning Scalable Feature Pyramid Architecture for Object Detection, arXiv:1904.07392, 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import ConvNorm, Norm, start_xavier
from detzoo.config import Config as BaseConfig

LEVELS = 5  # that the cells merge: P3 to P7 on a ResNet


class NASFPN(nn.Module):
    """Merging cells in the found order, the whole several times over (arXiv:1904.07392, section 3 and figure 6).

    Every cell has ReLU, a 3x3 convolution and a normalization behind its sum or global pooling. Levels above the
    backbone's are 1x1 convolutions, subsampled. Maps whose sizes do not divide are resized to whole cells: coarser ones
    by their nearest cell, finer ones by the largest value of each block. Parameters are named as in published
    MMDetection weights.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `NASFPN`."""

        kind: Literal["nas_fpn"] = "nas_fpn"
        out_channels: int = Field(default=256, ge=1)
        stacks: int = Field(default=7, ge=1, le=64)  # times that the cells follow each other
        start: int = Field(default=0, ge=0)  # first backbone map used; earlier ones are ignored
        end: int | None = Field(default=None, ge=1)  # one past the last backbone map used; None: all
        norm: Norm | None = "bn"

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> NASFPN:
            """The neck of these settings for a backbone that returns maps of these ``channels`` and ``strides``."""
            return NASFPN(self, channels, strides)

    def __init__(self, config: NASFPN.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``.

        Raises:
            ValueError: not between one and five backbone maps lie between ``start`` and ``end``.
        """
        super().__init__()
        self.start, self.end = config.start, len(channels) if config.end is None else config.end
        used, base = channels[self.start : self.end], list(strides[self.start : self.end])
        if not 1 <= len(used) <= LEVELS or self.end > len(channels):
            raise ValueError(
                f"NAS-FPN merges {LEVELS} levels; start {self.start} and end {self.end} of {len(channels)} backbone "
                f"maps give {len(used)}"
            )
        out, norm = config.out_channels, config.norm
        extras = range(LEVELS - len(used))
        self.lateral_convs = nn.ModuleList(ConvNorm(c, out, 1, norm=norm, relu=False) for c in used)
        self.extra_downsamples = nn.ModuleList(
            nn.Sequential(ConvNorm(out, out, 1, norm=norm, relu=False), nn.MaxPool2d(2, 2, ceil_mode=True))
            for _ in extras
        )
        # called by what they merge and the level that comes of it
        names = ("gp_64_4", "sum_44_4", "sum_43_3", "sum_34_4", "sum_55_5", "sum_77_7", "gp_75_6")
        self.fpn_stages = nn.ModuleList(
            nn.ModuleDict({name: _Cell(out, norm) for name in names}) for _ in range(config.stacks)
        )
        self.channels = (out,) * LEVELS
        self.strides = tuple(base + [base[-1] * 2 ** (index + 1) for index in extras])
        start_xavier(self)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Five maps ``[N, out_channels, H, W]``, finest first; an extra one halves the size, rounded up.

        Args:
            features: the backbone's maps, each ``[N, C_i, H_i, W_i]``, finest first.
        """
        used = features[self.start : self.end]
        maps = [conv(feature) for conv, feature in zip(self.lateral_convs, used, strict=True)]
        for downsample in self.extra_downsamples:
            maps.append(downsample(maps[-1]))
        for cells in self.fpn_stages:
            maps = self._merged(cells, *maps)
        return maps

    def _merged(self, cells: nn.Module, p3: Tensor, p4: Tensor, p5: Tensor, p6: Tensor, p7: Tensor) -> list[Tensor]:
        """One pass of the cells over five maps ``[N, out_channels, H, W]``."""
        between = cells.get_submodule("gp_64_4")(self._attended(p6, p4, p4))
        between = cells.get_submodule("sum_44_4")(between + p4)
        p3 = cells.get_submodule("sum_43_3")(self._resized(between, p3) + p3)
        p4 = cells.get_submodule("sum_34_4")(self._resized(p3, between) + between)
        p5 = cells.get_submodule("sum_55_5")(p5 + self._attended(p4, p3, p5))
        p7 = cells.get_submodule("sum_77_7")(p7 + self._attended(p5, between, p7))
        p6 = cells.get_submodule("gp_75_6")(self._attended(p7, p5, p6))
        return [p3, p4, p5, p6, p7]

    def _attended(self, one: Tensor, other: Tensor, like: Tensor) -> Tensor:
        """``other`` and, as far as its global mean opens the gate, ``one``; both at the size of ``like``."""
        one, other = self._resized(one, like), self._resized(other, like)
        return other + other.mean((2, 3), keepdim=True).sigmoid() * one

    def _resized(self, x: Tensor, like: Tensor) -> Tensor:
        """``x [N, C, h, w]`` at the size of ``like [N, C, H, W]``."""
        height, width = like.shape[-2:]
        blocks = (-(-x.shape[-2] // height), -(-x.shape[-1] // width))
        if blocks != (1, 1):
            x = F.max_pool2d(x, blocks, blocks, ceil_mode=True)
        return x if x.shape[-2:] == like.shape[-2:] else F.interpolate(x, size=(height, width), mode="nearest")


class _Cell(nn.Module):
    """ReLU, 3x3 convolution and normalization: ``[N, C, H, W]`` to the same shape."""

    def __init__(self, channels: int, norm: Norm | None) -> None:
        super().__init__()
        self.out_conv = ConvNorm(channels, channels, 3, norm=norm, relu=False, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_conv(F.relu_(x))
