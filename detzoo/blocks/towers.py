"""Towers: the convolutions that stand between the levels of a pyramid and a one-stage head's outputs."""

from __future__ import annotations

import math

from torch import nn

from detzoo.blocks.layers import ConvNorm, Deform, DeformConv, Norm

PRIOR = -math.log(99)  # logit of 1 %: classes that start there keep the first steps stable (arXiv:1708.02002, 4.1)


def tower(
    inputs: int, channels: int, convs: int, norm: Norm | None, *, bias: bool = False, deform: Deform | None = None
) -> nn.Sequential:
    """``convs`` 3 x 3 convolutions of ``channels`` with ReLU: ``[N, inputs, H, W]`` to ``[N, channels, H, W]``.

    Args:
        inputs: channels of a level.
        channels: of each convolution.
        convs: their number; without any the result is the input.
        norm: after each.
        bias: beside a norm too.
        deform: makes the last one deformable.
    """
    widths = [inputs] + [channels] * convs
    kinds = [None] * (convs - 1) + [deform]
    return nn.Sequential(
        *(
            ConvNorm(width, channels, 3, norm=norm, bias=bias, deform=kind)
            for width, kind in zip(widths[:-1], kinds[:convs], strict=True)
        )
    )


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
