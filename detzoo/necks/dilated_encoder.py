"""One map that sees objects of all sizes: the encoder of You Only Look One-level Feature, arXiv:2103.09460, 2021."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.layers import BatchNorm2d, Conv2d, ConvNorm, conv_norm
from detzoo.config import Config as BaseConfig


class DilatedEncoder(nn.Module):
    """The coarsest map at another width, then residual blocks of growing dilation (section 4.1).

    Parameters are named as in published MMDetection weights.

    Attributes:
        channels: of the returned map.
        strides: input pixels per cell of the returned map.
    """

    class Config(BaseConfig):
        """Settings of `DilatedEncoder`."""

        kind: Literal["dilated_encoder"] = "dilated_encoder"
        out_channels: int = Field(default=512, ge=1)
        inner_channels: int = Field(default=128, ge=1)  # of a block's dilated convolution
        dilations: tuple[Annotated[int, Field(ge=1)], ...] = (2, 4, 6, 8)  # of each block

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> DilatedEncoder:
            """The neck for a backbone that returns maps of these ``channels`` and ``strides``."""
            return DilatedEncoder(self, channels, strides)

    def __init__(self, config: DilatedEncoder.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        out = config.out_channels
        self.channels, self.strides = (out,), (strides[-1],)
        self.lateral_conv, self.lateral_norm = Conv2d(channels[-1], out, 1), BatchNorm2d(out)
        self.fpn_conv, self.fpn_norm = Conv2d(out, out, 3, padding=1), BatchNorm2d(out)
        self.dilated_encoder_blocks = nn.Sequential(
            *(_Block(out, config.inner_channels, dilation) for dilation in config.dilations)
        )
        for conv in (self.lateral_conv, self.fpn_conv):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.get_parameter("bias"))
        for layer in self.dilated_encoder_blocks.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """One map ``[N, out_channels, H, W]`` of the last of the backbone's maps ``[N, C_i, H_i, W_i]``."""
        x = conv_norm(features[-1], self.lateral_conv, self.lateral_norm)
        x = conv_norm(x, self.fpn_conv, self.fpn_norm)
        return [self.dilated_encoder_blocks(x)]


class _Block(nn.Module):
    """1x1, dilated 3x3 and 1x1 convolutions, a ReLU behind each, around which the input goes."""

    def __init__(self, channels: int, inner: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, inner, 1, norm="bn")
        self.conv2 = ConvNorm(inner, inner, 3, dilation=dilation, norm="bn")
        self.conv3 = ConvNorm(inner, channels, 1, norm="bn")

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` to the same shape."""
        return x + self.conv3(self.conv2(self.conv1(x)))
