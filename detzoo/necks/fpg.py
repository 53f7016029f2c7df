"""Pyramids side by side, from fine to coarse, with connections between all neighbours.

Feature Pyramid Grids, arXiv:2004.03580, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import Conv2d, ConvNorm, Norm, start_xavier
from detzoo.config import Config as BaseConfig


class FPG(nn.Module):
    """Bottom-up pathways beside each other (arXiv:2004.03580, section 3 and figure 2).

    Each map of a pathway is the sum of convolved maps: the finer one of its own pathway (SameUp), its own level and the
    coarser one of the pathway before (AcrossSame, AcrossDown), and its own level of the first pathway (AcrossSkip);
    every convolution has ReLU before and a normalization behind it. The coarsest map of a pathway always is computed;
    the one k levels below it, from pathway k on (section 3.3: the triangle of low levels is left out). Parameters are
    named as in published MMDetection weights.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `FPG`."""

        kind: Literal["fpg"] = "fpg"
        out_channels: int = Field(default=256, ge=1)
        inter_channels: int = Field(default=256, ge=1)  # of the maps between
        levels: int = Field(default=5, ge=1, le=16)  # feature maps returned, extra ones included
        pathways: int = Field(default=9, ge=1, le=64)
        start: int = Field(default=0, ge=0)  # first backbone map used; earlier ones are ignored
        end: int | None = Field(default=None, ge=1)  # one past the last backbone map used; None: all
        # what levels above the backbone's begin as: the last one subsampled, or a 3x3 stride-2 convolution of it
        extra: Literal["pool", "conv"] = "pool"
        norm: Norm = "bn"

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> FPG:
            """The neck of these settings for a backbone that returns maps of these ``channels`` and ``strides``."""
            return FPG(self, channels, strides)

    def __init__(self, config: FPG.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``.

        Raises:
            ValueError: no backbone map lies between ``start`` and ``end``, or there are more than ``levels``.
        """
        super().__init__()
        self.config = config
        self.end = len(channels) if config.end is None else config.end
        used, base = channels[config.start : self.end], list(strides[config.start : self.end])
        if not used or self.end > len(channels) or len(used) > config.levels:
            raise ValueError(
                f"start {config.start}, end {self.end} and {config.levels} levels do not fit {len(channels)} maps"
            )
        width, levels = config.inter_channels, range(config.levels)
        self.lateral_convs = nn.ModuleList(Conv2d(c, width, 1) for c in used)
        self.extra_downsamples = nn.ModuleList(
            Conv2d(width, width, 3, 2, 1) if config.extra == "conv" else nn.MaxPool2d(1, 2) for _ in levels[len(used) :]
        )
        self.fpn_transitions = nn.ModuleList(
            nn.ModuleList(self._transitions(pathway, level) for level in levels) for pathway in range(config.pathways)
        )
        self.output_transition = nn.ModuleList(
            nn.ModuleDict({"conv_out": ConvNorm(width, config.out_channels, 3, relu=False)}) for _ in levels
        )
        self.channels = (config.out_channels,) * config.levels
        self.strides = tuple(base + [base[-1] * 2 ** (index + 1) for index in range(config.levels - len(used))])
        start_xavier(self)

    def _transitions(self, pathway: int, level: int) -> nn.ModuleDict:
        """The convolutions whose sum is one map; none where it is that of the pathway before."""
        width, norm, last = self.config.inter_channels, self.config.norm, self.config.levels - 1
        if pathway < last - level:
            return nn.ModuleDict()
        made: dict[str, nn.Module] = {}
        if level > 0:
            made["same_up"] = ConvNorm(width, width, 3, stride=2, norm=norm, relu=False)
        made["across_lateral"] = ConvNorm(width, width, 1, norm=norm, relu=False)
        if level < last:
            made["across_down"] = nn.ModuleDict({"conv": ConvNorm(width, width, 3, norm=norm, relu=False)})
        made["across_skip"] = ConvNorm(width, width, 1, norm=norm, relu=False)
        return nn.ModuleDict(made)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """``levels`` maps ``[N, out_channels, H, W]``, finest first; an extra one halves the size, rounded up.

        Args:
            features: the backbone's maps, each ``[N, C_i, H_i, W_i]``, finest first.
        """
        used = features[self.config.start : self.end]
        maps = [conv(feature) for conv, feature in zip(self.lateral_convs, used, strict=True)]
        for downsample in self.extra_downsamples:
            maps.append(downsample(maps[-1]))
        first = before = [F.relu(level) for level in maps]  # every convolution looks at it so
        for transitions in self.fpn_transitions:
            path: list[Tensor] = []
            for level, convs in enumerate(cast("Sequence[nn.ModuleDict]", transitions)):
                path.append(F.relu_(_summed(convs, level, path, before, first)) if len(convs) else before[level])
            before = path
        outputs = zip(self.output_transition, before, strict=True)
        return [convs.get_submodule("conv_out")(level) for convs, level in outputs]


def _summed(
    convs: nn.ModuleDict, level: int, path: Sequence[Tensor], before: Sequence[Tensor], first: Sequence[Tensor]
) -> Tensor:
    """The map ``[N, C, H, W]`` of a level.

    Args:
        convs: of the kinds of connections that it has.
        level: counted from the finest.
        path: the finer maps of its pathway.
        before: all maps of the pathway before.
        first: those of the first.
    """
    total = convs["across_lateral"](before[level]).add_(convs["across_skip"](first[level]))
    if "same_up" in convs:
        total.add_(convs["same_up"](path[-1]))
    if "across_down" in convs:
        coarser = F.interpolate(before[level + 1], size=total.shape[-2:], mode="nearest")
        total.add_(convs.get_submodule("across_down.conv")(coarser))
    return total
