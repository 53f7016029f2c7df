"""AutoAssign from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.layers import Deform
from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
from detzoo.methods.auto_assign import AutoAssign

# of FCOS's head, from which this one comes: what it is given and does not use
_UNUSED = ("regress_ranges", "center_sampling", "center_sample_radius", "norm_on_bbox", "centerness_on_reg")


def auto_assign(model: Section, input: Input) -> tuple[AutoAssign.Config, int]:
    """Settings and number of classes of an ``AutoAssign``."""
    return dense(AutoAssign.Config, model, input, _head, "AutoAssignHead")


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    train.ignore(*train.values)  # nothing in it is used
    parts.point_strides(head, features)
    head.ignore("loss_centerness", *_UNUSED)  # a loss that is not asked for
    parts.distance_coder(head)
    learning.focal(head)  # only its sigmoids are used
    if head.flag("force_topk", False):
        head.noted("force_topk", "has no counterpart: an object that no cell lies in is left out")
    head.ignore("topk")  # without force_topk
    return {
        **towers(head, "gn"),
        "deform": Deform(version=2) if head.flag("dcn_on_last_conv", False) else None,
        "positive_weight": head.number("pos_loss_weight", 0.25),
        "negative_weight": head.number("neg_loss_weight", 0.75),
        "centre_weight": head.number("center_loss_weight", 0.75),
        "box_loss": learning.box_loss(head, {"type": "IoULoss"}, decodes=True),
    }


__all__ = ["auto_assign"]
