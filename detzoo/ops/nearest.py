"""Resizing to the nearest cell with corners on corners, as PaddlePaddle 1.x does."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def nearest_on_corners(x: Tensor, size: Sequence[int]) -> Tensor:
    """``x [N, C, h, w]`` in another ``size``: of n' cells the k-th gets that of ``floor(k (n - 1) / (n' - 1) + 1/2)``.

    Twice as large it is the same as with edges on edges.
    """
    for dim, (old, new) in enumerate(zip(x.shape[2:], size, strict=True), 2):
        steps = max(1, new - 1)
        k = torch.arange(new, device=x.device)
        x = x.index_select(dim, (2 * k * (old - 1) + steps) // (2 * steps))
    return x
