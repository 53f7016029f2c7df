"""A neck that only brings the backbone's maps to one width, as DETR (arXiv:2005.12872) does before its transformer.

The coarser levels that Deformable DETR (arXiv:2010.04159) adds are convolutions of stride 2, the first of the
backbone's last map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.layers import ConvNorm, Norm, start_xavier
from detzoo.config import Config as BaseConfig


class ChannelMapper(nn.Module):
    """One convolution per map, and more for levels above; parameters are named as in published MMDetection weights.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `ChannelMapper`."""

        kind: Literal["channel_mapper"] = "channel_mapper"
        out_channels: int = Field(default=256, ge=1)
        kernel: Literal[1, 3] = 1  # size of the convolutions
        norm: Norm | None = None
        extra: int = Field(default=0, ge=0, le=16)  # levels above the backbone's, each half as large as the one before

    def __init__(self, config: ChannelMapper.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``."""
        super().__init__()
        out = config.out_channels
        self.convs = nn.ModuleList(ConvNorm(c, out, config.kernel, norm=config.norm, relu=False) for c in channels)
        inputs = [channels[-1]] + [out] * config.extra
        self.extra_convs = nn.ModuleList(
            ConvNorm(c, out, 3, stride=2, norm=config.norm, relu=False) for c in inputs[: config.extra]
        )
        self.strides = (*strides, *(strides[-1] * 2 ** (index + 1) for index in range(config.extra)))
        self.channels = (out,) * len(self.strides)
        start_xavier(self)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The backbone's maps ``[N, C_i, H_i, W_i]`` as maps ``[N, out_channels, H_i, W_i]``, and those above."""
        maps = [conv(feature) for conv, feature in zip(self.convs, features, strict=True)]
        coarser = features[-1]
        for conv in self.extra_convs:
            coarser = conv(coarser)
            maps.append(coarser)
        return maps
