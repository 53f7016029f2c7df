"""MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, arXiv:1704.04861, 2017."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from detzoo.backbones.chosen import check_chosen, chosen_features
from detzoo.backbones.frozen import PartlyFrozen
from detzoo.blocks.layers import ConvNorm, start_he
from detzoo.config import Config as BaseConfig

STEM = 32
# table 1: name, channels and stride of each pair of a depthwise and a 1x1 convolution
PAIRS = (
    *(("conv2_1", 64, 1), ("conv2_2", 128, 2), ("conv3_1", 128, 1), ("conv3_2", 256, 2), ("conv4_1", 256, 1)),
    *(("conv4_2", 512, 2), *((f"conv5_{number}", 512, 1) for number in range(1, 6)), ("conv5_6", 1024, 2)),
    ("conv6", 1024, 1),
)


class MobileNetV1(PartlyFrozen):
    """Pairs of a depthwise 3x3 and a 1x1 convolution.

    Pair k from 1 to 13 is ``conv2_1`` to ``conv6``, as PaddleDetection names them.

    Attributes:
        channels: of each returned feature map.
        strides: input pixels per cell of each returned feature map.
    """

    class Config(BaseConfig):
        """Settings of `MobileNetV1`."""

        kind: Literal["mobilenet_v1"] = "mobilenet_v1"
        width: float = Field(default=1.0, gt=0, le=16)  # multiplies all channels
        out_pairs: tuple[int, ...] = (4, 6, 13)  # pairs whose output is returned; SSD: 11 and 13
        norm_eval: bool = False  # batch normalization keeps its statistics in training
        frozen_pairs: int = Field(default=-1, ge=-1, le=13)  # -1: none; 0: the first convolution; k: also k pairs

        @model_validator(mode="after")
        def _fits(self) -> MobileNetV1.Config:
            check_chosen("out_pairs", self.out_pairs, len(PAIRS))
            return self

        @property
        def title(self) -> str:
            """The name that papers use."""
            return "MobileNetV1" if self.width == 1 else f"MobileNetV1-{self.width:g}"

        def build(self) -> MobileNetV1:
            """The network of these settings, with random weights."""
            return MobileNetV1(self)

    def __init__(self, config: MobileNetV1.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or MobileNetV1.Config()
        width, stride = int(STEM * config.width), 2
        self.conv1 = ConvNorm(3, width, 3, stride=2, norm="bn")
        found = []
        for name, channels, step in PAIRS:
            outputs = int(channels * config.width)
            self.add_module(name, _Pair(width, outputs, step))
            width, stride = outputs, stride * step
            found.append((width, stride))
        found = [found[pair - 1] for pair in config.out_pairs]
        self.channels = tuple(channels for channels, _ in found)
        self.strides = tuple(stride for _, stride in found)
        start_he(self)
        self.freeze(config.norm_eval)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the asked pairs, finest first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])]`` per pair.
        """
        chosen = self.config.out_pairs
        pairs = (self.get_submodule(name) for name, _, _ in PAIRS[: chosen[-1]])
        return chosen_features(self.conv1(x), pairs, chosen)

    def frozen_parts(self) -> list[nn.Module]:
        """The first convolution and the pairs that are frozen, and what stands behind the last returned map."""
        names = ["conv1", *(name for name, _, _ in PAIRS)]
        unused = names[self.config.out_pairs[-1] + 1 :]
        return [self.get_submodule(name) for name in [*names[: self.config.frozen_pairs + 1], *unused]]


class _Pair(nn.Module):
    """A depthwise 3x3 and a 1x1 convolution (figure 3 right)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvNorm(inputs, inputs, 3, stride=stride, groups=inputs, norm="bn")
        self.pointwise_conv = ConvNorm(inputs, outputs, 1, norm="bn")

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        return self.pointwise_conv(self.depthwise_conv(x))
