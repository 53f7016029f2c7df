"""Masks of every class, which the original records and a mask head of ours does not compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from detzoo.blocks.roi_heads import MaskHead


def mask_logits(head: MaskHead, draw: Callable[[], object]) -> Tensor:
    """``[N * P, C, h, w]``, the logits of every class of the RoIs that ``draw`` has ``head`` draw one class of.

    The head computes the asked class only, so its last layer is applied here.
    """
    hidden: list[Any] = []
    handle = head.upsample.register_forward_hook(lambda _, __, output: hidden.append(output))
    draw()
    handle.remove()
    return head.conv_logits(hidden[0])
