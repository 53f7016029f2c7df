"""SCNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.roi_heads import BoxHead
from detzoo.detector import Input
from detzoo.interop.mmdet import cascade, htc, parts, two_stage
from detzoo.interop.mmdet.parts import MOST_LAYERS, Features
from detzoo.interop.section import Section
from detzoo.methods.scnet import ContextHead, SCNet


def scnet(model: Section, input: Input) -> tuple[SCNet.Config, int]:
    """Settings and number of classes of an ``SCNet``."""
    with model as given:
        given.section("neck")  # it has to have one
        settings, features = two_stage.first_stage(given)

        def others(roi: Section) -> dict[str, Any]:
            if not roi.has("mask_head"):
                roi.differs("mask_head", "has no counterpart; an SCNet with one has")
            roi.ignore("feat_relay_head")  # `_relay` looks at it
            return {
                "semantic_head": htc.semantic_head(roi, features, "SCNetSemanticHead"),
                "context_head": _context(roi.section("glbctx_head"), features),
            }

        more, classes = cascade.stages(given, features, ("SCNetRoIHead", "SCNetMaskHead"), others)
        roi = given.section("roi_head")
        if isinstance(roi.take("mask_head"), list | tuple):
            roi.differs("mask_head", "is a list, but SCNet has one for all stages")
        parts.derived(roi.section("glbctx_head"), "num_classes", classes)
        _relay(roi.section("feat_relay_head"), features, more["box_head"], more["mask_head"].size)
        return SCNet.Config.model_validate({"input": input, **settings, **more}), classes


def _context(head: Section, features: Features) -> ContextHead.Config:
    """``GlobalContextHead``."""
    with head as given:
        given.kinds("GlobalContextHead")
        for name in ("in_channels", "conv_out_channels"):
            parts.derived(given, name, features.channels[0])
        given.fixed("conv_cfg")
        given.fixed("conv_to_res", True)
        if not given.take("conv_to_res", False):
            given.differs("conv_to_res", "has no counterpart; True has")
        given.ignore("num_classes")  # `scnet` looks at it
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
