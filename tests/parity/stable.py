"""Sorting that leaves equal values in their order.

Even in double precision stand-in scores saturate, and hundreds are exactly 1; others are equal but for the last digit,
because every box narrower than a cell reads the same features. PyTorch leaves the order of these open: it changes with
the processor and the length of the list. So two programs are compared with an order that is defined.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

DIGITS = 9  # after the point, that make values different


@contextmanager
def stable_sorting() -> Iterator[None]:
    """Make ``Tensor.sort`` stable, and blind to what `DIGITS` do not show, until the end of the block."""
    default = torch.Tensor.sort

    def sort(self: torch.Tensor, dim: int = -1, descending: bool = False) -> Any:
        shown = self.round(decimals=DIGITS) if self.is_floating_point() else self
        index = default(shown, stable=True, dim=dim, descending=descending).indices
        return torch.return_types.sort((self.gather(dim, index), index))  # type: ignore[attr-defined]

    torch.Tensor.sort = sort  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.sort = default  # type: ignore[method-assign]
