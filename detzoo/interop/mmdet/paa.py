"""PAA from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.section import Section
from detzoo.methods.paa import PAA, STDS


def paa(model: Section, input: Input) -> tuple[PAA.Config, int]:
    """Settings and number of classes of a ``PAA``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            head.kinds("PAAHead")
            parts.derived(head, "in_channels", features.channels[0])
            head.fixed("conv_cfg")
            head.fixed("pred_kernel_size", 3)
            head.fixed("reg_decoded_bbox", True)
            head.ignore("init_cfg")  # where training began
            parts.fixed_coder(head, STDS)
            if head.word("covariance_type", "diag") not in ("diag", "full", "spherical"):  # of one number, all the same
                head.noted("covariance_type", "has no counterpart; 'diag' has")
            default = parts.anchor_defaults(scales=[8, 16, 32], strides=[4, 8, 16, 32, 64])
            settings: dict[str, Any] = {
                "convs": head.whole("stacked_convs", 4, MOST_LAYERS),
                "channels": head.whole("feat_channels", 256, MOST_CHANNELS),
                "norm": parts.norm(head, default="gn"),
                "anchors": parts.anchors(head.section("anchor_generator", default), features),
                "best": head.whole("topk", 9),
                "box_loss": learning.box_loss(head, {"type": "SmoothL1Loss", "beta": 1 / 9}, decodes=True),
                "iou_weight": learning.cross_entropy(
                    head, sigmoid=True, name="loss_centerness", decides=False, weighted=True
                ),
                "voting": head.flag("score_voting", True),
                **learning.focal(head),
                **parts.dense_tests(test),
            }
            if train.has("assigner"):
                settings["match"] = learning.match(train, PAA.Head().match)
            learning.no_sampler(train)
            train.fixed("allowed_border", -1)
            learning.weights_of_anchors(train)
            classes = head.whole("num_classes")
        made = PAA.Head.model_validate(settings)
        return PAA.Config(input=input, backbone=backbone, neck=neck, head=made), classes


__all__ = ["paa"]
