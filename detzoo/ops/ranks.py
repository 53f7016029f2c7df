"""The one thing a loss must know about training on several devices: its normalizer counts over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist
from torch import Tensor

_alone = False


def mean_over_ranks(count: Tensor, floor: float = 0.0) -> Tensor:
    """A loss normalizer (positives, weights, boxes, pixels) averaged over the ranks of a distributed run.

    Averaging gradients over W ranks gives ``1/W * sum_r grad(S_r) / d`` for a loss that is a sum ``S_r`` divided by
    ``d``. One rank with all the images computes ``sum_r grad(S_r) / sum_r count_r``. The two are the same exactly when
    ``d`` is the mean of the counts, so every loss that divides by a count divides by this instead.

    Args:
        count: any shape and type, on the device; no gradient flows through it.
        floor: least value of the count over the whole run's batch, mostly 1 to keep from dividing by zero. A clamp
            after the call would not do: with 1 positive on 4 ranks the mean is 0.25 and has to stay that.

    Returns:
        float32 of the same shape: ``max(sum over ranks, floor) / ranks``. Without `torch.distributed`, and inside
        `alone`, that is ``max(count, floor)`` and costs no communication. Never waits for the device.
    """
    total = count.detach().float()
    if _alone or not (dist.is_available() and dist.is_initialized()):
        return total.clamp(min=floor)
    total = total.clone()
    dist.all_reduce(total)
    return total.clamp(min=floor) / dist.get_world_size()


@contextmanager
def alone() -> Iterator[None]:
    """Inside, `mean_over_ranks` looks at this rank only: for losses that not every rank computes, as in validation."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


__all__ = ["alone", "mean_over_ranks"]
