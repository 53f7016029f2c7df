"""SENet-154: Squeeze-and-Excitation Networks, arXiv:1709.01507, 2017, section 6.2 and appendix."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn

from detzoo.backbones.resnet import (
    BLOCKS,
    Bottleneck,
    Stages,
    StagesConfig,
    deep_stem,
    residual_blocks,
    spatial_conv,
)
from detzoo.blocks.plugins import Plugin
from detzoo.blocks.squeeze_excitation import SqueezeExcitation

STEM, WIDTH, GROUPS = 128, 256, 64
WEIGHED = Plugin(block=SqueezeExcitation.Config())  # behind the last convolution of every block


class SENet(Stages):
    """A ResNeXt-152-64x4d with a deep and wide stem, whose blocks weigh their channels.

    Parameters are called as those of `ResNet`.
    """

    class Config(StagesConfig):
        """Settings of `SENet`."""

        kind: Literal["senet"] = "senet"
        depth: Literal[50, 101, 152] = 152  # of the ResNet that it is made of
        # "vd": shortcuts halve the size by average pooling before their 1x1; "original": by a 3x3, and the first 1x1 of
        # a block has half of the channels
        form: Literal["vd", "original"] = "vd"

        @property
        def title(self) -> str:
            """The name that papers use, which count the stem's further convolutions: ``SENet-154``."""
            return self.titled(f"SENet-{self.depth + 2}")

        def build(self) -> SENet:
            """The network of these settings, with random weights."""
            return SENet(self)

    def __init__(self, config: SENet.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or SENet.Config()
        self.stem = deep_stem(config, STEM)
        channels = [WIDTH * 2**stage for stage in range(len(config.strides))]
        self.complete(config, STEM, channels, partial(_build_stage, config))


def _build_stage(config: SENet.Config, stage: int, inputs: int) -> nn.Sequential:
    width, dilation, conv3x3 = WIDTH * 2 ** (stage - 1), config.dilations[stage - 1], spatial_conv(config, stage)
    original = config.form == "original"

    def block(inputs: int, stride: int, downsample: nn.Sequential | None) -> nn.Module:
        entry = width // 2 if original else width
        made = Bottleneck(
            config, inputs, width, stride, dilation, downsample, conv3x3, entry=entry, groups=GROUPS, expansion=1
        )
        made.plug(WEIGHED)
        return made

    count, stride = BLOCKS[config.depth][stage - 1], config.strides[stage - 1]
    kernel = 3 if original and stage > 1 else 1
    return residual_blocks(config, block, inputs, width, count, stride, avg_down=not original, kernel=kernel)
