"""Places within groups, by sorting: no loop over the groups, and no shape that depends on their sizes."""

from __future__ import annotations

import torch
from torch import Tensor


def places(group: Tensor, *values: Tensor) -> Tensor:
    """The place of each among those of its group, from 0 on, int64 ``[N, A]``.

    Args:
        group: integers ``[N, A]``; rows never touch each other.
        values: ``[N, A]`` each, at least one. The place is that by rising first value, and where that is equal by the
            next one.
    """
    order = values[-1].sort(1).indices
    for value in (*values[-2::-1], group):
        order = order.gather(1, value.gather(1, order).sort(dim=1, stable=True).indices)
    ordered = group.gather(1, order)
    place = torch.arange(group.shape[1], device=group.device) - torch.searchsorted(ordered, ordered)
    return torch.zeros_like(place).scatter(1, order, place)
