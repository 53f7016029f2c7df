"""Two Gaussians on a line, fitted to each of many short lists of numbers.

Fitting goes step by step, a different number of steps for each list, so it is one operator with a backend per kind of
device: on the CPU it ends when the last list does; elsewhere it takes all `STEPS`, so that the host never waits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEPS = 100
CHANGE = 1e-3  # of the mean log-likelihood; a step that changes it by less is the last
LEAST_VARIANCE = 1e-6  # is added to every variance


def split_in_two(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Which of two Gaussians each number belongs to, and how likely it is.

    Both start with half of the numbers and a variance of 1, at the lowest and at the highest number, and are fitted by
    expectation maximization. Steps end as scikit-learn's ``GaussianMixture`` ends them, whose defaults these are.

    Each step reads about ten times the ``B K`` numbers; memory is as much.

    Args:
        values: ``[B, K]``, a list in each row.
        valid: bool ``[B, K]``, slots that hold a number. A row without any is no matter.

    Returns:
        Bool ``[B, K]``, numbers that more likely belong to the first Gaussian; and ``[B, K]``, each number's
        log-likelihood. Slots without a number hold anything.
    """
    return torch.ops.detzoo.split_in_two(torch.where(valid, values.detach(), 0.0), valid)


@torch.library.custom_op("detzoo::split_in_two", mutates_args=(), device_types="cpu")
def _split(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    return _fit(values, valid, ends=True)


@_split.register_kernel(("cuda", "mps"))
def _split_elsewhere(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    return _fit(values, valid, ends=False)


@_split.register_fake
def _split_shape(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(valid), torch.empty_like(values)


def _fit(values: Tensor, valid: Tensor, ends: bool) -> tuple[Tensor, Tensor]:
    some, count = valid.unsqueeze(1), valid.sum(1, keepdim=True).clamp(min=1)
    x = values.unsqueeze(1)  # [B, 1, K]; of the two Gaussians [B, 2]
    lowest = torch.where(valid, values, torch.inf).amin(1)
    highest = torch.where(valid, values, -torch.inf).amax(1)
    mean = torch.where(valid.any(1, keepdim=True), torch.stack([lowest, highest], 1), 0.0)
    variance, share = torch.ones_like(mean), torch.full_like(mean, 0.5)
    before = torch.full_like(lowest, -torch.inf)
    going = torch.ones_like(before, dtype=torch.bool)
    least = 10 * torch.finfo(values.dtype).eps
    for _ in range(STEPS):
        each = _log_likelihood(x, mean, variance, share)
        total = each.logsumexp(1)
        part = (each - total.unsqueeze(1)).exp() * some
        size = part.sum(-1) + least
        middle = (part * x).sum(-1) / size
        spread = (part * (x - middle.unsqueeze(-1)).square()).sum(-1) / size + LEAST_VARIANCE
        goes = going.unsqueeze(1)
        mean, variance = torch.where(goes, middle, mean), torch.where(goes, spread, variance)
        share = torch.where(goes, size / size.sum(1, keepdim=True), share)
        now = torch.where(valid, total, 0.0).sum(1) / count.squeeze(1)
        going, before = going & ((now - before).abs() >= CHANGE), now
        if ends and not going.any():
            break
    each = _log_likelihood(x, mean, variance, share)
    return each[:, 0] >= each[:, 1], each.logsumexp(1)


def _log_likelihood(x: Tensor, mean: Tensor, variance: Tensor, share: Tensor) -> Tensor:
    """``[B, 2, K]`` of numbers ``[B, 1, K]`` in each Gaussian, times its share."""
    apart = (x - mean.unsqueeze(-1)).square() / variance.unsqueeze(-1)
    return (share.log() - 0.5 * (math.log(2 * math.pi) + variance.log())).unsqueeze(-1) - 0.5 * apart
