"""Sorting that leaves equal values in their order.

Even in double precision stand-in scores saturate: hundreds are exactly 1. PyTorch leaves the order of these open: it
changes with the processor and the length of the list. So two programs are compared with an order that is defined.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def stable_sorting() -> Iterator[None]:
    """Make ``Tensor.sort`` stable until the end of the block."""
    default = torch.Tensor.sort

    def sort(self: torch.Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
        return default(self, stable=True, dim=dim, descending=descending)

    torch.Tensor.sort = sort  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.sort = default  # type: ignore[method-assign]
