"""Towers: the convolutions that stand between the levels of a pyramid, or RoIs, and a head's outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from detzoo.blocks.layers import Conv2d, ConvNorm, Deform, DeformConv, Norm, build_norm, conv_norm

PRIOR = -math.log(99)  # logit of 1 %: classes that start there keep the first steps stable (arXiv:1708.02002, 4.1)


def tower(
    inputs: int,
    channels: int,
    convs: int,
    norm: Norm | None,
    *,
    bias: bool = False,
    deform: Deform | None = None,
    deform_all: bool = False,
    standardize: bool = False,
) -> nn.Sequential:
    """``convs`` 3 x 3 convolutions of ``channels`` with ReLU: ``[N, inputs, H, W]`` to ``[N, channels, H, W]``.

    Args:
        inputs: channels of a level.
        channels: of each convolution.
        convs: their number; without any the result is the input.
        norm: after each.
        bias: beside a norm too.
        deform: makes the last one deformable.
        deform_all: makes all of them so.
        standardize: weights of those that are not deformed; see `StandardizedConv2d`.
    """
    widths = [inputs] + [channels] * convs
    kinds = [deform if deform_all else None] * (convs - 1) + [deform]
    return nn.Sequential(
        *(
            ConvNorm(width, channels, 3, norm=norm, bias=bias, deform=kind, standardize=standardize)
            for width, kind in zip(widths[:-1], kinds[:convs], strict=True)
        )
    )


def searched_tower(inputs: int, channels: int, norm: Norm | None) -> nn.Sequential:
    """The four convolutions with ReLU that NAS-FCOS found (arXiv:1906.04423, section 4.2), of shapes as of `tower`.

    Two 3 x 3 ones are deformable and have a bias beside the norm, too; the last one is 1 x 1.
    """
    deform = Deform(version=2, groups=2)
    return nn.Sequential(
        ConvNorm(inputs, channels, 3, norm=norm, bias=True, deform=deform),
        ConvNorm(channels, channels, 3, norm=norm),
        ConvNorm(channels, channels, 3, norm=norm, bias=True, deform=deform),
        ConvNorm(channels, channels, 1, norm=norm),
    )


class LevelTower(nn.Module):
    """The convolutions of `tower`, which all levels of a pyramid share, with normalization that is each level's own.

    NAS-FPN's RetinaNet (arXiv:1904.07392, section 4.1) has such: batch statistics of levels differ. Parameters are
    ``convs.<number>.*`` and ``norms.<number>.<level>.*``.
    """

    def __init__(self, inputs: int, channels: int, convs: int, norm: Norm, levels: int) -> None:
        """Build for ``levels`` maps of ``inputs`` channels."""
        super().__init__()
        widths = [inputs] + [channels] * convs
        self.convs = nn.ModuleList(Conv2d(width, channels, 3, padding=1, bias=False) for width in widths[:convs])
        self.norms = nn.ModuleList(
            nn.ModuleList(build_norm(norm, channels) for _ in range(levels)) for _ in range(convs)
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Levels ``[N, inputs, H, W]``, of which each becomes ``[N, channels, H, W]``."""
        levels = list(features)
        for conv, norms in zip(self.convs, self.norms, strict=True):
            own = cast("Sequence[nn.Module]", norms)
            levels = [conv_norm(level, conv, norm, relu=True) for level, norm in zip(levels, own, strict=True)]
        return levels


def along(tower: nn.Module, features: Sequence[Tensor]) -> list[Tensor]:
    """What a `tower` or a `LevelTower` makes of each level ``[N, inputs, H, W]``: ``[N, channels, H, W]``."""
    return tower(features) if isinstance(tower, LevelTower) else [tower(level) for level in features]


def start_small(*parts: nn.Module) -> None:
    """Draw the convolutions' weights around zero, with a standard deviation of 0.01, and set their biases to zero.

    Deformable ones start undeformed.
    """
    for part in parts:
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d | DeformConv):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for layer in part.modules():
            if isinstance(layer, DeformConv):
                layer.start_undeformed()
