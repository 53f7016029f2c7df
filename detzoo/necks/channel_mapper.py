"""A neck that only brings the backbone's maps to one width, as DETR (arXiv:2005.12872) does before its transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.layers import ConvNorm, Norm, start_xavier
from detzoo.config import Config as BaseConfig


class ChannelMapper(nn.Module):
    """One convolution per map; parameters are named as in published MMDetection weights.

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

    def __init__(self, config: ChannelMapper.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``."""
        super().__init__()
        out = config.out_channels
        self.convs = nn.ModuleList(ConvNorm(c, out, config.kernel, norm=config.norm, relu=False) for c in channels)
        self.channels = (out,) * len(channels)
        self.strides = tuple(strides)
        start_xavier(self)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The backbone's maps ``[N, C_i, H_i, W_i]`` as maps ``[N, out_channels, H_i, W_i]``."""
        return [conv(feature) for conv, feature in zip(self.convs, features, strict=True)]
