"""ResNeSt: Split-Attention Networks, arXiv:2004.08955, 2020."""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.resnet import (
    EXPANSION,
    Bottleneck,
    Stages,
    StagesConfig,
    deep_stem,
    residual_blocks,
    spatial_conv,
)
from detzoo.blocks.layers import build_norm, conv_norm

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
LEAST_WIDTH = 32  # channels between the two layers that find the attention


class ResNeSt(Stages):
    """ResNeSt-50 to -200: ResNets with a deep stem and average-pooled shortcuts, and attention in place of the 3x3.

    Parameters are named as MMDetection names them.
    """

    class Config(StagesConfig):
        """Settings of `ResNeSt`."""

        kind: Literal["resnest"] = "resnest"
        depth: Literal[50, 101, 152, 200] = 50
        stem_width: int = Field(default=64, ge=2, multiple_of=2)  # channels of the stem; ResNeSt-101: 128
        radix: int = Field(default=2, ge=1)  # splits that the attention weighs; 1: it weighs channels alone
        reduction: int = Field(default=4, ge=1)  # of channels inside the attention
        groups: int = Field(default=1, ge=1)  # cardinal groups, each with an attention of its own
        base_width: int = Field(default=4, ge=1)  # channels per group in the first stage, with more than one group
        pool_stride: bool = True  # a block halves the size by average pooling behind its attention, not in its 3x3

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``ResNeSt-101``."""
            return self.titled(f"ResNeSt-{self.depth}")

        def build(self) -> ResNeSt:
            """The network of these settings, with random weights."""
            return ResNeSt(self)

    def __init__(self, config: ResNeSt.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or ResNeSt.Config()
        self.stem = deep_stem(config, config.stem_width)
        channels = [64 * 2**stage * EXPANSION for stage in range(len(config.strides))]
        self.complete(config, config.stem_width, channels, partial(_build_stage, config))


class SplitAttention(nn.Module):
    """A grouped 3x3 convolution to ``radix`` splits and their sum, weighed per channel by what all of them show.

    ``V = sum_r softmax_r(G_r(mean over cells of sum_r U_r)) U_r`` with ``U_r`` the splits (section 3.1, equations 1 and
    2; figure 2 right). With ``radix`` 1 the weight is a sigmoid, as in Squeeze-and-Excitation, arXiv:1709.01507.
    """

    def __init__(self, config: ResNeSt.Config, stage: int, width: int, stride: int, dilation: int, groups: int) -> None:
        """Build for ``width`` channels in and out, in a ``stage`` of the network."""
        super().__init__()
        self.norm_name, self.radix, self.groups = config.norm, config.radix, groups
        pooled = config.pool_stride and stride > 1
        conv3x3 = spatial_conv(config, stage)
        self.conv = conv3x3(width, width * config.radix, 1 if pooled else stride, dilation, groups * config.radix)
        inner = max(width * config.radix // config.reduction, LEAST_WIDTH)
        self.fc1 = nn.Conv2d(width, inner, 1, groups=groups)
        self.fc2 = nn.Conv2d(inner, width * config.radix, 1, groups=groups)
        for number, channels in ((0, width * config.radix), (1, inner)):
            norm = build_norm(config.norm, channels, frozen=config.norm_frozen)
            self.add_module(f"{config.norm}{number}", norm)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if pooled else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``[N, width, H, W]`` to ``[N, width, ceil(H / stride), ceil(W / stride)]``."""
        x = conv_norm(x, self.conv, self.get_submodule(f"{self.norm_name}0"), relu=True)
        splits = x.unflatten(1, (self.radix, -1))
        seen = splits.sum(1).mean((2, 3), keepdim=True)
        seen = conv_norm(seen, self.fc1, self.get_submodule(f"{self.norm_name}1"), relu=True)
        # channels of what is found lie by group, then by split
        found = self.fc2(seen).unflatten(1, (self.groups, self.radix, -1)).transpose(1, 2)
        weights = (found.softmax(1) if self.radix > 1 else found.sigmoid()).flatten(2, 3)
        return self.pool((splits * weights).sum(1))


def _build_stage(config: ResNeSt.Config, stage: int, inputs: int) -> nn.Sequential:
    planes = 64 * 2 ** (stage - 1)
    width = planes if config.groups == 1 else planes * config.base_width // 64 * config.groups
    dilation = config.dilations[stage - 1]

    def attention(inputs: int, outputs: int, stride: int, dilation: int, groups: int) -> nn.Module:
        return SplitAttention(config, stage, outputs, stride, dilation, groups)

    def block(inputs: int, stride: int, downsample: nn.Sequential | None) -> nn.Module:
        settings = {"width": width, "groups": config.groups}
        return Bottleneck(config, inputs, planes, stride, dilation, downsample, attention, normalized=True, **settings)

    count, stride = BLOCKS[config.depth][stage - 1], config.strides[stage - 1]
    return residual_blocks(config, block, inputs, planes * EXPANSION, count, stride, avg_down=True)
