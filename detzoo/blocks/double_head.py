"""Double-Head: Rethinking Classification and Localization for Object Detection, arXiv:1904.06493, 2019.

Fully connected layers tell classes apart better, and convolutions place boxes better: each does what it is good at.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import BatchNorm2d, Conv2d, ConvNorm, conv_norm
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import from_centres, to_centres
from detzoo.ops.deform_roi_pool import roi_align_beyond
from detzoo.ops.roi_align import Atlas, pyramid_levels


class DoubleHead(nn.Module):
    """The convolutions of a box head that boxes are refined from, on wider RoIs (section 3 and figure 1 d).

    Parameters are called as MMDetection calls them.
    """

    class Config(BaseConfig):
        """Settings of `DoubleHead`."""

        scale: float = Field(default=1.3, gt=0)  # of a RoI's edges around its centre
        blocks: int = Field(default=4, ge=0)  # residual blocks of three convolutions, behind a first one
        channels: int = Field(default=1024, ge=4)  # that come out; inside of the blocks a quarter of them

    def __init__(self, config: DoubleHead.Config, channels: int) -> None:
        """Build for features of ``channels``."""
        super().__init__()
        self.scale = config.scale
        self.res_block = _Widening(channels, config.channels)
        self.conv_branch = nn.ModuleList(_Bottleneck(config.channels) for _ in range(config.blocks))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def pool(self, atlas: Atlas, boxes: Tensor, size: int, sampling: int) -> Tensor:
        """Features ``[N * R, C, size, size]`` of wider ``boxes [N, R, 4]``, from the levels of the given ones."""
        middle, edges = to_centres(boxes).split(2, -1)
        wider = from_centres(torch.cat([middle, edges * self.scale], -1))
        return roi_align_beyond(atlas, wider, pyramid_levels(boxes, len(atlas.strides)), size, sampling)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """``[R, channels]`` of features ``[R, C, s, s]``; normalization learns from ``valid`` ones, bool ``[R]``."""
        x = self.res_block(x, valid)
        for block in self.conv_branch:
            x = block(x, valid)
        return x.mean((2, 3))


class _Widening(nn.Module):
    """A residual block that changes the number of channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, inputs, 3, norm="bn")
        self.conv2 = ConvNorm(inputs, outputs, 1, norm="bn", relu=False)
        self.conv_identity = ConvNorm(inputs, outputs, 1, norm="bn", relu=False)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        return F.relu_(self.conv2(self.conv1(x, valid), valid) + self.conv_identity(x, valid))


class _Bottleneck(nn.Module):
    """A residual block of three convolutions that leaves shapes as they are."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // 4
        self.conv1, self.bn1 = Conv2d(channels, width, 1, bias=False), BatchNorm2d(width)
        self.conv2, self.bn2 = Conv2d(width, width, 3, padding=1, bias=False), BatchNorm2d(width)
        self.conv3, self.bn3 = Conv2d(width, channels, 1, bias=False), BatchNorm2d(channels)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        y = conv_norm(x, self.conv1, self.bn1, relu=True, valid=valid)
        y = conv_norm(y, self.conv2, self.bn2, relu=True, valid=valid)
        return F.relu_(conv_norm(y, self.conv3, self.bn3, valid=valid) + x)
