"""Sorting that leaves equal values in their order.

Even in double precision stand-in scores saturate, and hundreds are exactly 1; others are equal but for the last digit,
because every box narrower than a cell reads the same features. PyTorch leaves the order of these open: it changes with
the processor and the length of the list. So two programs are compared with an order that is defined, as the recordings
were made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from detzoo.blocks import rpn
from detzoo.ops.nms import rank

DIGITS = 9  # after the point, that make values different


@dataclass
class Order:
    """How an RPN returns proposals that `DIGITS` do not tell apart.

    Attributes:
        by_place: by their level and place, as any other sort does it, instead of by all digits. Recordings do not say
            which they have: nothing depends on it but the order in which RoIs are listed.
    """

    by_place: bool = False


@contextmanager
def stable_sorting(compiled: bool = True, digits: int = DIGITS) -> Iterator[Order]:
    """Make ``Tensor.sort`` stable and have it round to so many ``digits`` first, until the end of the block.

    But, where the original's suppression is ``compiled``, when an RPN suppresses: that sorts by all digits. Those of
    large levels were rounded before, when their best were chosen; those of levels that are smaller than the choice were
    not.
    """
    default, select, order = Tensor.sort, rpn.select, Order()

    def sort(self: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
        if stable:  # its order is defined
            return default(self, stable=True, dim=dim, descending=descending)
        shown = self.detach().round(decimals=digits) if self.is_floating_point() else self
        values, index = default(shown, stable=True, dim=dim, descending=descending)
        if self.requires_grad:  # rounding has no gradient
            values = self.gather(dim, index)
        return torch.return_types.sort((values, index))  # type: ignore[attr-defined]

    def sort_all_digits(self: Tensor, dim: int = -1, descending: bool = False) -> Any:
        return default(self, stable=True, dim=dim, descending=descending)

    def select_by_all_digits(*arguments: Any) -> tuple[Tensor, Tensor]:
        with patch.object(Tensor, "sort", sort_all_digits):
            index, used = select(*arguments)
        if not order.by_place:
            return index, used
        scores = arguments[1]
        survived = torch.zeros_like(scores, dtype=torch.int64).scatter_add(1, index, used.long()) > 0
        return rank(scores, survived, used.shape[1])

    with patch.object(Tensor, "sort", sort), patch.object(rpn, "select", select_by_all_digits if compiled else select):
        yield order
