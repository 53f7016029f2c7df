"""The side-aware head of Side-Aware Boundary Localization, arXiv:1912.04260, 2019: what tells where sides of a RoI are.

Boxes are not moved as a whole: each side is looked for on its own, in features pooled along it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import Conv2d, ConvNorm
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.side_buckets import NEAREST, bucket_losses, per_side, place
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import clip


class SideAware(nn.Module):
    """Finds the best bucket of each side of a RoI, and the side's offset from its line (section 3.1 and figure 3).

    Parameters are called as MMDetection calls them.
    """

    class Config(BaseConfig):
        """Settings of `SideAware`."""

        convs: int = Field(default=2, ge=0)  # before the features are pooled along a side
        line_convs: int = Field(default=1, ge=0)  # after that
        upsampling: int = Field(default=2, ge=2)  # buckets in a row for each bin of the RoI
        scale: float = Field(default=1.7, gt=0)  # of the RoI that the buckets lie around
        weight: float = Field(default=1.0, ge=0)  # of the loss of buckets

    def __init__(self, config: SideAware.Config, channels: int, size: int) -> None:
        """Build for features ``[channels, size, size]`` of a RoI.

        Raises:
            ValueError: a side would have a single bucket.
        """
        super().__init__()
        self.config = config
        self.count = size * config.upsampling
        if per_side(self.count) < NEAREST:
            raise ValueError(f"each side has to have {NEAREST} buckets or more: size or upsampling has to be larger")
        self.reg_pre_convs = nn.ModuleList(ConvNorm(channels, channels, 3) for _ in range(config.convs))
        self.reg_conv_att_x, self.reg_conv_att_y = Conv2d(channels, 1, 1), Conv2d(channels, 1, 1)
        self.reg_post_conv_xs = nn.ModuleList(_LineConv(channels, (1, 3)) for _ in range(config.line_convs))
        self.reg_post_conv_ys = nn.ModuleList(_LineConv(channels, (3, 1)) for _ in range(config.line_convs))
        times = config.upsampling
        self.upsample_x = nn.ConvTranspose1d(channels, channels, times, stride=times)
        self.upsample_y = nn.ConvTranspose1d(channels, channels, times, stride=times)
        self.fc_reg_cls, self.fc_reg_offset = nn.Linear(channels, 1), nn.Linear(channels, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose1d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.get_parameter("bias"))
        for layer in (self.reg_conv_att_x, self.reg_conv_att_y, self.fc_reg_cls):
            nn.init.normal_(layer.weight, std=0.01)
        nn.init.normal_(self.fc_reg_offset.weight, std=0.001)
        nn.init.zeros_(self.fc_reg_cls.bias)
        nn.init.zeros_(self.fc_reg_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of each side's B buckets and offsets from their lines, ``[R, 4, 2, B]``, of ``x [R, C, s, s]``."""
        for conv in self.reg_pre_convs:
            x = conv(x)
        across = _line(x, 2, self.reg_conv_att_x, self.reg_post_conv_xs, self.upsample_x)
        down = _line(x, 3, self.reg_conv_att_y, self.reg_post_conv_ys, self.upsample_y)
        lines = torch.stack([across, down], 1).transpose(2, 3)  # [R, axis, buckets in a row, C]
        told = torch.cat([self.fc_reg_cls(lines), self.fc_reg_offset(lines)], -1).transpose(2, 3)
        # from either end, as far as the middle
        ends = torch.stack([told, told.flip(-1)], 2)[..., : per_side(self.count)]
        return ends.flatten(1, 2)

    def losses(
        self, told: Tensor, boxes: Tensor, objects: Tensor, learns: Tensor, count: Tensor, config: BoxLoss
    ) -> dict[str, Tensor]:
        """``loss_bbox_cls`` of the buckets and ``loss_bbox_reg`` of the offsets, over ``count`` RoIs.

        Args:
            told: what `forward` gave, ``[N, R, 4, 2, B]``.
            boxes: the RoIs, ``[N, R, 4]``.
            objects: that they should find, alike.
            learns: bool ``[N, R]``, which are to find one.
            count: scalar.
            config: loss of the offsets.
        """
        logits, offsets = told.unbind(-2)
        scale = self.config.scale
        chosen, moved = bucket_losses(logits, offsets, boxes, objects, learns, self.count, scale, config)
        return {"loss_bbox_cls": chosen / (count * 4) * self.config.weight, "loss_bbox_reg": moved / count}

    def place(self, boxes: Tensor, told: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """The boxes ``[N, R, 4]`` that are found, and how sure their sides are, ``[N, R]`` in [0, 1].

        Args:
            boxes: the RoIs.
            told: what `forward` gave, ``[N, R, 4, 2, B]``.
            sizes: height and width of the images ``[N, 2]``; boxes end a pixel before that, as published.
        """
        logits, offsets = told.unbind(-2)
        found, sure = place(boxes, logits, offsets, self.count, self.config.scale)
        return clip(found, sizes - 1), sure


class _LineConv(nn.Module):
    """A convolution along a line, and a ReLU."""

    def __init__(self, channels: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.conv = Conv2d(channels, channels, kernel, padding=(kernel[0] // 2, kernel[1] // 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.conv(x))


def _line(x: Tensor, along: int, attention: nn.Module, convs: Iterable[nn.Module], upsample: nn.Module) -> Tensor:
    """Features ``[R, C, s, s]`` summed up ``along`` a dimension, by attention, then finer: ``[R, C, buckets]``."""
    share = attention(x).sigmoid()
    x = (x * (share / share.sum(along, keepdim=True))).sum(along, keepdim=True)
    for conv in convs:
        x = conv(x)
    return F.relu_(upsample(x.squeeze(along)))
