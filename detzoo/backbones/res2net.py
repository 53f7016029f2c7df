"""Res2Net: A New Multi-scale Backbone Architecture, arXiv:1904.01169, 2019."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.resnet import (
    BLOCKS,
    EXPANSION,
    Bottleneck,
    Conv3x3,
    Stages,
    StagesConfig,
    residual_blocks,
    spatial_conv,
)
from detzoo.blocks.layers import build_norm, conv_norm


class Res2Net(Stages):
    """Res2Net-50 to -152 v1b: ResNets with a deep stem and average-pooled shortcuts, and several 3x3 in each block.

    Parameters are named as MMDetection names them.
    """

    class Config(StagesConfig):
        """Settings of `Res2Net`; the published networks are 26w x 4s."""

        kind: Literal["res2net"] = "res2net"
        depth: Literal[50, 101, 152] = 50
        scales: int = Field(default=4, ge=2)  # parts that the channels of a block are split into
        base_width: int = Field(default=26, ge=1)  # channels of each part in the first stage
        stem: Literal["conv7", "deep"] = "deep"  # one 7x7 convolution, or three 3x3
        avg_down: bool = True  # shortcuts halve the size by average pooling before their 1x1
        first_sums: bool = False  # parts see each other in first blocks without a stride, too (PaddleDetection)
        pool_padding: bool = True  # what a stride pools counts the zeros around the map

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``Res2Net-101``."""
            return self.titled(f"Res2Net-{self.depth}")

        def build(self) -> Res2Net:
            """The network of these settings, with random weights."""
            return Res2Net(self)

    def __init__(self, config: Res2Net.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Res2Net.Config()
        self.add_stem(config, config.stem)
        channels = [64 * 2**stage * EXPANSION for stage in range(len(config.strides))]
        self.complete(config, 64, channels, partial(_build_stage, config))


class Bottle2neck(Bottleneck):
    """A bottleneck whose channels are split: each part is convolved together with what came of the part before it.

    ``y_1 = K_1(x_1)``, ``y_i = K_i(x_i + y_{i-1})``, and the last part stays as it is (section 3.1, equation 1, with
    the parts counted from the other end, as published weights are). In the first block of a stage parts do not see each
    other, and a stride pools the last one.
    """

    def __init__(
        self,
        config: Res2Net.Config,
        inputs: int,
        planes: int,
        stride: int,
        dilation: int,
        downsample: nn.Sequential | None,
        conv3x3: Conv3x3,
        *,
        first: bool,
    ) -> None:
        """Build to return ``4 * planes`` channels; ``first``: it is the first of its stage."""
        part = planes * config.base_width // 64
        settings = {"width": part * config.scales, "normalized": True}
        # several convolutions take the place of the one
        super().__init__(config, inputs, planes, stride, dilation, downsample, lambda *_: nn.Identity(), **settings)
        self.part, self.first = part, first and not (config.first_sums and stride == 1)
        stride = 1 if config.style == "caffe" else stride
        self.convs = nn.ModuleList(conv3x3(part, part, stride, dilation, 1) for _ in range(config.scales - 1))
        self.bns = nn.ModuleList(build_norm(config.norm, part, frozen=config.norm_frozen) for _ in self.convs)
        self.pool = nn.AvgPool2d(3, stride, 1, count_include_pad=config.pool_padding) if stride > 1 else nn.Identity()

    def between(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, C, ceil(H / stride), ceil(W / stride)]``."""
        *parts, last = x.split(self.part, 1)
        found: list[Tensor] = []
        for conv, norm, part in zip(self.convs, self.bns, parts, strict=True):
            alone = self.first or not found
            found.append(conv_norm(part if alone else part + found[-1], conv, norm, relu=True))
        return torch.cat([*found, self.pool(last)], 1)


def _build_stage(config: Res2Net.Config, stage: int, inputs: int) -> nn.Sequential:
    planes, dilation, conv3x3 = 64 * 2 ** (stage - 1), config.dilations[stage - 1], spatial_conv(config, stage)

    def block(inputs: int, stride: int, downsample: nn.Sequential | None) -> nn.Module:
        first = downsample is not None  # which changes channels in every stage
        return Bottle2neck(config, inputs, planes, stride, dilation, downsample, conv3x3, first=first)

    count, stride = BLOCKS[config.depth][stage - 1], config.strides[stage - 1]
    return residual_blocks(config, block, inputs, planes * EXPANSION, count, stride, avg_down=config.avg_down)
