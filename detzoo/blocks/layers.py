"""Convolution with normalization, the unit that backbones, necks and heads are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from detzoo.blocks.losses import ranks_together
from detzoo.config import Config as BaseConfig
from detzoo.ops.batch_norm import batch_norm, batch_norm_over_ranks
from detzoo.ops.boxes import full_precision
from detzoo.ops.deform_conv import deform_conv
from detzoo.ops.planes import as_planes

# "bn": batch normalization (arXiv:1502.03167); "gn": group normalization (arXiv:1803.08494)
Norm: TypeAlias = Literal["bn", "gn"]

GROUPS = 32  # of group normalization


class BatchNorm2d(nn.BatchNorm2d):
    """``torch.nn.BatchNorm2d``, but precise on processors where features are channels-last; see `batch_norm`."""

    over_ranks = False  # normalize by the batches of all ranks of a distributed run, as `share_statistics` sets it
    biased = False  # the running variance follows that of the batches themselves, as `follow_batches` sets it

    def forward(self, input: Tensor, valid: Tensor | None = None) -> Tensor:
        """``[N, C, H, W]`` to the same shape; a batch's statistics are those of its ``valid`` ones, bool ``[N]``.

        Raises:
            ValueError: in training, a channel has one value, which its own mean takes away.
        """
        learning = self.training and self.affine and self.track_running_stats
        if learning and self.over_ranks and ranks_together():
            y, mean, variance, count = batch_norm_over_ranks(input, self.weight, self.bias, self.eps, valid)
            self._learn(mean, variance, count)
            return y
        if learning and valid is None and input.shape[0] * input.shape[2] * input.shape[3] == 1:
            raise ValueError(
                "batch normalization cannot learn from one image on a map of one cell: have more images per device "
                "(schedule.batch=2), or those of all devices together (schedule.sync_bn=true), or keep its statistics "
                "(model.backbone.norm_eval=true, if it is the backbone's)"
            )
        rows = input.device.type == "cpu" and input.dtype == torch.float32 and not input.is_contiguous()
        if not learning or (valid is None and not rows):
            return self._by_batches(input) if learning and self.biased else super().forward(input)
        x, cells = full_precision(input), input.shape[2] * input.shape[3]
        if valid is None:
            count, share = x.new_full((), cells * input.shape[0]), None
        else:
            count = valid.sum().to(x.dtype) * cells
            share = valid.to(x.dtype).view(-1, 1, 1, 1) / count.clamp(min=1)
        y, mean, variance = batch_norm(x, self.weight, self.bias, self.eps, share)
        self._learn(mean, variance, count)
        return y.to(input.dtype)

    def _by_batches(self, input: Tensor) -> Tensor:
        """What the usual forward pass gives and learns, where `biased`."""
        cast(Tensor, self.num_batches_tracked).add_(1)
        variance, rate = cast(Tensor, self.running_var), cast(float, self.momentum)
        wide = variance.clone()
        y = F.batch_norm(input, self.running_mean, wide, self.weight, self.bias, True, rate, self.eps)
        # of a batch of n values it has learned n / (n - 1) times the variance
        variance.copy_(torch.lerp(wide, variance * (1 - rate), 1 / (input.shape[0] * input.shape[2:].numel())))
        return y

    def _learn(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics towards those of ``count`` values of each channel; none teach nothing."""
        seen = cast(Tensor, self.num_batches_tracked).add_(1)
        rate = (1 / seen if self.momentum is None else self.momentum) * (count > 0).to(mean.dtype)
        cast(Tensor, self.running_mean).lerp_(mean, rate)
        wider = 1 if self.biased else count / (count - 1).clamp(min=1)
        cast(Tensor, self.running_var).lerp_(variance * wider, rate)


def share_statistics(network: nn.Module, over_ranks: bool) -> None:
    """Let batch normalization in training see the batches of all ranks of a distributed run, or its own alone."""
    for module in network.modules():
        if isinstance(module, BatchNorm2d):
            module.over_ranks = over_ranks


def follow_batches(network: nn.Module) -> None:
    """Have batch normalization keep the mean variance of its batches, as Paddle's does.

    PyTorch's keeps what they tell of all pictures: the variance of n values times n / (n - 1).
    """
    for module in network.modules():
        if isinstance(module, BatchNorm2d):
            module.biased = True


