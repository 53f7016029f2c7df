"""FSAF from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
from detzoo.methods.fsaf import FSAF


def fsaf(model: Section, input: Input) -> tuple[FSAF.Config, int]:
    """Settings and number of classes of an ``FSAF``."""
    return dense(FSAF.Config, model, input, _head, "FSAFHead")


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    head.ignore("score_threshold")  # of a recall that is printed
    learning.unreduced(head, "loss_cls", "loss_bbox")
    with head.section("bbox_coder") as coder:
        coder.kinds("TBLRBBoxCoder")
        coder.fixed("clip_border", True)
        unit = coder.number("normalizer", 4.0)
    strides = [8, 16, 32, 64, 128]
    return {
        **towers(head),
        "cell": parts.one_anchor(head, features, octave_base_scale=4, scales_per_octave=3, strides=strides),
        "unit": unit,
        "box_loss": learning.box_loss(head, {"type": "IoULoss"}),
        **learning.focal(head, anchored=True),
        **learning.assigned(train, "CenterRegionAssigner", _assigner),
    }


def _assigner(given: Section) -> dict[str, float]:
    given.fixed("foreground_dominate", False)
    return {
        "middle": given.number("pos_scale"),
        "near": given.number("neg_scale"),
        "least": given.number("min_pos_iof", 0.01),
        "left_out": given.number("ignore_gt_scale", 0.5),
    }


__all__ = ["fsaf"]
