"""Darknet-53, of YOLOv3: An Incremental Improvement, arXiv:1804.02767, 2018."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from detzoo.backbones.chosen import check_chosen, check_frozen, chosen_features
from detzoo.backbones.frozen import PartlyFrozen
from detzoo.blocks.layers import ConvNorm, Norm, start_he
from detzoo.config import Config as BaseConfig

SLOPE = 0.1  # of every leaky ReLU below zero


class Darknet(PartlyFrozen):
    """Residual blocks of a 1x1 and a 3x3 convolution; each stage begins by halving the size (table 1).

    Parameters are named as MMDetection names them.

    Attributes:
        channels: of each returned feature map.
        strides: input pixels per cell of each returned feature map.
    """

    class Config(BaseConfig):
        """Settings of `Darknet`. Stage k, from 1 on, is ``conv_res_block<k>``; its stride is 2 to the k."""

        kind: Literal["darknet"] = "darknet"
        blocks: tuple[int, ...] = Field(default=(1, 2, 8, 8, 4), min_length=1)  # per stage; the default is Darknet-53
        width: int = Field(default=32, ge=2)  # channels of the first convolution; each stage has twice as many
        out_stages: tuple[int, ...] = (3, 4, 5)  # stages whose output is returned
        norm: Norm = "bn"
        norm_eval: bool = True  # batch normalization keeps its statistics in training
        frozen_stages: int = Field(default=-1, ge=-1)  # -1: none; 0: the first convolution; k: also stages 1 to k

        @model_validator(mode="after")
        def _fits(self) -> Darknet.Config:
            stages = len(self.blocks)
            check_chosen("out_stages", self.out_stages, stages)
            check_frozen(self.frozen_stages, stages)
            return self

        @property
        def title(self) -> str:
            """The name that papers use; it counts the layers with weights of the classification network."""
            return f"Darknet-{2 + sum(1 + 2 * blocks for blocks in self.blocks)}"

        def build(self) -> Darknet:
            """The network."""
            return Darknet(self)

    def __init__(self, config: Darknet.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Darknet.Config()
        self.conv1 = ConvNorm(3, config.width, 3, norm=config.norm, slope=SLOPE)
        width = config.width
        for stage, blocks in enumerate(config.blocks, 1):
            layer = nn.Sequential()
            layer.add_module("conv", ConvNorm(width, 2 * width, 3, stride=2, norm=config.norm, slope=SLOPE))
            width *= 2
            for block in range(blocks):
                layer.add_module(f"res{block}", ResBlock(width, config.norm))
            self.add_module(f"conv_res_block{stage}", layer)
        self.channels = tuple(config.width * 2**stage for stage in config.out_stages)
        self.strides = tuple(2**stage for stage in config.out_stages)
        start_he(self)
        self.freeze(config.norm_eval)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the asked stages, finest first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])]`` per output stage.
        """
        chosen = self.config.out_stages
        stages = (self.get_submodule(f"conv_res_block{stage}") for stage in range(1, chosen[-1] + 1))
        return chosen_features(self.conv1(x), stages, chosen)

    def frozen_parts(self) -> list[nn.Module]:
        """The first convolution and the stages that are frozen."""
        names = ["conv1", *(f"conv_res_block{stage}" for stage in range(1, len(self.config.blocks) + 1))]
        return [self.get_submodule(name) for name in names[: self.config.frozen_stages + 1]]


class ResBlock(nn.Module):
    """A 1x1 convolution to half of the channels and a 3x3 back to all, beside a shortcut."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels // 2, 1, norm=norm, slope=SLOPE)
        self.conv2 = ConvNorm(channels // 2, channels, 3, norm=norm, slope=SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` to the same shape."""
        return x + self.conv2(self.conv1(x))
