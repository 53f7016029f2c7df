"""Sigmoid focal losses of anchors and of heat maps, at the memory of one logit tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.ops.boxes import full_precision


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
        total = (power * nll).mul_(scale).sum(-1)
        grad = (nll.mul_(1 - p).mul_(gamma).add_(p)).mul_(power).mul_(scale)
        # ... then the one entry per positive anchor that is not
        positive = (labels >= 0) & (labels < classes)
        slot = labels.clamp(0, classes - 1).unsqueeze(-1)
        x = logits.gather(-1, slot).squeeze(-1)
        q = torch.sigmoid(-x)
        here = positive * weights
        total = total + here * (
            alpha * q.pow(gamma) * F.softplus(-x) - (1 - alpha) * (1 - q).pow(gamma) * F.softplus(x)
        )
        true_grad = -here * alpha * q.pow(gamma) * (gamma * (1 - q) * F.softplus(-x) + q)
        was = grad.gather(-1, slot).squeeze(-1)
        grad.scatter_(-1, slot, torch.where(positive, true_grad, was).unsqueeze(-1))
        ctx.save_for_backward(grad)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grad * outer[0].unsqueeze(-1), None, None, None, None


def focal_loss(logits: Tensor, labels: Tensor, weights: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """`focal_losses` of all anchors, summed: a scalar in full precision."""
    return focal_losses(logits, labels, weights, alpha, gamma).sum()


def focal_losses(logits: Tensor, labels: Tensor, weights: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sum of the focal loss over the classes of each anchor; RetinaNet, equation 5 (arXiv:1708.02002).

    Args:
        logits: ``[..., C]``, one sigmoid per class.
        labels: int64 ``[...]``; a value outside 0..C-1 is background.
        weights: float ``[...]``, 0 leaves an anchor out.
        alpha: weight of positives; negatives have ``1 - alpha``.
        gamma: focusing exponent.

    Returns:
        ``[...]`` in full precision. Twice differentiation is not supported.
    """
    return _Focal.apply(full_precision(logits), labels, weights.float(), alpha, gamma)  # type: ignore[no-any-return]


class _HeatFocal(torch.autograd.Function):
    """As `_Focal`: one tensor is kept for the backward pass, the gradient."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, wanted: Tensor, alpha: float, gamma: float) -> Tensor:
        # with the sign turned at keypoints both kinds of cell have one formula: w s^alpha softplus(z), s = sigmoid(z)
        sign = torch.where(wanted == 1, -1.0, 1.0)
        z = logits * sign
        weights = torch.where(wanted == 1, 1.0, (1 - wanted).pow(gamma))
        s, nll = z.sigmoid(), F.softplus(z)
        weights = weights * s.pow(alpha)
        total = (weights * nll).sum()
        ctx.save_for_backward((nll.mul_(1 - s).mul_(alpha).add_(s)).mul_(weights).mul_(sign))
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grad * outer[0], None, None, None


def heat_focal_loss(logits: Tensor, wanted: Tensor, alpha: float = 2.0, gamma: float = 4.0) -> Tensor:
    """Sum of the focal loss of heat maps, which forgives cells near a keypoint.

    CornerNet, equation 1 (arXiv:1808.01244).

    Args:
        logits: any shape, one sigmoid per cell.
        wanted: of the same shape, in [0, 1]: exactly 1 at a keypoint, falling around it.
        alpha: focusing exponent.
        gamma: the weight of other cells is ``(1 - wanted) ** gamma``; the paper's beta.

    Returns:
        A scalar in full precision. Twice differentiation is not supported.
    """
    return _HeatFocal.apply(full_precision(logits), wanted, alpha, gamma)  # type: ignore[no-any-return]


def quality_focal_loss(logits: Tensor, labels: Tensor, quality: Tensor, beta: float = 2.0) -> Tensor:
    """Sum over anchors and classes of ``|quality - p| ** beta`` times the cross-entropy of p with ``quality``.

    Generalized Focal Loss, equation 2 (arXiv:2006.04388).

    Args:
        logits: ``[..., C]``, of each class that p, a sigmoid.
        labels: int64 ``[...]``; a value outside 0..C-1 is background.
        quality: ``[...]`` in [0, 1], what the anchor's class is to score; that of every other one is 0.
        beta: focusing exponent.

    Returns:
        A scalar in full precision. Twice differentiation is not supported.
    """
    x, positive, others = _others(logits, labels, 1.0, beta)
    weights = positive * (quality - x.sigmoid()).abs().pow(beta)
    return others + (weights * F.binary_cross_entropy_with_logits(x, quality.to(x), reduction="none")).sum()


def varifocal_loss(
    logits: Tensor, labels: Tensor, quality: Tensor, alpha: float = 0.75, gamma: float = 2.0, weighted: bool = True
) -> Tensor:
    """Sum over anchors and classes of a focal loss that has positives count by their quality.

    VarifocalNet, equation 2 (arXiv:2008.13367).

    Args:
        logits: as of `quality_focal_loss`.
        labels: likewise.
        quality: likewise.
        alpha: weight of negatives.
        gamma: focusing exponent of negatives.
        weighted: positives count by their quality; False: all alike.

    Returns:
        A scalar in full precision. Twice differentiation is not supported.
    """
    x, positive, others = _others(logits, labels, alpha, gamma)
    weights = positive * quality if weighted else positive
    return others + (weights * F.binary_cross_entropy_with_logits(x, quality.to(x), reduction="none")).sum()


def _others(logits: Tensor, labels: Tensor, scale: float, gamma: float) -> tuple[Tensor, Tensor, Tensor]:
    """The logit ``[...]`` of each anchor's class, whether it has one, and the focal loss of all others, times
    ``scale``.
    """
    classes = logits.shape[-1]
    positive = (labels >= 0) & (labels < classes)
    x = full_precision(logits.gather(-1, labels.clamp(0, classes - 1).unsqueeze(-1)).squeeze(-1))
    nothing = torch.full_like(labels, classes)
    all_of_them = focal_loss(logits, nothing, torch.ones_like(x), 1 - scale, gamma)
    return x, positive, all_of_them - scale * (positive * x.sigmoid().pow(gamma) * F.softplus(x)).sum()
