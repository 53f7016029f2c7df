"""The module that lets a cell know the edges of the object whose corner it is."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import ConvNorm
from detzoo.ops.corner_pool import Direction, corner_pool


class CornerPooling(nn.Module):
    """Two corner poolings, added, beside a shortcut: CornerNet, figures 7 and 11 (arXiv:1808.01244).

    Takes and returns ``[N, C, H, W]``. Parameters are named as MMDetection names them.
    """

    def __init__(self, channels: int, pooled: int, directions: tuple[Direction, Direction]) -> None:
        """``channels`` C are taken and returned; ``pooled`` are looked at along each of the two ``directions``."""
        super().__init__()
        self.directions = directions
        self.direction1_conv = ConvNorm(channels, pooled, 3, norm="bn")
        self.direction2_conv = ConvNorm(channels, pooled, 3, norm="bn")
        self.aftpool_conv = ConvNorm(pooled, channels, 3, norm="bn", relu=False)
        self.conv1 = ConvNorm(channels, channels, 1, norm="bn", relu=False)  # the shortcut
        self.conv2 = ConvNorm(channels, channels, 3, norm="bn")
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[N, C, H, W]`` to features of the same shape."""
        first, second = self.directions
        pooled = corner_pool(self.direction1_conv(x), first) + corner_pool(self.direction2_conv(x), second)
        return self.conv2(F.relu_(self.aftpool_conv(pooled) + self.conv1(x)))
