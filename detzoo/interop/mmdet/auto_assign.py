"""AutoAssign from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.layers import Deform
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.section import Section
from detzoo.methods.auto_assign import AutoAssign

# of FCOS's head, from which this one comes: what it is given and does not use
_UNUSED = ("regress_ranges", "center_sampling", "center_sample_radius", "norm_on_bbox", "centerness_on_reg")


def auto_assign(model: Section, input: Input) -> tuple[AutoAssign.Config, int]:
    """Settings and number of classes of an ``AutoAssign``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        # nothing in train_cfg is used by the head
        given.ignore("train_cfg")
        with given.section("bbox_head") as head, given.section("test_cfg") as test:
            head.kinds("AutoAssignHead")
            parts.derived(head, "in_channels", features.channels[0])
            parts.derived(head, "strides", features.strides)
            head.fixed("conv_cfg")
            head.ignore("init_cfg", "loss_centerness", *_UNUSED)  # where training began; a loss that is not asked for
            parts.distance_coder(head)
            learning.focal(head)  # only its sigmoids are used
            if head.flag("force_topk", False):
                head.noted("force_topk", "has no counterpart: an object that no cell lies in is left out")
            head.ignore("topk")  # without force_topk
            settings: dict[str, Any] = {
                "convs": head.whole("stacked_convs", 4, MOST_LAYERS),
                "channels": head.whole("feat_channels", 256, MOST_CHANNELS),
                "norm": parts.norm(head, default=None if "norm_cfg" in head.values else "gn"),
                "deform": Deform(version=2) if head.flag("dcn_on_last_conv", False) else None,
                "positive_weight": head.number("pos_loss_weight", 0.25),
                "negative_weight": head.number("neg_loss_weight", 0.75),
                "centre_weight": head.number("center_loss_weight", 0.75),
                "box_loss": learning.box_loss(head, {"type": "IoULoss"}, decodes=True),
                **parts.dense_tests(test),
            }
            classes = head.whole("num_classes")
        made = AutoAssign.Head.model_validate(settings)
        return AutoAssign.Config(input=input, backbone=backbone, neck=neck, head=made), classes


__all__ = ["auto_assign"]
