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
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, share: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean = _mean(x, share)
        centred = x - mean
        variance = _mean(centred.square(), share)
        scale = (variance + eps).rsqrt()
        y = torch.addcmul(bias[:, None, None], centred, weight[:, None, None] * scale)
        ctx.save_for_backward(x, mean, scale, weight, share)
        mean, variance = mean.flatten(), variance.flatten()
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, scale, weight, share = ctx.saved_tensors
        grad = grads[0]
        centred = x - mean
        total = grad.sum(_PLACES, keepdim=True)
        along = (grad * centred).sum(_PLACES, keepdim=True)
        # what the mean and the variance take from each place
        share = 1 / (x.numel() // x.shape[1]) if share is None else share
        of_x = torch.addcmul(grad, centred, -scale.square() * along * share)
        of_x = of_x.sub_(total * share).mul_(weight[:, None, None] * scale)
        return of_x, (along * scale).flatten(), total.flatten(), None, None


def _mean(x: Tensor, share: Tensor | None) -> Tensor:
    """Per channel, ``[1, C, 1, 1]``; ``share [N, 1, 1, 1]`` is what a place of each of N counts, evenly if None."""
    return x.mean(_PLACES, keepdim=True) if share is None else (x * share).sum(_PLACES, keepdim=True)


def batch_norm(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, share: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize channels by the batch's mean and variance (arXiv:1502.03167, algorithm 1).

    Torch's kernel for channels-last tensors on processors adds all places of a channel one after another, which costs
    four of float32's seven digits on large maps (1e-4 relative, in the gradients too). Sums here are made in a tree.

    Args:
        x: ``[N, C, H, W]``.
        weight: ``[C]``, scale.
        bias: ``[C]``, offset.
        eps: added to the variance.
        share: ``[N, 1, 1, 1]``, what a place of each of N counts in mean and variance; None: ``1 / (N H W)``.

    Returns:
        The normalized ``[N, C, H, W]``, and the batch's mean and variance (of the sample, not unbiased), each ``[C]``,
        without gradient.
    """
    y, mean, variance = _BatchNorm.apply(x, weight, bias, eps, share)
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


def batch_norm_over_ranks(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, valid: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`batch_norm` by the mean and variance of all ranks' batches together. Every rank has to call; it adds up twice.

    Args:
        x: ``[N, C, H, W]``, on every rank as many as it has.
        weight: ``[C]``, scale.
        bias: ``[C]``, offset.
        eps: added to the variance.
        valid: bool ``[N]``, whose statistics count; None: of all.

    Returns:
        As `batch_norm`, and how many values of each channel all ranks had, a scalar.
    """
    full = x.float() if x.dtype.itemsize == 2 else x
    counted = full.new_ones(x.shape[0], 1, 1, 1) if valid is None else valid.to(full.dtype).view(-1, 1, 1, 1)
    own = counted.sum().view(1) * (x.shape[2] * x.shape[3])
    sums = _Sum.apply(torch.cat([(full * counted).sum(_PLACES), own]))
    count = sums[-1].detach()
    mean = sums[:-1] / count.clamp(min=1)
    centred = full - mean[:, None, None]
    variance = _Sum.apply((centred.square() * counted).sum(_PLACES)) / count.clamp(min=1)
    scale = weight * (variance + eps).rsqrt()
    y = torch.addcmul(bias[:, None, None], centred, scale[:, None, None])
    return y.to(x.dtype), mean.detach(), variance.detach(), count
