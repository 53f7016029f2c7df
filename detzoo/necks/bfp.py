"""Balanced feature pyramid: levels are averaged, refined together, and given back to each.

Libra R-CNN: Towards Balanced Learning for Object Detection, arXiv:1904.02701, 2019, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import ConvNorm, start_xavier
from detzoo.config import Config as BaseConfig
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import full_precision
from detzoo.ops.nearest import nearest_on_corners


class BFP(nn.Sequential):
    """A feature pyramid and its balance: equation 4, refined by attention between all places (arXiv:1711.07971).

    Parameters are called as in published weights, where the pyramid is ``0`` and the balance ``1``.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `BFP`."""

        kind: Literal["bfp"] = "bfp"
        pyramid: FPN.Config = FPN.Config()
        level: int = Field(default=2, ge=0)  # of the pyramid, whose size the levels are averaged at
        refine: Literal["attention", "conv"] | None = "attention"  # the average; None: it stays as it is
        # the cell that a larger map gets: the nearest, or that where corners lie on corners (PaddleDetection 0.x)
        resize: Literal["nearest", "corners"] = "nearest"

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> BFP:
            """The neck of these settings for a backbone that returns maps of these ``channels`` and ``strides``."""
            return BFP(self, channels, strides)

    def __init__(self, config: BFP.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``.

        Raises:
            ValueError: the pyramid has no such level, or does not fit.
        """
        pyramid = config.pyramid.build(channels, strides)
        if config.level >= len(pyramid.channels):
            raise ValueError(f"level {config.level} is none of the pyramid's {len(pyramid.channels)}, counted from 0")
        super().__init__(pyramid, _Balance(config, pyramid.channels[0]))
        self.channels, self.strides = pyramid.channels, pyramid.strides


class _Balance(nn.Module):
    """``P_l + resize(refine(mean over levels of resize(P_l)))``; resized by maxima, or to the nearest cell."""

    def __init__(self, config: BFP.Config, channels: int) -> None:
        super().__init__()
        self.level, self.corners = config.level, config.resize == "corners"
        self.refine = None
        if config.refine is not None:
            self.refine = _Attention(channels) if config.refine == "attention" else ConvNorm(channels, channels, 3)
        start_xavier(self)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Maps ``[N, C, H_l, W_l]`` to the same shapes."""
        size, of = levels[self.level].shape[-2:], self.level
        mean = torch.stack([self._resized(x, size, of - number) for number, x in enumerate(levels)]).mean(0)
        if self.refine is not None:
            mean = self.refine(mean)
        return [x + self._resized(mean, x.shape[-2:], number - of) for number, x in enumerate(levels)]

    def _resized(self, x: Tensor, size: Sequence[int], halvings: int) -> Tensor:
        """A map ``[N, C, h, w]`` in another size: each cell of a smaller one is the largest of those below it."""
        if x.shape[-2:] == torch.Size(size):
            return x
        if self.corners and halvings > 0:
            return F.max_pool2d(x, 2**halvings, ceil_mode=True)
        if self.corners:
            return nearest_on_corners(x, size)
        height, width = size
        return F.adaptive_max_pool2d(x, (height, width)) if halvings > 0 else F.interpolate(x, (height, width))


class _Attention(nn.Module):
    """A non-local block: every place plus a mean of all places, by how well they match (equations 1 and 6)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g, self.theta, self.phi, self.conv_out = (ConvNorm(channels, channels, 1, relu=False) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        values, queries, keys = (conv(x).flatten(2).mT for conv in (self.g, self.theta, self.phi))
        weights = full_precision(queries @ keys.mT).softmax(-1).to(values.dtype)
        return x + self.conv_out((weights @ values).mT.unflatten(2, x.shape[-2:]))
