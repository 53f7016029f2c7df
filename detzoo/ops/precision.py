"""The precision in which results are made: never less than float32, whatever the network computes in."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """``x`` in float32; float64 stays, so that a model in double precision is one to its results."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