def build_norm(kind: Norm, channels: int, *, frozen: bool = False) -> nn.Module:
    """A normalization layer for ``[N, channels, H, W]``.

    Args:
        kind: "bn" or "gn".
        channels: features to normalize; "gn" needs a multiple of 32.
        frozen: scale and offset take no gradient.
    """
    norm = BatchNorm2d(channels) if kind == "bn" else nn.GroupNorm(GROUPS, channels)
    if frozen:
        norm.requires_grad_(False)
    return norm


def set_norm_eps(network: nn.Module, eps: float) -> None:
    """Have all normalization of a network add ``eps`` to the variance."""
    for module in network.modules():
        if isinstance(module, BatchNorm2d | nn.GroupNorm):
            module.eps = eps


def start_he(network: nn.Module) -> None:
    """Draw the weights of all convolutions of a network as arXiv:1502.01852 does, by what follows them."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def start_xavier(network: nn.Module) -> None:
    """Draw the weights of all convolutions of a network as Glorot and Bengio (2010) do; their biases start at zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class _Conv2d(torch.autograd.Function):
    """A convolution whose weights' gradient is computed on planes.

    On processors a forward pass is fastest on rows of channels (channels-last), but the gradient of the weights is then
    up to seven times slower than on planes: a copy of both maps costs a tenth of that.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.settings = settings
        ctx.bias_sizes = None if bias is None else list(bias.shape)
        return torch.conv2d(x, weight, bias, *settings)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        settings = (ctx.bias_sizes, stride, padding, dilation, False, [0, 0], groups)
        wanted = ctx.needs_input_grad
        of_x = of_weight = of_bias = None
        if wanted[1] or wanted[2]:  # first: the copies are gone before there is a gradient of the input, too
            mask = [False, wanted[1], wanted[2]]
            shape = torch.empty_like(weight, memory_format=torch.contiguous_format)  # nothing else of it matters here
            planes = (as_planes(grads[0]), as_planes(x), shape)
            _, of_weight, of_bias = torch.ops.aten.convolution_backward(*planes, *settings, mask)
            del planes
        if wanted[0]:
            mask = [True, False, False]
            of_x = torch.ops.aten.convolution_backward(grads[0], x, weight, *settings, mask)[0]
        return of_x, of_weight, of_bias, None, None, None, None


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """``torch.nn.functional.conv2d`` with a faster gradient on processors; ``[N, C, H, W]`` to ``[N, C', H', W']``."""
    # a kernel or a map of one cell has no layout
    learning = torch.is_grad_enabled() and weight.requires_grad and weight.shape[-1] > 1 and x.shape[-2:].numel() > 1
    if learning and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
        return cast(Tensor, _Conv2d.apply(x, weight, bias, stride, padding, dilation, groups))
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups)


def in_type_of(conv: nn.Module, x: Tensor) -> Tensor:
    """``x`` of any shape in the type of a convolution's weights, where those are held in half precision."""
    weight = getattr(conv, "weight", x)
    return x.to(weight.dtype) if weight.dtype.itemsize == 2 else x


