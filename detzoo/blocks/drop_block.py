"""DropBlock: A regularization method for convolutional networks, arXiv:1810.12890, 2018."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.config import Config as BaseConfig


class DropBlock(nn.Module):
    """In training, squares of a map are zero, of each channel other ones (algorithm 1); what is left grows for it."""

    class Config(BaseConfig):
        """Settings of `DropBlock`."""

        size: Literal[1, 3, 5, 7] = 3  # cells of a square's edge
        kept: float = Field(default=0.9, gt=0, le=1)  # share of cells that stay, about

    def __init__(self, config: DropBlock.Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        if not self.training:
            return x
        size = self.config.size
        rate = (1 - self.config.kept) / size**2  # of the squares' middles: equation 1
        for edge in x.shape[-2:]:
            rate = rate * edge / max(edge - size + 1, 1)
        middles = (torch.rand_like(x) < rate).to(x.dtype)
        stays = 1 - F.max_pool2d(middles, size, stride=1, padding=size // 2)
        return x * stays * (stays.numel() / stays.sum().clamp(min=1))
