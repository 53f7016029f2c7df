"""What the raw outputs of second stages have in common: the order of tied proposals, and masks of every class."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from detzoo.blocks.roi_heads import MaskHead
from detzoo.blocks.rpn import Proposals
from detzoo.ops.roi_align import Atlas
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


def mask_logits(head: MaskHead, atlas: Atlas, boxes: Tensor) -> Tensor:
    """``[N * P, C, h, w]`` for every class; the head computes the asked one only, so its last layer is applied here."""
    hidden: list[Any] = []
    handle = head.upsample.register_forward_hook(lambda _, __, output: hidden.append(output))
    head(atlas, boxes, torch.zeros(boxes.shape[:2], dtype=torch.int64))
    handle.remove()
    return head.conv_logits(hidden[0])
