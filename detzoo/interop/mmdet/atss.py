"""ATSS from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
from detzoo.methods.atss import ATSS, STDS


def atss(model: Section, input: Input) -> tuple[ATSS.Config, int]:
    """Settings and number of classes of an ``ATSS``."""
    return dense(ATSS.Config, model, input, _head, "ATSSHead")


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    learning.cross_entropy(head, sigmoid=True, name="loss_centerness", decides=False)
    return {**atss_head(head, features), **learning.adaptive(train)}


def atss_head(head: Section, features: Features) -> dict[str, Any]:
    """Settings of an ``ATSSHead`` and what was made of it, but for its last branch and its assigner."""
    head.fixed("pred_kernel_size", 3)
    head.fixed("reg_decoded_bbox", True)
    parts.fixed_coder(head, STDS)
    return {
        **towers(head, "gn"),
        "anchors": parts.anchors_of(head, features, scales=[8, 16, 32], strides=[4, 8, 16, 32, 64]),
        "box_loss": learning.box_loss(head, {"type": "SmoothL1Loss", "beta": 1 / 9}, decodes=True),
        **learning.focal(head, anchored=True),
    }


__all__ = ["atss", "atss_head"]
