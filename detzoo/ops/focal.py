"""Sigmoid focal loss for dense one-class-per-anchor targets, at the memory of one logit tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class _Focal(torch.autograd.Function):
    """The gradient is written down while the loss is computed, so no intermediate is kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, weights: Tensor, alpha: float, gamma: float) -> Tensor:
        classes = logits.shape[-1]
        # every entry as a negative ...
        p = logits.sigmoid()
        nll = F.softplus(logits)
        power = p.pow(gamma)
        scale = weights.unsqueeze(-1) * (1 - alpha)
        total = (power * nll).mul_(scale).sum()
        grad = (nll.mul_(1 - p).mul_(gamma).add_(p)).mul_(power).mul_(scale)
        # ... then the one entry per positive anchor that is not
        positive = (labels >= 0) & (labels < classes)
        slot = labels.clamp(0, classes - 1).unsqueeze(-1)
        x = logits.gather(-1, slot).squeeze(-1)
        q = torch.sigmoid(-x)
        here = positive * weights
        total = (
            total
            + (here * (alpha * q.pow(gamma) * F.softplus(-x) - (1 - alpha) * (1 - q).pow(gamma) * F.softplus(x))).sum()
        )
        true_grad = -here * alpha * q.pow(gamma) * (gamma * (1 - q) * F.softplus(-x) + q)
        was = grad.gather(-1, slot).squeeze(-1)
        grad.scatter_(-1, slot, torch.where(positive, true_grad, was).unsqueeze(-1))
        ctx.save_for_backward(grad)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grad * outer[0], None, None, None, None


def focal_loss(logits: Tensor, labels: Tensor, weights: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sum of the focal loss over anchors and classes; RetinaNet, equation 5 (arXiv:1708.02002).

    Args:
        logits: ``[..., C]``, one sigmoid per class.
        labels: int64 ``[...]``; a value outside 0..C-1 is background.
        weights: float ``[...]``, 0 leaves an anchor out.
        alpha: weight of positives; negatives have ``1 - alpha``.
        gamma: focusing exponent.

    Returns:
        A float32 scalar. Twice differentiation is not supported.
    """
    return _Focal.apply(logits.float(), labels, weights.float(), alpha, gamma)  # type: ignore[no-any-return]
