"""Mask Scoring R-CNN from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts, two_stage
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS, Features
from detzoo.interop.section import Section
from detzoo.methods.mask_scoring_rcnn import MaskIoUHead, MaskScoringRCNN


def mask_scoring_rcnn(model: Section, input: Input) -> tuple[MaskScoringRCNN.Config, int]:
    """Settings and number of classes of a ``MaskScoringRCNN``."""
    with model as given:
        head = two_stage.RoIHead("MaskScoringRoIHead", _mask_iou_head)
        settings, classes = two_stage.two_stages(given, masks=True, more=head)
        if settings.pop("roi_stage"):
            given.section("roi_head").differs("shared_head", "has no counterpart in Mask Scoring R-CNN")
        return MaskScoringRCNN.Config(input=input, **settings), classes


def _mask_iou_head(
    roi: Section, train: Section, test: Section, features: Features, settings: dict[str, Any], classes: int
) -> dict[str, Any]:
    usual = MaskIoUHead.Config()
    with roi.section("mask_iou_head") as given:
        given.kinds("MaskIoUHead")
        parts.derived(given, "in_channels", features.channels[0])
        parts.derived(given, "num_classes", classes)
        parts.derived(given, "roi_feat_size", settings["mask_head"].size)
        given.ignore("init_cfg")  # where training began
        weight = usual.weight
        with given.section("loss_iou", {"type": "MSELoss", "loss_weight": usual.weight}, training=True) as loss:
            if learning.known(loss, "MSELoss"):
                weight = loss.number("loss_weight", 1.0)
                loss.fixed("reduction", "mean")
        made = MaskIoUHead.Config(
            convs=given.whole("num_convs", 4, MOST_LAYERS),
            channels=given.whole("conv_out_channels", 256, MOST_CHANNELS),
            fcs=given.whole("num_fcs", 2, MOST_LAYERS),
            fc_channels=given.whole("fc_out_channels", 1024, MOST_CHANNELS),
            weight=weight,
            threshold=train.number("mask_thr_binary", usual.threshold),
        )
        return {"mask_iou_head": made}


__all__ = ["mask_scoring_rcnn"]
