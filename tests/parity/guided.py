"""Guided anchors as they were recorded: a batch of images is looked at where the first of them has an object.

The original knows a single image in prediction. Its recordings of two come from a stand-in for the operator that leaves
cells out, and that gives zero for both images where the first one's location is below the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from torch import Tensor


def has_guided_rpn(model: Any) -> bool:
    """Whether it has a region proposal network with guided anchors."""
    return hasattr(getattr(model, "rpn", None), "guide")


@contextmanager
def masked_by_first(model: Any) -> Iterator[None]:
    """Has class logits and offsets of a model with guided anchors be those of the recordings; others are as ever."""
    if not (has_guided_rpn(model) or hasattr(model, "guide")):
        yield
        return
    owner, name = (model.rpn, "forward") if has_guided_rpn(model) else (model, "heads")
    threshold, give = owner.guide.config.threshold, getattr(owner, name)

    def masked(*arguments: Any) -> tuple[list[Tensor], ...]:
        logits, offsets, shapes, locations = give(*arguments)
        looked_at = [level[:1].sigmoid() >= threshold for level in locations]
        return _times(logits, looked_at), _times(offsets, looked_at), shapes, locations

    with patch.object(owner, name, masked):
        yield


def _times(levels: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    return [level * mask for level, mask in zip(levels, masks, strict=True)]
