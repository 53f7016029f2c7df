"""Upsampling whose kernels are found in what is upsampled: CARAFE (arXiv:1905.02188), section 3.2."""

from __future__ import annotations

from pydantic import Field, field_validator
from torch import Tensor, nn

from detzoo.blocks.layers import Conv2d, start_xavier
from detzoo.config import Config as BaseConfig
from detzoo.ops.carafe import carafe


class Carafe(nn.Module):
    """Twice the size: a compressor, an encoder that gives each new cell a kernel, and `carafe`.

    Parameters are named as in published MMDetection weights.
    """

    SCALE = 2

    class Config(BaseConfig):
        """Settings of `Carafe`."""

        kernel: int = Field(default=5, ge=1, le=31)  # cells per side that are summed, odd
        groups: int = Field(default=1, ge=1)  # of channels, each with kernels of its own
        encoder_kernel: int = Field(default=3, ge=1, le=31)  # of the encoder's convolution, odd
        encoder_dilation: int = Field(default=1, ge=1)
        compressed: int = Field(default=64, ge=1)  # channels that the encoder looks at

        @field_validator("kernel", "encoder_kernel")
        @classmethod
        def _odd(cls, value: int) -> int:
            if value % 2 == 0:
                raise ValueError(f"must be odd, got {value}")
            return value

    def __init__(self, config: Carafe.Config, channels: int) -> None:
        """Build for ``channels`` features.

        Raises:
            ValueError: they are no multiple of the groups.
        """
        super().__init__()
        if channels % config.groups:
            raise ValueError(f"{channels} channels cannot be divided into {config.groups} groups")
        self.config = config
        kernels = config.groups * config.kernel**2 * self.SCALE**2
        self.channel_compressor = Conv2d(channels, config.compressed, 1)
        padding = config.encoder_kernel // 2 * config.encoder_dilation
        self.content_encoder = Conv2d(
            config.compressed, kernels, config.encoder_kernel, padding=padding, dilation=config.encoder_dilation
        )
        start_xavier(self)
        nn.init.normal_(self.content_encoder.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` to ``[N, channels, 2 H, 2 W]``."""
        config = self.config
        found = self.content_encoder(self.channel_compressor(x))
        kernels = found.unflatten(1, (config.groups, config.kernel**2, self.SCALE**2)).softmax(2)
        return carafe(x, kernels, config.kernel, self.SCALE)
