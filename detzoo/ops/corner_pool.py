"""Corner pooling: running maxima along rows or columns of a feature map."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Direction = Literal["top", "left", "bottom", "right"]
_TURNS = 14  # of a map of any size in an exported graph: 2 ** 14 cells


def corner_pool(x: Tensor, direction: Direction) -> Tensor:
    """The largest value between each cell and one border of the map; ``[N, C, H, W]`` to the same shape.

    CornerNet, section 3.2 and equations 6 and 7 (arXiv:1808.01244). The directions are named after the side of an
    object that they find: a "top" edge is somewhere above what it belongs to, so each cell looks from itself down to
    the bottom border; "left" looks to the right, "bottom" up, and "right" to the left. The gradient goes to the cell
    that holds the maximum.

    Args:
        x: features, of any floating type.
        direction: the side that is looked for.
    """
    axis = 2 if direction in ("top", "bottom") else 3
    running = _running if torch.compiler.is_exporting() else torch.cummax
    if direction in ("bottom", "right"):
        return running(x, axis)[0]
    return running(x.flip(axis), axis)[0].flip(axis)


def _running(x: Tensor, axis: int) -> tuple[Tensor]:
    """The values of `torch.cummax`, of operators that exported graphs know: maxima of twice as many cells each time."""
    length = x.shape[axis]
    cells = torch.arange(length, device=x.device)
    for turn in range(_TURNS if isinstance(length, torch.SymInt) else (length - 1).bit_length()):
        # what is before the first cell is the first cell, which each maximum holds anyway
        x = torch.maximum(x, x.index_select(axis, (cells - 2**turn).clamp(min=0)))
    return (x,)
