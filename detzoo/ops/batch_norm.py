"""Batch normalization by a batch's own statistics, precise on rows of channels too."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_PLACES = (0, 2, 3)  # everything but the channels


class _BatchNorm(torch.autograd.Function):
    """Normalization with its gradient; see `batch_norm`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean = x.mean(_PLACES, keepdim=True)
        centred = x - mean
        variance = centred.square().mean(_PLACES, keepdim=True)
        scale = (variance + eps).rsqrt()
        y = torch.addcmul(bias[:, None, None], centred, weight[:, None, None] * scale)
        ctx.save_for_backward(x, mean, scale, weight)
        mean, variance = mean.flatten(), variance.flatten()
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, scale, weight = ctx.saved_tensors
        grad, count = grads[0], x.numel() // x.shape[1]
        centred = x - mean
        total = grad.sum(_PLACES, keepdim=True)
        along = (grad * centred).sum(_PLACES, keepdim=True)
        of_x = torch.addcmul(grad, centred, -scale.square() * along / count)
        of_x = of_x.sub_(total / count).mul_(weight[:, None, None] * scale)
        return of_x, (along * scale).flatten(), total.flatten(), None


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize channels by the batch's mean and variance (arXiv:1502.03167, algorithm 1).

    Torch's kernel for channels-last tensors on processors adds all places of a channel one after another, which costs
    four of float32's seven digits on large maps (1e-4 relative, in the gradients too). Sums here are made in a tree.

    Args:
        x: ``[N, C, H, W]``.
        weight: ``[C]``, scale.
        bias: ``[C]``, offset.
        eps: added to the variance.

    Returns:
        The normalized ``[N, C, H, W]``, and the batch's mean and variance (of the sample, not unbiased), each ``[C]``,
        without gradient.
    """
    y, mean, variance = _BatchNorm.apply(x, weight, bias, eps)
    return y, mean, variance


class _Sum(torch.autograd.Function):
    """The sum over ranks, of values and of gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total


def batch_norm_over_ranks(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`batch_norm` by the mean and variance of all ranks' batches together. Every rank has to call; it adds up twice.

    Returns:
        As `batch_norm`, and how many values of each channel all ranks had, a scalar.
    """
    full = x.float() if x.dtype.itemsize == 2 else x
    sums = _Sum.apply(torch.cat([full.sum(_PLACES), full.new_full((1,), x.numel() // x.shape[1])]))
    count = sums[-1].detach()
    mean = sums[:-1] / count
    centred = full - mean[:, None, None]
    variance = _Sum.apply(centred.square().sum(_PLACES)) / count
    scale = weight * (variance + eps).rsqrt()
    y = torch.addcmul(bias[:, None, None], centred, scale[:, None, None])
    return y.to(x.dtype), mean.detach(), variance.detach(), count
