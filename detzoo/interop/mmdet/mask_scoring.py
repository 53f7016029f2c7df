"""Mask Scoring R-CNN from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.two_stage import RoIHead, Second, with_head
from detzoo.interop.section import Section
from detzoo.methods.mask_scoring_rcnn import MaskIoUHead, MaskScoringRCNN


def mask_scoring_rcnn(model: Section, input: Input) -> tuple[MaskScoringRCNN.Config, int]:
    """Settings and number of classes of a ``MaskScoringRCNN``."""
    return with_head(MaskScoringRCNN.Config, model, input, RoIHead("MaskScoringRoIHead", _mask_iou_head), masks=True)


def _mask_iou_head(second: Second) -> dict[str, Any]:
    usual = MaskIoUHead.Config()
    with second.roi.section("mask_iou_head") as given:
        given.kinds("MaskIoUHead")
        parts.derived(given, "in_channels", second.features.channels[0])
        parts.derived(given, "num_classes", second.classes)
        parts.derived(given, "roi_feat_size", second.settings["mask_head"].size)
        made = MaskIoUHead.Config(
            convs=given.whole("num_convs", 4, MOST_LAYERS),
            channels=given.whole("conv_out_channels", 256, MOST_CHANNELS),
            fcs=given.whole("num_fcs", 2, MOST_LAYERS),
            fc_channels=given.whole("fc_out_channels", 1024, MOST_CHANNELS),
            weight=learning.loss_weight(given, "loss_iou", "MSELoss", usual.weight, reduction="mean"),
            threshold=second.train.number("mask_thr_binary", usual.threshold),
        )
        return {"mask_iou_head": made}


__all__ = ["mask_scoring_rcnn"]
