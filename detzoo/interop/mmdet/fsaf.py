"""FSAF from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.section import Section
from detzoo.methods.fsaf import FSAF


def fsaf(model: Section, input: Input) -> tuple[FSAF.Config, int]:
    """Settings and number of classes of an ``FSAF``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            head.kinds("FSAFHead")
            parts.derived(head, "in_channels", features.channels[0])
            head.fixed("conv_cfg")
            # of a recall that is printed; where training began
            head.ignore("score_threshold", "init_cfg")
            learning.unreduced(head, "loss_cls", "loss_bbox")
            with head.section("bbox_coder") as coder:
                coder.kinds("TBLRBBoxCoder")
                coder.fixed("clip_border", True)
                coder.ignore("use_box_type")  # how boxes are wrapped in Python
                unit = coder.number("normalizer", 4.0)
            settings: dict[str, Any] = {
                "convs": head.whole("stacked_convs", 4, MOST_LAYERS),
                "channels": head.whole("feat_channels", 256, MOST_CHANNELS),
                "norm": parts.norm(head),
                "cell": parts.one_anchor(
                    head, features, octave_base_scale=4, scales_per_octave=3, strides=[8, 16, 32, 64, 128]
                ),
                "unit": unit,
                "box_loss": learning.box_loss(head, {"type": "IoULoss"}),
                **learning.focal(head),
                **parts.dense_tests(test),
            }
            if train.has("assigner"):
                settings |= learning.tried(train, "assigner", {}, lambda: _assigner(train))
            learning.no_sampler(train)
            train.fixed("allowed_border", -1)
            learning.weights_of_anchors(train)
            classes = head.whole("num_classes")
        made = FSAF.Head.model_validate(settings)
        return FSAF.Config(input=input, backbone=backbone, neck=neck, head=made), classes


def _assigner(train: Section) -> dict[str, float]:
    with train.section("assigner", training=True) as given:
        if not learning.known(given, "CenterRegionAssigner"):
            return {}
        given.fixed("foreground_dominate", False)
        with given.section("iou_calculator", {"type": "BboxOverlaps2D"}) as overlaps:
            learning.known(overlaps, "BboxOverlaps2D")
        return {
            "middle": given.number("pos_scale"),
            "near": given.number("neg_scale"),
            "least": given.number("min_pos_iof", 0.01),
            "left_out": given.number("ignore_gt_scale", 0.5),
        }


__all__ = ["fsaf"]
