"""What the raw outputs of second stages have in common: the order of tied proposals, and masks of every class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detzoo.blocks.roi_heads import MaskHead
from detzoo.blocks.rpn import Proposals
from tests.parity.golden import thin_index
from tests.parity.ties import TIE


def tied_order(proposals: Proposals, rows: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Order of our proposals in which, among equal scores, each place has the row that fits the recorded one best."""
    order = np.arange(len(rows))
    index = thin_index(rows.size)
    if len(index) != len(recorded):
        return order
    scores = proposals.scores[proposals.valid].numpy()
    image = torch.where(proposals.valid)[0].numpy()
    roi, column = np.divmod(index, rows.shape[1])
    free = np.ones(len(rows), dtype=bool)
    for position in range(len(rows)):
        left = np.flatnonzero(free & (image == image[position]))
        distance = np.abs(scores[left] - scores[position])
        tied = left[distance <= max(TIE, distance.min())]
        here = roi == position
        gaps = np.abs(rows[tied][:, column[here]] - recorded[here]).sum(1)
        order[position] = tied[gaps.argmin()]
        free[order[position]] = False
    return order


def mask_logits(head: MaskHead, draw: Callable[[], object]) -> Tensor:
    """``[N * P, C, h, w]``, the logits of every class of the RoIs that ``draw`` has ``head`` draw one class of.

    The head computes the asked class only, so its last layer is applied here.
    """
    hidden: list[Any] = []
    handle = head.upsample.register_forward_hook(lambda _, __, output: hidden.append(output))
    draw()
    handle.remove()
    return head.conv_logits(hidden[0])
