"""The top-down pathway of YOLOv3: An Incremental Improvement, arXiv:1804.02767, 2018."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.darknet import SLOPE
from detzoo.blocks.drop_block import DropBlock
from detzoo.blocks.layers import ConvNorm, Norm
from detzoo.config import Config as BaseConfig


class YOLONeck(nn.Module):
    """Five convolutions on each map, beside the upsampled result of the coarser one (arXiv:1804.02767, section 2.3).

    Parameters are named as in published MMDetection weights.

    Attributes:
        channels: of each returned map, coarsest first.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `YOLONeck`."""

        kind: Literal["yolo"] = "yolo"
        out_channels: tuple[int, ...] = Field(default=(512, 256, 128), min_length=1)  # of each map, coarsest first
        norm: Norm = "bn"
        drop: DropBlock.Config | None = None  # behind the first 3x3 convolution, that of the coarsest map the second

    def __init__(self, config: YOLONeck.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``, finest first.

        Raises:
            ValueError: ``out_channels`` has not one entry per backbone map.
        """
        super().__init__()
        if len(config.out_channels) != len(channels):
            raise ValueError(f"out_channels {config.out_channels} does not fit {len(channels)} backbone maps")
        self.channels = config.out_channels
        self.strides = tuple(reversed(strides))
        inputs = 0
        for number, (outputs, width) in enumerate(zip(self.channels, reversed(channels), strict=True), 1):
            if number > 1:
                self.add_module(f"conv{number - 1}", ConvNorm(inputs, outputs, 1, norm=config.norm, slope=SLOPE))
                width += outputs
            drop = None if config.drop is None else DropBlock(config.drop)
            block = DetectionBlock(width, outputs, config.norm, drop, after=4 if number == 1 else 2)
            self.add_module(f"detect{number}", block)
            inputs = outputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE, mode="fan_out", nonlinearity="leaky_relu")

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Maps ``[N, channels[i], H_i, W_i]``, coarsest first, of the backbone's ``features``, finest first."""
        outputs: list[Tensor] = []
        for number, feature in enumerate(reversed(features), 1):
            if outputs:
                coarse = self.get_submodule(f"conv{number - 1}")(outputs[-1])
                coarse = F.interpolate(coarse, size=feature.shape[-2:], mode="nearest")
                feature = torch.cat([coarse, feature], 1)
            outputs.append(self.get_submodule(f"detect{number}")(feature))
        return outputs


class DetectionBlock(nn.Module):
    """Convolutions of 1x1, 3x3, 1x1, 3x3 and 1x1; the 3x3 have twice as many channels."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, drop: DropBlock | None = None, after: int = 0) -> None:
        """Build for these channels; ``drop`` works behind convolution ``after``, counted from 1."""
        super().__init__()
        for number in range(1, 6):
            kernel, width = (1, outputs) if number % 2 else (3, 2 * outputs)
            self.add_module(f"conv{number}", ConvNorm(inputs, width, kernel, norm=norm, slope=SLOPE))
            inputs = width
            if drop is not None and number == after:
                self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H, W]``."""
        for part in self.children():
            x = part(x)
        return x
