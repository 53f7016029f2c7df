"""Sorting that leaves equal values in their order.

Even in double precision stand-in scores saturate, and hundreds are exactly 1; others are equal but for the last digit,
because every box narrower than a cell reads the same features. PyTorch leaves the order of these open: it changes with
the processor and the length of the list. So two programs are compared with an order that is defined.

Suppression sorts inside of a compiled operator, by all digits, and stably. So does detzoo's here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from detzoo.ops import nms

DIGITS = 9  # after the point, that make values different


@contextmanager
def stable_sorting() -> Iterator[None]:
    """Make ``Tensor.sort`` stable, and blind to what `DIGITS` do not show, until the end of the block."""
    default, rank = Tensor.sort, nms.rank

    def sort(self: Tensor, dim: int = -1, descending: bool = False) -> Any:
        shown = self.round(decimals=DIGITS) if self.is_floating_point() else self
        index = default(shown, stable=True, dim=dim, descending=descending).indices
        return torch.return_types.sort((self.gather(dim, index), index))  # type: ignore[attr-defined]

    def sort_all_digits(self: Tensor, dim: int = -1, descending: bool = False) -> Any:
        return default(self, stable=True, dim=dim, descending=descending)

    def rank_to_suppress(*arguments: Any) -> tuple[Tensor, Tensor]:
        with patch.object(Tensor, "sort", sort_all_digits):
            return rank(*arguments)

    with patch.object(Tensor, "sort", sort), patch.object(nms, "rank", rank_to_suppress):
        yield
