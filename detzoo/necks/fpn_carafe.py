"""Feature pyramid whose coarser maps are upsampled by content: CARAFE (arXiv:1905.02188), section 4.1, 2019."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.carafe import Carafe
from detzoo.blocks.layers import ConvNorm, Norm, start_xavier
from detzoo.config import Config as BaseConfig


class FPNCarafe(nn.Module):
    """``P_k = conv3x3(M_k)`` with ``M_k = conv1x1(C_k) + carafe(M_{k+1})``, cut to the size of ``C_k``.

    Laterals above the backbone's last map are 3x3 stride-2 convolutions of it and of each other; the pathway begins at
    the coarsest. Parameters are named as in published MMDetection weights.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `FPNCarafe`."""

        kind: Literal["fpn_carafe"] = "fpn_carafe"
        out_channels: int = Field(default=256, ge=1)
        levels: int = Field(default=5, ge=1, le=16)  # feature maps returned, extra ones included
        start: int = Field(default=0, ge=0)  # first backbone map used; earlier ones are ignored
        end: int | None = Field(default=None, ge=1)  # one past the last backbone map used; None: all
        norm: Norm | None = None
        upsample: Carafe.Config = Carafe.Config()

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> FPNCarafe:
            """The neck of these settings for a backbone that returns maps of these ``channels`` and ``strides``."""
            return FPNCarafe(self, channels, strides)

    def __init__(self, config: FPNCarafe.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``.

        Raises:
            ValueError: no backbone map lies between ``start`` and ``end``, or there are more than ``levels``.
        """
        super().__init__()
        self.start, self.end = config.start, len(channels) if config.end is None else config.end
        used, base = list(channels[self.start : self.end]), list(strides[self.start : self.end])
        if not used or self.end > len(channels) or len(used) > config.levels:
            raise ValueError(
                f"start {self.start}, end {self.end} and {config.levels} levels do not fit {len(channels)} maps"
            )
        out, norm, extras = config.out_channels, config.norm, range(config.levels - len(used))
        laterals = [ConvNorm(width, out, 1, norm=norm, relu=False) for width in used]
        for width in [used[-1], *(out for _ in extras)][: len(extras)]:
            laterals.append(ConvNorm(width, out, 3, stride=2, norm=norm, relu=False))
        self.lateral_convs = nn.ModuleList(laterals)
        self.fpn_convs = nn.ModuleList(ConvNorm(out, out, 3, norm=norm, relu=False) for _ in laterals)
        start_xavier(self)
        self.upsample_modules = nn.ModuleList(Carafe(config.upsample, out) for _ in laterals[1:])
        self.channels = (out,) * config.levels
        self.strides = tuple(base + [base[-1] * 2 ** (index + 1) for index in extras])

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """``levels`` maps ``[N, out_channels, H, W]``, finest first; an extra one halves the size, rounded up.

        Args:
            features: the backbone's maps, each ``[N, C_i, H_i, W_i]``, finest first.
        """
        used = features[self.start : self.end]
        maps = [conv(feature) for conv, feature in zip(self.lateral_convs, used, strict=False)]
        source = used[-1]
        for conv in self.lateral_convs[len(used) :]:
            source = conv(source)
            maps.append(source)
        for index in range(len(maps) - 1, 0, -1):
            height, width = maps[index - 1].shape[-2:]
            larger = self.upsample_modules[index - 1](maps[index])
            maps[index - 1] = maps[index - 1] + larger[..., :height, :width]
        return [conv(level) for conv, level in zip(self.fpn_convs, maps, strict=True)]
