"""The extra feature maps of SSD: Single Shot MultiBox Detector, arXiv:1512.02325, 2015, and its L2 normalization.

The normalization is that of ParseNet, arXiv:1506.04579.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import ConvNorm, Norm, set_norm_eps, start_xavier
from detzoo.config import Config as BaseConfig


class SSDNeck(nn.Module):
    """The backbone's maps, the first one normalized, and coarser ones made of the last (arXiv:1512.02325, figure 2).

    Parameters are named as in published MMDetection weights.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map; an unpadded convolution loses cells at the borders instead.
    """

    class Config(BaseConfig):
        """Settings of `SSDNeck`; an extra map is made by a 1x1 convolution to half of its channels and a 3x3."""

        kind: Literal["ssd"] = "ssd"
        out_channels: tuple[int, ...] = (512, 256, 256, 256)  # of each extra map
        steps: tuple[int, ...] = (2, 2, 1, 1)  # stride of each 3x3
        paddings: tuple[int, ...] = (1, 1, 0, 0)  # cells around each map before its 3x3
        last_kernel: int = Field(default=3, ge=1)  # in place of the last 3x3
        # length of a cell of the first map, normalized, before training (section 3.1); None: that map is as it comes
        scale: float | None = Field(default=20.0, gt=0)
        norm: Norm | None = None  # of the extra maps' convolutions
        relu6: bool = False  # they end with a ReLU that goes no higher than 6 (arXiv:1801.04381)
        separable: bool = False  # each 3x3 in two, for places and for channels, as in SSDLite (section 6.2 there)
        norm_eps: float = Field(default=1e-5, ge=0)  # what normalization adds to the variance

        @model_validator(mode="after")
        def _fits(self) -> SSDNeck.Config:
            lengths = len(self.out_channels), len(self.steps), len(self.paddings)
            if len(set(lengths)) > 1:
                raise ValueError(
                    "out_channels, steps and paddings need one entry per extra map, got {}, {}, {}".format(*lengths)
                )
            return self

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> SSDNeck:
            """The neck for a backbone that returns maps of these ``channels`` and ``strides``."""
            return SSDNeck(self, channels, strides)

    def __init__(self, config: SSDNeck.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``."""
        super().__init__()
        self.config = config
        self.l2_norm = nn.Identity() if config.scale is None else L2Norm(channels[0], config.scale)
        self.channels = (*channels, *config.out_channels)
        all_strides = list(strides)
        self.extra_layers = nn.ModuleList()
        last = len(config.out_channels) - 1
        for index, (step, padding) in enumerate(zip(config.steps, config.paddings, strict=True)):
            inputs, outputs = self.channels[len(channels) - 1 + index], config.out_channels[index]
            kernel = config.last_kernel if index == last else 3
            how: dict[str, Any] = {"norm": config.norm, "relu": not config.relu6}
            reduce = ConvNorm(inputs, outputs // 2, 1, **how)
            kind = _Separable if config.separable else ConvNorm
            self.extra_layers.append(
                nn.Sequential(reduce, kind(outputs // 2, outputs, kernel, stride=step, padding=padding, **how))
            )
            all_strides.append(all_strides[-1] * step)
        self.strides = tuple(all_strides)
        start_xavier(self)
        set_norm_eps(self, config.norm_eps)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Maps ``[N, channels[i], H_i, W_i]``, finest first, of the backbone's ``features``.

        A map that is smaller than the kernel is filled up with zeros, so that pictures of any size can be detected in.
        """
        outputs = [self.l2_norm(features[0]), *features[1:]]
        for layer in self.extra_layers:
            reduce, last = layer.children()
            steps = [last.depthwise_conv, last.pointwise_conv] if isinstance(last, _Separable) else [last]
            conv = cast(nn.Conv2d, cast(ConvNorm, steps[0]).conv)
            kernel, padding = conv.kernel_size[0], cast("tuple[int, ...]", conv.padding)[0]
            x = _at_least(self._bounded(reduce(outputs[-1])), kernel - 2 * padding)
            for step in steps:
                x = self._bounded(step(x))
            outputs.append(x)
        return outputs

    def _bounded(self, x: Tensor) -> Tensor:
        return F.relu6(x) if self.config.relu6 else x


def _at_least(x: Tensor, size: int) -> Tensor:
    """``x [N, C, H, W]`` with zeros at right and bottom where it is less than ``size`` wide or high."""
    missing = [max(0, size - x.shape[-1]), max(0, size - x.shape[-2])]
    return F.pad(x, (0, missing[0], 0, missing[1])) if max(missing) > 0 else x


class _Separable(nn.Module):
    """A convolution of each channel and a 1x1 of all."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, padding: int, **how: Any) -> None:
        super().__init__()
        self.depthwise_conv = ConvNorm(inputs, inputs, kernel, stride=stride, padding=padding, groups=inputs, **how)
        self.pointwise_conv = ConvNorm(inputs, outputs, 1, **how)


class L2Norm(nn.Module):
    """Cells of unit length over channels, times a learned weight per channel (arXiv:1506.04579, section 3.3)."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` to the same shape and type, computed in float32."""
        return (F.normalize(x.float(), dim=1, eps=1e-10) * self.weight[:, None, None]).to(x.dtype)
