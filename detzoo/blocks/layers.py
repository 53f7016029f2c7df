"""Convolution with normalization, the unit that backbones, necks and heads are made of."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from detzoo.blocks.deform import Deform, DeformConv

# "bn": batch normalization (arXiv:1502.03167); "gn": group normalization (arXiv:1803.08494)
Norm: TypeAlias = Literal["bn", "gn"]

GROUPS = 32  # of group normalization


def build_norm(kind: Norm, channels: int, *, frozen: bool = False) -> nn.Module:
    """A normalization layer for ``[N, channels, H, W]``.

    Args:
        kind: "bn" or "gn".
        channels: features to normalize; "gn" needs a multiple of 32.
        frozen: scale and offset take no gradient.
    """
    norm = nn.BatchNorm2d(channels) if kind == "bn" else nn.GroupNorm(GROUPS, channels)
    if frozen:
        norm.requires_grad_(False)
    return norm


def conv_norm(x: Tensor, conv: nn.Module, norm: nn.Module | None, relu: bool = False) -> Tensor:
    """``norm(conv(x))``, then ReLU in place if asked; ``[N, C, H, W]`` to ``[N, C', H', W']``.

    Batch normalization with fixed statistics is linear, so it is folded into the convolution:
    ``gamma (w x - mean) / sqrt(var + eps) + beta = (s w) x + (beta - s mean)`` with ``s = gamma / sqrt(var + eps)``.
    Nothing is computed or kept per pixel, and gradients of ``w``, ``gamma`` and ``beta`` stay exact. Other kinds of
    convolution or normalization are called one after the other.
    """
    if type(conv) in (nn.Conv2d, DeformConv) and isinstance(norm, _BatchNorm) and _is_linear(norm):
        x = _folded(x, cast("nn.Conv2d | DeformConv", conv), norm)
    else:
        x = conv(x)
        if norm is not None:
            x = norm(x)
    return F.relu_(x) if relu else x


def _is_linear(norm: _BatchNorm) -> bool:
    """Whether what it does is a fixed scale and shift per channel."""
    return not norm.training and norm.track_running_stats and norm.affine


def _folded(x: Tensor, conv: nn.Conv2d | DeformConv, norm: _BatchNorm) -> Tensor:
    mean, var = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight * (var + norm.eps).rsqrt()
    shift = norm.bias.addcmul(mean, scale, value=-1)
    if conv.bias is not None:
        shift = shift.addcmul(conv.bias, scale)
    weight = conv.weight * scale[:, None, None, None]
    if isinstance(conv, DeformConv):
        return conv.convolve(x, weight, shift)
    return F.conv2d(x, weight, shift, conv.stride, conv.padding, conv.dilation, conv.groups)


class ConvNorm(nn.Module):
    """Convolution, optional normalization, optional ReLU.

    Parameters are ``conv.weight``, ``conv.bias`` (only without a norm), ``conv.conv_offset.*`` (with ``deform``) and
    ``bn.*`` or ``gn.*``, as published weights name them. Padding keeps the size at stride 1.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        norm: Norm | None = None,
        relu: bool = True,
        deform: Deform | None = None,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        if deform is None:
            self.conv = nn.Conv2d(
                inputs, outputs, kernel, stride, padding, dilation=dilation, groups=groups, bias=norm is None
            )
        else:
            self.conv = DeformConv(
                deform, inputs, outputs, kernel, stride=stride, dilation=dilation, groups=groups, bias=norm is None
            )
        self.norm_name = norm
        if norm is not None:
            self.add_module(norm, build_norm(norm, outputs))
        self.relu = relu

    @property
    def norm(self) -> nn.Module | None:
        """The normalization layer, if there is one."""
        return None if self.norm_name is None else self.get_submodule(self.norm_name)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        return conv_norm(x, self.conv, self.norm, self.relu)
