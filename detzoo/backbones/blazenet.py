"""BlazeFace's network: Sub-millisecond Neural Face Detection on Mobile GPUs, arXiv:1907.05047, 2019.

Departures from the paper, as PaddleDetection's weights were trained: maps of strides 8 and 16 are returned, and the
shortcut of a block that halves them goes through a 1x1 convolution, in place of filling up channels with zeros.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.chosen import check_chosen, chosen_features
from detzoo.blocks.layers import ConvNorm, start_he
from detzoo.config import Config as BaseConfig

Single = tuple[int, Literal[1, 2]]  # channels, stride
Double = tuple[int, int, Literal[1, 2]]  # channels in the middle, channels, stride


class BlazeNet(nn.Module):
    """Single and double blocks of depthwise 5x5 and 1x1 convolutions (section 3.1, figure 1).

    Attributes:
        channels: of each returned feature map.
        strides: input pixels per cell of each returned feature map.
    """

    class Config(BaseConfig):
        """Settings of `BlazeNet`."""

        kind: Literal["blazenet"] = "blazenet"
        stem: int = Field(default=24, ge=1)  # channels of the first convolution
        singles: tuple[Single, ...] = ((24, 1), (24, 1), (48, 2), (48, 1), (48, 1))
        doubles: tuple[Double, ...] = ((24, 96, 2), (24, 96, 1), (24, 96, 1), (24, 96, 2), (24, 96, 1), (24, 96, 1))
        out_blocks: tuple[int, ...] = (8, 11)  # blocks, from 1 and single ones first, whose output is returned
        kernels: tuple[Literal[3, 5], Literal[3, 5]] = (3, 5)  # of the first convolution, and of those of blocks
        single: Literal["relu", "none"] = "none"  # what follows the 1x1 of a single block
        dense: bool = False  # the second 5x5 of a double block mixes all channels, as in PaddleDetection 0.x
        middle: Literal["relu", "hard_swish", "none"] = "relu"  # what follows the first 1x1 of a double block

        @model_validator(mode="after")
        def _fits(self) -> BlazeNet.Config:
            check_chosen("out_blocks", self.out_blocks, len(self.singles) + len(self.doubles))
            return self

        @property
        def title(self) -> str:
            """The name that papers use."""
            return "BlazeNet"

        def build(self) -> BlazeNet:
            """The network of these settings, with random weights."""
            return BlazeNet(self)

    def __init__(self, config: BlazeNet.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or BlazeNet.Config()
        self.conv1 = ConvNorm(3, config.stem, config.kernels[0], stride=2, norm="bn")
        width, stride, found = config.stem, 2, []
        blocks = [(f"blaze_{index}", None, *single) for index, single in enumerate(config.singles)]
        blocks += [(f"double_blaze_{index}", *double) for index, double in enumerate(config.doubles)]
        self.names = tuple(name for name, *_ in blocks[: config.out_blocks[-1]])
        for name, middle, channels, step in blocks[: config.out_blocks[-1]]:
            self.add_module(name, _Block(width, middle, channels, step, config))
            width, stride = channels, stride * step
            found.append((width, stride))
        found = [found[block - 1] for block in config.out_blocks]
        self.channels = tuple(channels for channels, _ in found)
        self.strides = tuple(stride for _, stride in found)
        start_he(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the asked blocks, finest first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])]`` per block.
        """
        return chosen_features(self.conv1(x), map(self.get_submodule, self.names), self.config.out_blocks)


class _Block(nn.Module):
    """A block; without channels in the ``middle`` it is a single one."""

    def __init__(self, inputs: int, middle: int | None, outputs: int, stride: int, config: BlazeNet.Config) -> None:
        super().__init__()
        kernel, after = config.kernels[1], config.single if middle is None else config.middle
        self.is_double, self.hard_swish = middle is not None, after == "hard_swish"
        self.depthwise = ConvNorm(inputs, inputs, kernel, stride=stride, groups=inputs, norm="bn")
        self.pointwise = ConvNorm(inputs, middle or outputs, 1, norm="bn", relu=after == "relu")
        if middle is not None:
            self.depthwise2 = ConvNorm(middle, middle, kernel, groups=1 if config.dense else middle, norm="bn")
            self.pointwise2 = ConvNorm(middle, outputs, 1, norm="bn")
        self.shortcut = ConvNorm(inputs, outputs, 1, norm="bn") if stride > 1 or inputs != outputs else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, ceil(H / stride), ceil(W / stride)]``."""
        y = self.pointwise(self.depthwise(x))
        if self.is_double:
            y = self.pointwise2(self.depthwise2(F.hardswish(y) if self.hard_swish else y))
        if self.stride > 1:
            x = F.max_pool2d(x, self.stride, self.stride, ceil_mode=True)
        return F.relu_(y + (x if self.shortcut is None else self.shortcut(x)))
