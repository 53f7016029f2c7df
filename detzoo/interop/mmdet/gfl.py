"""GFL from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.distribution_head import DistributionHead
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts
from detzoo.interop.mmdet.dense import towers
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section
from detzoo.methods.gfl import GFL


def gfl(model: Section, input: Input) -> tuple[GFL.Config, int]:
    """Settings and number of classes of a ``GFL``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        with given.section("bbox_head") as head:
            head.kinds("GFLHead")
            made, classes = distribution_head(given, head, features)
        return GFL.Config(input=input, backbone=backbone, neck=neck, head=made), classes


def distribution_head(model: Section, head: Section, features: Features) -> tuple[DistributionHead.Config, int]:
    """Settings of a ``GFLHead`` and what was made of it, and the number of classes."""
    with model.section("train_cfg", {}, training=True) as train, model.section("test_cfg") as test:
        parts.derived(head, "in_channels", features.channels[0])
        head.fixed("conv_cfg")
        head.fixed("reg_decoded_bbox", True, False)  # nothing depends on it
        head.ignore("init_cfg")  # where training began
        parts.distance_coder(head)
        settings: dict[str, Any] = {
            **towers(head, "gn"),
            "farthest": head.whole("reg_max", 16, MOST_CHANNELS),
            "anchor": parts.one_anchor(head, features, scales=[8, 16, 32], strides=[4, 8, 16, 32, 64]),
            "box_loss": learning.box_loss(head, {"type": "SmoothL1Loss", "beta": 1 / 9}, decodes=True),
            **learning.exponents(head, "QualityFocalLoss", beta=2.0),
            **parts.dense_tests(test),
        }
        with head.section("loss_dfl", {"type": "DistributionFocalLoss", "loss_weight": 0.25}, training=True) as loss:
            if learning.known(loss, "DistributionFocalLoss"):
                loss.fixed("reduction", "mean")
                settings["distance_weight"] = loss.number("loss_weight", 1.0)
        settings |= learning.adaptive(train)
        return DistributionHead.Config.model_validate(settings), head.whole("num_classes")


__all__ = ["distribution_head", "gfl"]
