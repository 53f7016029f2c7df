"""Hybrid Task Cascade from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.semantic import SemanticHead
from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts, roi_extractors
from detzoo.interop.mmdet.cascade import cascade
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS, Features
from detzoo.interop.section import Section
from detzoo.methods.htc import HTC

UNKNOWN = 255  # the class of cells that nothing is known of


def hybrid_task_cascade(model: Section, input: Input) -> tuple[HTC.Config, int]:
    """Settings and number of classes of a ``HybridTaskCascade``."""
    with model as given:
        settings, classes = cascade(given, ("HybridTaskCascadeRoIHead", "HTCMaskHead"), _others)
        return HTC.Config.model_validate({"input": input, **settings}), classes


def _others(roi: Section, features: Features, settings: dict[str, Any], classes: int) -> dict[str, Any]:
    for name in ("interleaved", "mask_info_flow"):
        roi.fixed(name, True)
    roi.fixed("semantic_fusion", ("bbox", "mask"))
    return {"semantic_head": semantic_head(roi, features, "FusedSemanticHead")}


def semantic_head(roi: Section, features: Features, kind: str) -> SemanticHead.Config | None:
    """``semantic_head`` of that ``kind`` with ``semantic_roi_extractor``, beside masks; None where there is none."""
    if not roi.has("mask_head"):
        roi.differs("mask_head", f"has no counterpart; {roi.kind} with one has")
    if not roi.has("semantic_head"):
        roi.ignore("semantic_roi_extractor")  # of nothing
        return None
    with roi.section("semantic_head") as given:
        given.kinds(kind)
        width = features.channels[0]
        parts.derived(given, "num_ins", len(features.channels))
        for name in ("in_channels", "conv_out_channels"):
            parts.derived(given, name, width)
        given.ignore("seg_scale_factor")  # class maps are compared at the head's size
        given.fixed("conv_cfg")
        level = given.whole("fusion_level", most=len(features.channels) - 1)
        finer = Features(features.channels[level:], features.strides[level:])
        pooled = roi_extractors.extractor(roi.section("semantic_roi_extractor"), finer)
        if pooled.kind.kind != "single":
            roi.differs("semantic_roi_extractor", "has no counterpart; SingleRoIExtractor has")
        return SemanticHead.Config(
            classes=given.whole("num_classes", 183, MOST_CHANNELS),
            level=level,
            convs=given.whole("num_convs", 4, MOST_LAYERS),
            residual=kind == "SCNetSemanticHead" and given.flag("conv_to_res", True),
            norm=parts.norm(given),
            weight=_weight(given),
            size=pooled.size,
            sampling=pooled.sampling,
        )


def _weight(head: Section) -> float:
    """Of the loss, as ``loss_seg`` says it, or the head itself in older configs."""
    older = head.number("loss_weight", 0.2) if head.has("loss_weight") else None
    head.fixed("ignore_label", UNKNOWN)
    usual = SemanticHead.Config().weight
    fixed: dict[str, Any] = {"ignore_index": UNKNOWN, "use_sigmoid": False}
    weight = learning.loss_weight(head, "loss_seg", "CrossEntropyLoss", usual, **fixed)
    return weight if older is None else older


__all__ = ["hybrid_task_cascade", "semantic_head"]
