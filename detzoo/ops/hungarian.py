"""One-to-one matching of least total cost, with fixed slots.

The algorithm is sequential by nature, so it is one operator that runs on the host, wherever the costs are: a compiled
or exported graph sees a single call, and it is the one place of a training step that waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detzoo.ops.boxes import full_precision

_WORST = 1e30  # stands in for a cost that is no number: the loss that follows will say so


@torch.library.custom_op("detzoo::hungarian", mutates_args=(), device_types="cpu")
def _hungarian(cost: Tensor, sizes: Sequence[int]) -> Tensor:
    from scipy.optimize import linear_sum_assignment  # late: training of other methods does not need it

    table = cost.numpy()
    slots = np.full(table.shape[:2], -1, dtype=np.int64)
    for row, costs in enumerate(table):
        valid = np.flatnonzero(np.isfinite(costs[0]))
        start = 0
        for size in sizes:
            queries, columns = linear_sum_assignment(costs[start : start + size, valid])
            slots[row, start + queries] = valid[columns]
            start += size
    return torch.from_numpy(slots)


@_hungarian.register_kernel(("cuda", "mps"))
def _hungarian_elsewhere(cost: Tensor, sizes: Sequence[int]) -> Tensor:
    return torch.ops.detzoo.hungarian(cost.cpu(), sizes).to(cost.device)


@_hungarian.register_fake
def _hungarian_shape(cost: Tensor, sizes: Sequence[int]) -> Tensor:
    return cost.new_empty(cost.shape[:2], dtype=torch.int64)


@torch.no_grad()
def hungarian(cost: Tensor, valid: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
    """The object of each query, so that no two share one and the sum of their costs is least.

    Where there are more objects than queries, every query gets one and some objects none. H. W. Kuhn, The Hungarian
    Method for the Assignment Problem, 1955; scipy's implementation is that of D. F. Crouse, On Implementing 2D
    Rectangular Assignment Algorithms, 2016.

    Give it all the rows and parts of a step at once: from another device than the host it costs one wait and one copy
    of ``4 B Q G`` bytes, one of ``8 B Q`` bytes back, and on the host at most on the order of
    ``min(Q, G)^2 max(Q, G)`` steps per row and part, some 30 microseconds for 100 queries and 10 objects.

    Args:
        cost: ``[B, Q, G]`` of giving query q object g. No gradient flows through it.
        valid: bool ``[B, G]``, slots that hold an object.
        sizes: queries of each part, one after the other, each of which is matched by itself; None: all are one part.

    Returns:
        int64 ``[B, Q]``, the slot of each query's object; -1 for none.
    """
    finite = full_precision(cost).nan_to_num(nan=_WORST, posinf=_WORST, neginf=_WORST)
    # an infinite column says that there is no object, so that one tensor travels
    return torch.ops.detzoo.hungarian(finite.masked_fill(~valid.unsqueeze(1), torch.inf), sizes or [cost.shape[1]])
