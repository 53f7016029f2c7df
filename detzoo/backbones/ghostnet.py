"""GhostNet: More Features from Cheap Operations, arXiv:1911.11907, 2019."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.mobilenet_v2 import rounded
from detzoo.backbones.mobilenet_v3 import STEM, Widening, WideningConfig, WideningStages
from detzoo.blocks.layers import ConvNorm
from detzoo.blocks.squeeze_excitation import SqueezeExcitation

DIVISOR = 4
# table 1: kernel, channels inside, channels, squeeze and excitation, stride
BLOCKS = (
    *((3, 16, 16, False, 1), (3, 48, 24, False, 2), (3, 72, 24, False, 1), (5, 72, 40, True, 2)),
    *((5, 120, 40, True, 1), (3, 240, 80, False, 2), (3, 200, 80, False, 1), (3, 184, 80, False, 1)),
    *((3, 184, 80, False, 1), (3, 480, 112, True, 1), (3, 672, 112, True, 1), (5, 672, 160, True, 2)),
    *((5, 960, 160, False, 1), (5, 960, 160, True, 1), (5, 960, 160, False, 1), (5, 960, 160, True, 1)),
)


class GhostNet(WideningStages):
    """Blocks of MobileNetV3 whose 1x1 convolutions make half of their maps, and depthwise ones the others of those.

    Block k is ``block<k - 1>``; what is behind the blocks is called as in PaddleDetection.
    """

    class Config(WideningConfig):
        """Settings of `GhostNet`."""

        kind: Literal["ghostnet"] = "ghostnet"

        def count(self) -> int:
            """How many blocks there are."""
            return len(BLOCKS)

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``GhostNet-1.3x``."""
            return f"GhostNet-{self.width:g}x"

        def build(self) -> GhostNet:
            """The network of these settings, with random weights."""
            return GhostNet(self)

    def __init__(self, config: GhostNet.Config | None = None) -> None:
        self.config = config = config or GhostNet.Config()
        inputs = rounded(STEM * config.width, DIVISOR)
        first = ConvNorm(3, inputs, 3, stride=2, norm="bn")
        blocks, wide = {}, 0
        for index, (kernel, inner, outputs, gated, stride) in enumerate(BLOCKS):
            wide, narrow = (rounded(width * config.width, DIVISOR) for width in (inner, outputs))
            blocks[f"block{index}"] = _Block(inputs, wide, narrow, kernel, stride, gated=gated)
            inputs = narrow
        super().__init__(config, first, blocks, _Last(inputs, wide), wide)


class _Last(ConvNorm):
    """A 1x1 convolution with batch normalization and ReLU6."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1, norm="bn", relu=False)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H, W]``."""
        return F.relu6(super().forward(x, valid))


class _Ghost(nn.Module):
    """Half of the maps by a 1x1 convolution, and of each another by a 3x3 (figure 1 b)."""

    def __init__(self, inputs: int, outputs: int, relu: bool) -> None:
        super().__init__()
        half = -(-outputs // 2)
        self.primary_conv = ConvNorm(inputs, half, 1, norm="bn", relu=relu)
        self.cheap_operation = ConvNorm(half, half, 3, groups=half, norm="bn", relu=relu)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H, W]``."""
        x = self.primary_conv(x)
        return torch.cat([x, self.cheap_operation(x)], 1)


class _Block(Widening):
    """A ghost bottleneck (figure 3)."""

    def __init__(self, inputs: int, inner: int, outputs: int, kernel: int, stride: int, *, gated: bool) -> None:
        super().__init__(inner, outputs, stride)
        self.ghost_module_1 = _Ghost(inputs, inner, relu=True)
        plain = {"norm": "bn", "relu": False}
        self.depthwise_conv = None
        if stride > 1:
            self.depthwise_conv = ConvNorm(inner, inner, kernel, stride=stride, groups=inner, **plain)
        self.se = SqueezeExcitation(SqueezeExcitation.Config(reduction=4, gate="clip"), inner) if gated else None
        self.ghost_module_2 = _Ghost(inner, outputs, relu=False)
        self.shortcut_depthwise = self.shortcut_conv = None
        if stride > 1 or inputs != outputs:
            self.shortcut_depthwise = ConvNorm(inputs, inputs, kernel, stride=stride, groups=inputs, **plain)
            self.shortcut_conv = ConvNorm(inputs, outputs, 1, **plain)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``[N, inputs, H, W]`` to ``[N, inner, H, W]`` and ``[N, outputs, H', W']``."""
        wide = found = self.ghost_module_1(x)
        if self.depthwise_conv is not None:
            found = self.depthwise_conv(found)
        if self.se is not None:
            found = self.se(found)
        found = self.ghost_module_2(found)
        if self.shortcut_depthwise is not None and self.shortcut_conv is not None:
            x = self.shortcut_conv(self.shortcut_depthwise(x))
        return wide, found + x