class Conv2d(nn.Conv2d):
    """``torch.nn.Conv2d`` through `conv2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        padding = cast("tuple[int, ...]", self.padding)
        input = in_type_of(self, input)
        return conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


def standardized(weight: Tensor, eps: float = 1e-5) -> Tensor:
    """Weights ``[outputs, inputs, k, k]`` of mean 0 and deviation 1 per output, ``(w - mean) / (std + eps)``.

    Weight Standardization, arXiv:1903.10520; the deviation is that of a sample, which divides by one less.
    """
    exact = full_precision(weight)
    std, mean = torch.std_mean(exact, (1, 2, 3), keepdim=True)
    return ((exact - mean) / (std + eps)).to(weight.dtype)


class StandardizedConv2d(Conv2d):
    """A convolution by `standardized` weights; its parameters are called as those of an ordinary one."""

    def forward(self, input: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        padding = cast("tuple[int, ...]", self.padding)
        weight, input = standardized(self.weight), in_type_of(self, input)
        return conv2d(input, weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Deform(BaseConfig):
    """How a convolution is deformed."""

    version: Literal[1, 2] = 1  # 1: by shifts (arXiv:1703.06211); 2: what is read is scaled, too (arXiv:1811.11168)
    groups: int = Field(default=1, ge=1)  # of channels, each with shifts of its own


class DeformConv(nn.Module):
    """A square convolution whose shifts, and in version 2 scales, an ordinary convolution finds in the same input.

    Parameters are ``weight``, ``bias`` (if asked) and ``conv_offset.*``, as published weights name them. The latter
    start at zero: a fresh layer is the ordinary convolution, in version 2 halved.
    """

    def __init__(
        self,
        config: Deform,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        *,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        """Build for ``inputs`` and ``outputs`` channels."""
        super().__init__()
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.shifts = 2 * config.groups * kernel**2  # of `conv_offset`'s outputs; the others are scales
        # an ordinary convolution knows how to make and fill these two
        plain = nn.Conv2d(inputs, outputs, kernel, groups=groups, bias=bias)
        self.weight, self.bias = plain.weight, plain.bias
        numbers = (1 + config.version) * config.groups * kernel**2
        self.conv_offset = Conv2d(inputs, numbers, kernel, stride, padding, dilation)
        self.start_undeformed()

    def start_undeformed(self) -> None:
        """Set every shift to zero and every scale to one half."""
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        return self.convolve(x, self.weight, self.bias)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`forward` with another ``weight [outputs, inputs / groups, k, k]`` and ``bias [outputs]``."""
        found = self.conv_offset(x)
        # version 1 has no scales
        mask = found[:, self.shifts :].sigmoid() if found.shape[1] > self.shifts else None
        return deform_conv(
            x,
            found[:, : self.shifts],
            weight,
            bias,
            mask,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )


def conv_norm(
    x: Tensor,
    conv: nn.Module,
    norm: nn.Module | None,
    relu: bool = False,
    slope: float = 0.0,
    valid: Tensor | None = None,
) -> Tensor:
    """``norm(conv(x))``, then ReLU in place if asked; ``[N, C, H, W]`` to ``[N, C', H', W']``.

    With a ``slope`` it is the leaky ReLU, which has this slope below zero. ``valid``: see `BatchNorm2d`.

    Batch normalization with fixed statistics is linear, so it is folded into the convolution:
    ``gamma (w x - mean) / sqrt(var + eps) + beta = (s w) x + (beta - s mean)`` with ``s = gamma / sqrt(var + eps)``.
    Nothing is computed or kept per pixel, and gradients of ``w``, ``gamma`` and ``beta`` stay exact. Other kinds of
    convolution or normalization are called one after the other.
    """
    x = in_type_of(conv, x)
    known = type(conv) in (nn.Conv2d, Conv2d, DeformConv)
    if known and isinstance(norm, _BatchNorm) and _is_linear(norm):
        x = _folded(x, cast("nn.Conv2d | DeformConv", conv), norm)
    else:
        x = conv(x)
        if valid is not None and isinstance(norm, BatchNorm2d):
            x = norm(x, valid)
        elif norm is not None:
            x = norm(x)
    if relu:
        return F.leaky_relu_(x, slope) if slope else F.relu_(x)
    return x


def _is_linear(norm: _BatchNorm) -> bool:
    """Whether what it does is a fixed scale and shift per channel."""
    return not norm.training and norm.track_running_stats and norm.affine


def _folded(x: Tensor, conv: nn.Conv2d | DeformConv, norm: _BatchNorm) -> Tensor:
    mean, var = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight * (var + norm.eps).rsqrt()
    shift = norm.bias.addcmul(mean, scale, value=-1)
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    # rounded once, to the type of the weights, where normalization is held in a wider one
    weight, shift = (part.to(conv.weight.dtype) for part in (conv.weight * scale[:, None, None, None], shift))
    if isinstance(conv, DeformConv):
        return conv.convolve(x, weight, shift)
    padding = cast("tuple[int, ...]", conv.padding)
    return conv2d(x, weight, shift, conv.stride, padding, conv.dilation, conv.groups)


def fuse_levels(levels: Sequence[Tensor], convs: Iterable[nn.Module], level: int) -> Tensor:
    """The sum of pyramid levels at the size of one of them, each through a convolution of its own.

    Args:
        levels: ``[N, C, H_l, W_l]`` each; they are resized bilinearly, corners on corners.
        convs: one for each level, which keeps its size.
        level: the one whose size is kept.

    Returns:
        ``[N, C', H_level, W_level]``.
    """
    size = levels[level].shape[-2:]
    total = 0
    for number, (conv, x) in enumerate(zip(convs, levels, strict=True)):
        total = total + conv(x if number == level else F.interpolate(x, size, mode="bilinear", align_corners=True))
    return cast(Tensor, total)


