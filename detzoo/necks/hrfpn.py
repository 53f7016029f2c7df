"""Pyramid of a high-resolution network.

High-Resolution Representations for Labeling Pixels and Regions, arXiv:1904.04514, 2019, section 3.2 and figure 4 (c).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import ConvNorm, conv2d, in_type_of
from detzoo.config import Config as BaseConfig


class HRFPN(nn.Module):
    """All maps at the finest size, mixed by a 1x1 convolution, and then pooled to as many sizes as asked.

    Parameters are named as in published MMDetection weights.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `HRFPN`."""

        kind: Literal["hrfpn"] = "hrfpn"
        out_channels: int = Field(default=256, ge=1)
        levels: int = Field(default=5, ge=1, le=16)  # feature maps returned; each halves the size, rounded down
        pooling: Literal["avg", "max"] = "avg"
        stride: int = Field(default=1, ge=1)  # of each map's last convolution; FCOS: 2
        bias: bool = True  # of convolutions
        corners: bool = False  # maps are resized with corners on corners (PaddleDetection 0.x), not edges on edges

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> HRFPN:
            """The neck of these settings for a backbone that returns maps of these ``channels`` and ``strides``."""
            return HRFPN(self, channels, strides)

    def __init__(self, config: HRFPN.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``."""
        super().__init__()
        self.config = config
        self.inputs = tuple(channels)
        out = config.out_channels
        self.reduction_conv = ConvNorm(sum(channels), out, 1, relu=False)
        self.fpn_convs = nn.ModuleList(
            ConvNorm(out, out, 3, stride=config.stride, relu=False) for _ in range(config.levels)
        )
        self.strides = tuple(strides[0] * config.stride * 2**level for level in range(config.levels))
        self.channels = (out,) * config.levels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # the published kind of Xavier's: uniform, and by the inputs alone
                nn.init.kaiming_uniform_(module.weight, a=1)
                if config.bias:
                    nn.init.zeros_(module.get_parameter("bias"))
                else:
                    module.register_parameter("bias", None)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Pyramid maps, finest first.

        Args:
            features: the backbone's maps, each ``[N, C_i, H_i, W_i]``, finest first.

        Returns:
            ``levels`` maps ``[N, out_channels, H, W]``.
        """
        mixed = self._mixed(features)
        pool = F.avg_pool2d if self.config.pooling == "avg" else F.max_pool2d
        return [conv(pool(mixed, 2**level, 2**level) if level else mixed) for level, conv in enumerate(self.fpn_convs)]

    def _mixed(self, features: Sequence[Tensor]) -> Tensor:
        """The 1x1 convolution of all maps, resized bilinearly to the finest and joined.

        Resizing and a convolution of single cells can change places: before it there are up to 64 times fewer cells,
        and the joined maps are never in memory.
        """
        conv = self.reduction_conv.conv
        plain = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        parts = conv.weight.split(self.inputs, 1)
        finest, *coarser = [
            conv2d(in_type_of(conv, x), weight, None if index else conv.bias, **plain)
            for index, (x, weight) in enumerate(zip(features, parts, strict=True))
        ]
        for x in coarser:
            resized = F.interpolate(x, size=finest.shape[-2:], mode="bilinear", align_corners=self.config.corners)
            finest = finest.add_(resized)
        return finest
