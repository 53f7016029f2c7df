"""RegNet: Designing Network Design Spaces, arXiv:2003.13678, 2020."""

from __future__ import annotations

import math
from functools import partial
from itertools import groupby
from typing import Literal, NamedTuple

from pydantic import Field, model_validator
from torch import nn

from detzoo.backbones.resnet import Bottleneck, Stages, StagesConfig, plain_conv, residual_blocks, spatial_conv
from detzoo.blocks.layers import build_norm

STEM = 32  # channels of the stem
DIVISOR = 8  # of every block's width before it is made to fit its groups

# table 7 of the paper: name -> depth, initial width, slope, ratio, group width
TITLES = {
    (22, 24, 24.48, 2.54, 16): "RegNetX-400MF",
    (16, 56, 35.73, 2.28, 16): "RegNetX-800MF",
    (18, 80, 34.01, 2.25, 24): "RegNetX-1.6GF",
    (25, 88, 26.31, 2.25, 48): "RegNetX-3.2GF",
    (23, 96, 38.65, 2.43, 40): "RegNetX-4.0GF",
    (17, 184, 60.83, 2.07, 56): "RegNetX-6.4GF",
    (23, 80, 49.56, 2.88, 120): "RegNetX-8.0GF",
    (19, 168, 73.36, 2.37, 112): "RegNetX-12GF",
}


class Stage(NamedTuple):
    """What follows from the settings: blocks of a stage, their channels, and channels per group of their 3x3."""

    blocks: int
    width: int
    group_width: int


class RegNet(Stages):
    """RegNetX: bottlenecks that do not narrow, whose width rises linearly with depth and is rounded to few stages.

    Block j of ``depth`` would have ``u_j = initial_width + slope * j`` channels; that is rounded to ``initial_width``
    times a power of ``ratio``, and blocks of equal width are a stage (equations 2 to 4).

    Parameters are named as MMDetection names them; for pycls see `detzoo.backbones.pycls`.
    """

    POOLED = False

    class Config(StagesConfig):
        """Settings of `RegNet`; the default is RegNetX-3.2GF."""

        kind: Literal["regnet"] = "regnet"
        strides: tuple[int, ...] = (2, 2, 2, 2)  # one per stage, of which there are as many as widths
        depth: int = Field(default=25, ge=1, le=1000)  # blocks
        initial_width: int = Field(default=88, ge=8, le=1 << 16, multiple_of=DIVISOR)
        slope: float = Field(default=26.31, ge=0, le=1 << 16)  # channels per block
        ratio: float = Field(default=2.25, gt=1, le=64)  # of the widths of two stages
        group_width: int = Field(default=48, ge=1)  # channels per group of the 3x3

        @model_validator(mode="after")
        def _fits(self) -> RegNet.Config:
            stages = len(self.stages())
            if len(self.strides) != stages:
                raise ValueError(f"depth, slope and ratio make {stages} stages, but strides has {len(self.strides)}")
            return self

        def stages(self) -> tuple[Stage, ...]:
            """Each stage, finest first."""
            found = []
            for power, blocks in groupby(range(self.depth), self._power):
                rounded = DIVISOR * round(self.initial_width * self.ratio**power / DIVISOR)
                group = min(self.group_width, rounded)
                found.append(Stage(len(list(blocks)), group * round(rounded / group), group))
            return tuple(found)

        def _power(self, block: int) -> int:
            return round(math.log(1 + self.slope * block / self.initial_width) / math.log(self.ratio))

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``RegNetX-3.2GF``."""
            numbers = (self.depth, self.initial_width, self.slope, self.ratio, self.group_width)
            return self.titled(TITLES.get(numbers, f"RegNetX-{self.depth}-{self.initial_width}"))

        def build(self) -> RegNet:
            """The network of these settings, with random weights."""
            return RegNet(self)

    def __init__(self, config: RegNet.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or RegNet.Config()
        self.conv1 = plain_conv(config, 3, STEM, 3, 2)
        self.add_module(f"{config.norm}1", build_norm(config.norm, STEM, frozen=config.norm_frozen))
        self.complete(config, STEM, [stage.width for stage in config.stages()], partial(_build_stage, config))


def _build_stage(config: RegNet.Config, number: int, inputs: int) -> nn.Sequential:
    stage, dilation, conv3x3 = config.stages()[number - 1], config.dilations[number - 1], spatial_conv(config, number)
    groups = stage.width // stage.group_width

    def block(inputs: int, stride: int, downsample: nn.Sequential | None) -> nn.Module:
        return Bottleneck(
            config, inputs, stage.width, stride, dilation, downsample, conv3x3, groups=groups, expansion=1
        )

    return residual_blocks(config, block, inputs, stage.width, stage.blocks, config.strides[number - 1])
