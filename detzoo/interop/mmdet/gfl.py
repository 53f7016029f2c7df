"""GFL from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section
from detzoo.methods.gfl import GFL


def gfl(model: Section, input: Input) -> tuple[GFL.Config, int]:
    """Settings and number of classes of a ``GFL``."""
    return dense(GFL.Config, model, input, gfl_head, "GFLHead")


def gfl_head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    """Settings of a ``GFLHead`` and what was made of it."""
    head.fixed("reg_decoded_bbox", True, False)  # nothing depends on it
    parts.distance_coder(head)
    return {
        **towers(head, "gn"),
        "farthest": head.whole("reg_max", 16, MOST_CHANNELS),
        "anchor": parts.one_anchor(head, features, scales=[8, 16, 32], strides=[4, 8, 16, 32, 64]),
        "box_loss": learning.box_loss(head, {"type": "SmoothL1Loss", "beta": 1 / 9}, decodes=True),
        **learning.exponents(head, "QualityFocalLoss", beta=2.0),
        "distance_weight": learning.loss_weight(head, "loss_dfl", "DistributionFocalLoss", 0.25, reduction="mean"),
        **learning.adaptive(train),
    }


__all__ = ["gfl", "gfl_head"]