class ResidualPair(nn.Module):
    """Two 3x3 convolutions with a ReLU between and a shortcut around them; SCNet (arXiv:2012.10150), section 3.

    Parameters are ``conv1.*``, ``conv2.*`` and of the normalizations ``bn1.*``, ``bn2.*``, or ``gn1`` and ``gn2``.
    """

    def __init__(self, channels: int, norm: Norm | None = None) -> None:
        super().__init__()
        self.norms = () if norm is None else (f"{norm}1", f"{norm}2")
        self.conv1 = Conv2d(channels, channels, 3, padding=1, bias=norm is None)
        self.conv2 = Conv2d(channels, channels, 3, padding=1, bias=norm is None)
        for name in self.norms:
            self.add_module(name, build_norm(name[:2], channels))  # pyright: ignore[reportArgumentType] (it is a `Norm`)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """``[N, C, H, W]`` to the same shape; ``valid``: see `BatchNorm2d`."""
        first, second = map(self.get_submodule, self.norms) if self.norms else (None, None)
        return x + conv_norm(conv_norm(x, self.conv1, first, relu=True, valid=valid), self.conv2, second, valid=valid)


class ConvNorm(nn.Module):
    """Convolution, optional normalization, optional ReLU.

    Parameters are ``conv.weight``, ``conv.bias`` (without a norm, or with ``bias``), ``conv.conv_offset.*`` (with
    ``deform``) and ``bn.*`` or ``gn.*``, as published weights name them. Padding keeps the size at stride 1, unless it
    is given. ``slope`` is that of a leaky ReLU below zero. ``standardize`` makes the convolution, unless it is
    deformed, a `StandardizedConv2d`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        norm: Norm | None = None,
        relu: bool = True,
        slope: float = 0.0,
        bias: bool = False,
        deform: Deform | None = None,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        bias = bias or norm is None
        padding = dilation * (kernel // 2) if padding is None else padding
        if deform is None:
            kind = StandardizedConv2d if standardize else Conv2d
            self.conv = kind(inputs, outputs, kernel, stride, padding, dilation=dilation, groups=groups, bias=bias)
        else:
            self.conv = DeformConv(
                deform, inputs, outputs, kernel, stride, padding, dilation=dilation, groups=groups, bias=bias
            )
        self.norm_name = norm
        if norm is not None:
            self.add_module(norm, build_norm(norm, outputs))
        self.relu = relu
        self.slope = slope

    @property
    def norm(self) -> nn.Module | None:
        """The normalization layer, if there is one."""
        return None if self.norm_name is None else self.get_submodule(self.norm_name)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``; ``valid``: see `BatchNorm2d`."""
        return conv_norm(x, self.conv, self.norm, self.relu, self.slope, valid)


class FeatureAdaption(nn.Module):
    """A 3x3 convolution that reads where the shape of its cell's box says; Guided Anchoring,
    section 3.4 (arXiv:1901.03278).

    Parameters are ``conv_offset.*`` and ``conv_adaption.*``, as published weights name them.
    """

    def __init__(self, inputs: int, outputs: int, groups: int = 4, told: int = 2, relu: bool = True) -> None:
        """Build for ``inputs`` and ``outputs`` channels, ``groups`` of them with shifts of their own, and ``told``
        numbers of a shape.
        """
        super().__init__()
        self.relu = relu
        self.conv_offset = nn.Conv2d(told, groups * 18, 1, bias=False)
        self.conv_adaption = Conv2d(inputs, outputs, 3, padding=1, bias=False)
        nn.init.normal_(self.conv_offset.weight, std=0.1)
        nn.init.normal_(self.conv_adaption.weight, std=0.01)

    def forward(self, x: Tensor, shapes: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` and predicted shapes ``[N, told, H, W]`` to ``[N, outputs, H, W]``."""
        shifts = self.conv_offset(shapes)
        x = deform_conv(in_type_of(self.conv_adaption, x), shifts, self.conv_adaption.weight, padding=1)
        return F.relu_(x) if self.relu else x
