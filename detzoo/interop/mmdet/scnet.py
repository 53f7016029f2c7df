"""SCNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.roi_heads import BoxHead
from detzoo.detector import Input
from detzoo.interop.mmdet import htc, parts
from detzoo.interop.mmdet.cascade import cascade
from detzoo.interop.mmdet.parts import MOST_LAYERS, Features
from detzoo.interop.section import Section
from detzoo.methods.scnet import ContextHead, SCNet


def scnet(model: Section, input: Input) -> tuple[SCNet.Config, int]:
    """Settings and number of classes of an ``SCNet``."""
    with model as given:
        settings, classes = cascade(given, ("SCNetRoIHead", "SCNetMaskHead"), _others)
        return SCNet.Config.model_validate({"input": input, **settings}), classes


def _others(roi: Section, features: Features, settings: dict[str, Any], classes: int) -> dict[str, Any]:
    semantic = htc.semantic_head(roi, features, "SCNetSemanticHead")
    if isinstance(roi.take("mask_head"), list | tuple):
        roi.differs("mask_head", "is a list, but SCNet has one for all stages")
    context = _context(roi.section("glbctx_head"), features, classes)
    _relay(roi.section("feat_relay_head"), features, settings["box_head"], settings["mask_head"].size)
    return {"semantic_head": semantic, "context_head": context}


def _context(head: Section, features: Features, classes: int) -> ContextHead.Config:
    """``GlobalContextHead``."""
    with head as given:
        given.kinds("GlobalContextHead")
        for name in ("in_channels", "conv_out_channels"):
            parts.derived(given, name, features.channels[0])
        given.fixed("conv_cfg")
        given.fixed("conv_to_res", True)
        if not given.take("conv_to_res", False):
            given.differs("conv_to_res", "has no counterpart; True has")
        parts.derived(given, "num_classes", classes)
        return ContextHead.Config(
            convs=given.whole("num_convs", 4, MOST_LAYERS),
            norm=parts.norm(given),
            weight=given.number("loss_weight", 1.0),
        )


def _relay(head: Section, features: Features, boxes: BoxHead.Config, bins: int) -> None:
    """``FeatureRelayHead``, of which every setting follows from the heads that it stands between."""
    with head as given:
        given.kinds("FeatureRelayHead")
        if boxes.fcs:
            parts.derived(given, "in_channels", boxes.fc_channels)
        parts.derived(given, "out_conv_channels", features.channels[0])
        parts.derived(given, "roi_feat_size", boxes.size)
        if given.whole("scale_factor", 2) * boxes.size != bins:
            given.differs("scale_factor", f"does not make {boxes.size} bins {bins}")


__all__ = ["scnet"]
