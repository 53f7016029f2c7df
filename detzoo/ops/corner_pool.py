"""Corner pooling: running maxima along rows or columns of a feature map."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Direction = Literal["top", "left", "bottom", "right"]


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
    if direction in ("bottom", "right"):
        return torch.cummax(x, axis).values
    return torch.cummax(x.flip(axis), axis).values.flip(axis)
