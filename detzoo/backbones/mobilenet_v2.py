"""MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381, 2018."""

from __future__ import annotations

from typing import Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from detzoo.backbones.chosen import check_chosen, chosen_features
from detzoo.backbones.frozen import PartlyFrozen
from detzoo.blocks.layers import ConvNorm, set_norm_eps, start_he
from detzoo.config import Config as BaseConfig

STEM, LAST, DIVISOR = 32, 1280, 8
# table 2: how many times wider a block is inside, channels, blocks, stride of the first
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class MobileNetV2(PartlyFrozen):
    """Blocks that widen, filter each channel and narrow without an activation, with shortcuts between narrow ends.

    Parameters are named as MMDetection names them. What stands behind the last returned map is there, because published
    weights have it, but computes and learns nothing.

    Attributes:
        channels: of each returned feature map.
        strides: input pixels per cell of each returned feature map.
    """

    class Config(BaseConfig):
        """Settings of `MobileNetV2`. Stage k from 1 to 7 is ``layer<k>``, stage 8 the last convolution, ``conv2``."""

        kind: Literal["mobilenet_v2"] = "mobilenet_v2"
        width: float = Field(default=1.0, gt=0, le=16)  # multiplies all channels, which are rounded to eights
        out_stages: tuple[int, ...] = (2, 3, 5, 7)  # stages whose output is returned
        slope: float | None = Field(default=None, ge=0, le=1)  # of leaky ReLUs below zero; None: ReLU6
        norm_eps: float = Field(default=1e-5, ge=0)  # what normalization adds to the variance
        norm_eval: bool = False  # batch normalization keeps its statistics in training
        frozen_stages: int = Field(default=-1, ge=-1, le=7)  # -1: none; 0: the first convolution; k: also stages 1 to k
        checkpointing: bool = False  # recompute a block in the backward pass instead of keeping what it computed

        @model_validator(mode="after")
        def _fits(self) -> MobileNetV2.Config:
            check_chosen("out_stages", self.out_stages, len(STAGES) + 1)
            return self

        @property
        def title(self) -> str:
            """The name that papers use."""
            return "MobileNetV2" if self.width == 1 else f"MobileNetV2-{self.width:g}"

        def build(self) -> MobileNetV2:
            """The network of these settings, with random weights."""
            return MobileNetV2(self)

    def __init__(self, config: MobileNetV2.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or MobileNetV2.Config()
        width, stride = rounded(STEM * config.width), 2
        self.conv1 = _Conv(3, width, 3, stride=2, slope=config.slope)
        self.names = []
        found = []
        for stage, (factor, channels, blocks, first) in enumerate(STAGES, 1):
            layer = nn.Sequential()
            for block in range(blocks):
                outputs = rounded(channels * config.width)
                layer.append(_Block(width, outputs, factor, 1 if block else first, config))
                width = outputs
            stride *= first
            found.append((width, stride))
            self.names.append(f"layer{stage}")
            self.add_module(f"layer{stage}", layer)
        last = int(LAST * max(config.width, 1.0))
        self.conv2 = _Conv(width, last, 1, slope=config.slope)
        self.names.append("conv2")
        found.append((last, stride))
        self.channels = tuple(found[stage - 1][0] for stage in config.out_stages)
        self.strides = tuple(found[stage - 1][1] for stage in config.out_stages)
        set_norm_eps(self, config.norm_eps)
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
        return chosen_features(self.conv1(x), map(self.get_submodule, self.names[: chosen[-1]]), chosen)

    def frozen_parts(self) -> list[nn.Module]:
        """The first convolution and the stages that are frozen, and what stands behind the last returned map."""
        names = ["conv1", *self.names]
        unused = names[self.config.out_stages[-1] + 1 :]
        return [self.get_submodule(name) for name in [*names[: self.config.frozen_stages + 1], *unused]]


def rounded(channels: float, divisor: int = DIVISOR) -> int:
    """The multiple of ``divisor`` nearest to ``channels``, at least one of it and 0.9 times as many."""
    found = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * channels else found


class _Conv(ConvNorm):
    """Convolution, batch normalization, and ReLU6 or a leaky ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, slope: float | None
    ) -> None:
        bounded = slope is None
        super().__init__(
            inputs, outputs, kernel, stride=stride, groups=groups, norm="bn", relu=not bounded, slope=slope or 0.0
        )
        self.bounded = bounded

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        x = super().forward(x, valid)
        return F.relu6(x, inplace=True) if self.bounded else x


class _Block(nn.Module):
    """An inverted residual (figure 3): ``factor`` times wider inside, with a shortcut where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, factor: int, stride: int, config: MobileNetV2.Config) -> None:
        super().__init__()
        inner, self.widens = inputs * factor, factor != 1
        self.shortcut = stride == 1 and inputs == outputs
        self.checkpointing = config.checkpointing
        if self.widens:
            self.expand_conv = _Conv(inputs, inner, 1, slope=config.slope)
        self.depthwise_conv = _Conv(inner, inner, 3, stride=stride, groups=inner, slope=config.slope)
        self.linear_conv = ConvNorm(inner, outputs, 1, norm="bn", relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        if self.checkpointing and x.requires_grad and torch.is_grad_enabled():
            return cast(Tensor, checkpoint(self._filter, x, use_reentrant=False))
        return self._filter(x)

    def _filter(self, x: Tensor) -> Tensor:
        inner = self.expand_conv(x) if self.widens else x
        narrow = self.linear_conv(self.depthwise_conv(inner))
        return x + narrow if self.shortcut else narrow
