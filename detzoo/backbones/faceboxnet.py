"""FaceBoxes' network: A CPU Real-time Face Detector with High Accuracy, arXiv:1708.05234, 2017.

It is that of PaddleDetection's weights: without the paper's second 5x5 convolution, so that the first map is of stride
8, and with maps that halve down to stride 32; and a smaller one.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.frozen import PartlyFrozen
from detzoo.blocks.layers import ConvNorm, start_he
from detzoo.config import Config as BaseConfig

INCEPTIONS = 3


class FaceBoxNet(PartlyFrozen):
    """A few convolutions that shrink the picture fast, then inceptions (sections 3.1 and 3.2, figure 1).

    Attributes:
        channels: of each returned feature map.
        strides: input pixels per cell of each returned feature map.
    """

    class Config(BaseConfig):
        """Settings of `FaceBoxNet`."""

        kind: Literal["faceboxnet"] = "faceboxnet"
        lite: bool = False  # four small convolutions in place of the 7x7, and no map of stride 32
        width: float = Field(default=1.0, gt=0, le=16)  # multiplies all channels

        @property
        def title(self) -> str:
            """The name that papers use."""
            return "FaceBoxNet-lite" if self.lite else "FaceBoxNet"

        def build(self) -> FaceBoxNet:
            """The network of these settings, with random weights."""
            return FaceBoxNet(self)

    def __init__(self, config: FaceBoxNet.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or FaceBoxNet.Config()

        def of(channels: int) -> int:
            return max(1, int(channels * config.width))

        if config.lite:
            self.conv_1_1 = ConvNorm(3, of(8), 3, stride=2, norm="bn", relu=False)
            self.conv_1_2 = ConvNorm(2 * of(8), of(24), 3, stride=2, norm="bn", relu=False)
            self.conv_2_1 = ConvNorm(2 * of(24), of(48), 3, stride=2, norm="bn")
            self.conv_2_2 = ConvNorm(of(48), of(64), 1, norm="bn")
            width = of(64)
        else:
            self.conv_1 = ConvNorm(3, of(24), 7, stride=4, norm="bn", relu=False)
            self.conv_2 = ConvNorm(2 * of(24), of(64), 5, stride=2, norm="bn")  # published weights have it
            width = 2 * of(24)
        for index in range(INCEPTIONS):
            self.add_module(f"inception_{index}", _Inception(width, of(24), of(32)))
            width = 4 * of(32)
        self.further = (3,) if config.lite else (3, 4)
        self.channels = (width, *(of(256) for _ in self.further))
        self.strides = tuple(8 << index for index in range(len(self.channels)))
        for number, inputs in zip(self.further, self.channels, strict=False):
            self.add_module(f"conv_{number}_1", ConvNorm(inputs, of(128), 1, norm="bn"))
            self.add_module(f"conv_{number}_2", ConvNorm(of(128), of(256), 3, stride=2, norm="bn"))
        start_he(self)
        self.freeze(norm_eval=False)

    def frozen_parts(self) -> list[nn.Module]:
        """What published weights hold and nothing reads."""
        return [] if self.config.lite else [self.conv_2]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features, finest first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])]`` per map.
        """
        if self.config.lite:
            x = _both_signs(self.conv_1_2(_both_signs(self.conv_1_1(x))))
            x = self.conv_2_2(self.conv_2_1(_mean(x)))
        else:
            x = F.max_pool2d(_both_signs(self.conv_1(x)), 3, 2, 1)
        for index in range(INCEPTIONS):
            x = self.get_submodule(f"inception_{index}")(x)
        features = [x]
        for number in self.further:
            x = self.get_submodule(f"conv_{number}_2")(self.get_submodule(f"conv_{number}_1")(x))
            features.append(x)
        return features


class _Inception(nn.Module):
    """Four branches of different fields of view, side by side (figure 2b)."""

    def __init__(self, inputs: int, reduced: int, branch: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, branch, 1, norm="bn")
        self.conv2 = ConvNorm(inputs, branch, 1, norm="bn")
        self.conv3_1 = ConvNorm(inputs, reduced, 1, norm="bn")
        self.conv3_2 = ConvNorm(reduced, branch, 3, norm="bn")
        self.conv4_1 = ConvNorm(inputs, reduced, 1, norm="bn")
        self.conv4_2 = ConvNorm(reduced, branch, 3, norm="bn")
        self.conv4_3 = ConvNorm(branch, branch, 3, norm="bn")

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, 4 * branch, H, W]``."""
        third = self.conv3_2(self.conv3_1(x))
        fourth = self.conv4_3(self.conv4_2(self.conv4_1(x)))
        return torch.cat([self.conv1(_mean(x)), self.conv2(x), third, fourth], 1)


def _mean(x: Tensor) -> Tensor:
    """The mean of the 3x3 cells around each that the map has, ``[N, C, H, W]`` to the same shape."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _both_signs(x: Tensor) -> Tensor:
    """``[N, C, H, W]`` to ``[N, 2C, H, W]``: its ReLU, and the same with the other sign.

    The paper's C.ReLU (figure 2a) has the ReLU of the other sign; the published weights were trained with this.
    """
    x = F.relu(x)
    return torch.cat([x, -x], 1)
