"""Guided anchors as they were recorded.

The original knows a single image in prediction. Its recordings of two come from a stand-in for the operator that leaves
cells out, and that gives zero for both images where the first one's location is below the threshold. And its region
proposal network ranks by ``topk``, which has an order of its own for equal scores, and among all digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torchvision.ops import nms

from detzoo.blocks import rpn


@contextmanager
def as_recorded(model: Any) -> Iterator[None]:
    """Has a model with guided anchors look at the cells of the recordings, and rank so; others are as ever."""
    proposes = hasattr(getattr(model, "rpn", None), "guide")
    if not (proposes or hasattr(model, "guide")):
        yield
        return
    owner, name = (model.rpn, "forward") if proposes else (model, "heads")
    give = getattr(owner, name)

    def masked(*arguments: Any) -> tuple[list[Tensor], ...]:
        logits, offsets, shapes, locations = give(*arguments)
        if not model.training:
            looked_at = [level[:1].sigmoid() >= owner.guide.config.threshold for level in locations]
            logits, offsets = _times(logits, looked_at), _times(offsets, looked_at)
        return logits, offsets, shapes, locations

    with patch.object(owner, name, masked):
        if not proposes:
            yield
            return
        with patch.object(rpn, "best_per_level", _best_per_level), patch.object(rpn, "select", _select):
            yield


def _times(levels: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    return [level * mask for level, mask in zip(levels, masks, strict=True)]


def _best_per_level(scores: Sequence[Tensor], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """As that of `rpn`; of cells that are looked at, and of those of equal scores the ones that ``topk`` takes."""
    found, start = [], 0
    for number, level in enumerate(scores):
        values = level.new_full((len(level), min(count, level.shape[1])), -1.0)
        places = torch.zeros_like(values, dtype=torch.int64)
        for image, row in enumerate(level):
            cells = (row >= 0).nonzero().squeeze(1)
            if len(cells) > count:
                cells = cells[row[cells].topk(count).indices]
            values[image, : len(cells)], places[image, : len(cells)] = row[cells], cells
        found.append((values, places + start, torch.full_like(places, number)))
        start += level.shape[1]
    best, index, level = (torch.cat(part, 1) for part in zip(*found, strict=True))
    return best, index, level


def _select(
    boxes: Tensor,
    scores: Tensor,
    valid: Tensor,
    threshold: float,
    limit: int,
    groups: Tensor,
    group_count: int,
    pixels: bool,
) -> tuple[Tensor, Tensor]:
    """As that of `rpn`: level by level, and then the best by ``topk``."""
    assert not pixels  # PaddleDetection has no guided anchors
    index = torch.zeros((len(boxes), min(limit, boxes.shape[1])), dtype=torch.int64)
    used = torch.zeros_like(index, dtype=torch.bool)
    for image, score in enumerate(scores):
        kept = []
        for group in range(group_count):
            slots = (valid[image] & (groups[image] == group)).nonzero().squeeze(1)
            kept.append(slots[nms(boxes[image, slots], score[slots], threshold)])
        order = torch.cat(kept)
        order = order[score[order].topk(min(limit, len(order))).indices]
        index[image, : len(order)], used[image, : len(order)] = order, True
    return index, used
