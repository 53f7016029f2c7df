"""A pyramid of few channels with context modules behind it, for faces.

Feature Pyramid Networks, arXiv:1612.03144, 2016; SSH: Single Stage Headless Face Detector, arXiv:1708.03979, 2017;
together in PaddleDetection's BlazeFace-FPN-SSH.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import ConvNorm, start_he
from detzoo.config import Config as BaseConfig

SLOPE = 0.01  # of leaky ReLUs below zero


class FPNSSH(nn.Module):
    """All maps at half of the last one's channels, merged top-down, then each through a context module of its own.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `FPNSSH`: only its name."""

        kind: Literal["fpn_ssh"] = "fpn_ssh"

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> FPNSSH:
            """The neck for a backbone that returns maps of these ``channels`` and ``strides``."""
            return FPNSSH(channels, strides)

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``, finest first.

        Raises:
            ValueError: the last map's channels are no multiple of 8.
        """
        super().__init__()
        width, rest = divmod(channels[-1], 2)
        if rest or width % 4:
            raise ValueError(f"fpn_ssh needs a last map with a multiple of 8 channels, not {channels[-1]}")
        self.laterals = nn.ModuleList(ConvNorm(inputs, width, 1, norm="bn", slope=SLOPE) for inputs in channels)
        self.merges = nn.ModuleList(ConvNorm(width, width, 3, norm="bn", slope=SLOPE) for _ in channels[1:])
        self.contexts = nn.ModuleList(_Context(width) for _ in channels)
        self.channels, self.strides = (width,) * len(channels), tuple(strides)
        start_he(self)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Maps ``[N, channels[i], H_i, W_i]`` of the sizes of the backbone's ``features``, finest first."""
        maps = [lateral(feature) for lateral, feature in zip(self.laterals, features, strict=True)]
        for level in range(len(maps) - 2, -1, -1):
            coarser = F.interpolate(maps[level + 1], maps[level].shape[-2:], mode="nearest")
            maps[level] = self.merges[level](maps[level] + coarser)
        return [context(x) for context, x in zip(self.contexts, maps, strict=True)]


class _Context(nn.Module):
    """Views of 3x3, 5x5 and 7x7 cells side by side, of 3x3 convolutions in a row (arXiv:1708.03979, figure 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (width, width // 2, *(width // 4 for _ in range(4)))
        self.convs = nn.ModuleList(
            ConvNorm(inputs, outputs, 3, norm="bn", slope=SLOPE, relu=number % 2 == 1)
            for number, (inputs, outputs) in enumerate(pairwise(widths))
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[N, width, H, W]`` to the same shape."""
        views = []
        for conv in self.convs:
            x = conv(x)
            views.append(x)
        return F.relu_(torch.cat(views[::2], 1))
