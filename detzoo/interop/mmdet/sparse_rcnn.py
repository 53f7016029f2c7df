"""Sparse R-CNN from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, necks, parts, roi_extractors, set_learning
from detzoo.interop.mmdet.cascade import MOST_STAGES, alike, each_stage
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.section import Section
from detzoo.methods.sparse_rcnn import SparseRCNN


def sparse_rcnn(model: Section, input: Input) -> tuple[SparseRCNN.Config, int]:
    """Settings and number of classes of a ``SparseRCNN``."""
    with (
        model as given,
        given.section("rpn_head") as rpn,
        given.section("roi_head") as roi,
        given.section("train_cfg", {}, training=True) as train,
        given.section("test_cfg") as test,
    ):
        backbone, features = backbones.backbone(given.section("backbone"))
        given.section("neck")  # it has to have one
        neck, features = necks.neck(given, features)
        width = features.channels[0]
        rpn.kinds("EmbeddingRPNHead")
        parts.derived(rpn, "proposal_feature_channel", width)
        queries = rpn.whole("num_proposals", 100)
        roi.kinds("SparseRoIHead")
        parts.derived(roi, "proposal_feature_channel", width)
        for name in ("mask_roi_extractor", "mask_head"):
            roi.fixed(name)
        count = roi.whole("num_stages", 6, MOST_STAGES)
        if roi.numbers("stage_loss_weights", [1.0] * count) != (1.0,) * count:
            roi.noted("stage_loss_weights", "has no counterpart; 1 for each of the stages has")
        pooled = roi_extractors.extractor(alike(roi, "bbox_roi_extractor", count), features)
        if pooled.kind.kind != "single":
            roi.differs("bbox_roi_extractor", "has no counterpart; aligned pooling from a single level has")
        learned = each_stage(train, "rcnn", count, {})
        found = [
            _stage(head, of, pooled, width)
            for head, of in zip(each_stage(roi, "bbox_head", count), learned, strict=True)
        ]
        if any(one != found[0] for one in found):
            roi.differs("bbox_head", "has no counterpart: those of all stages, and how they learn, have to be alike")
        for owner in (train, test):
            owner.fixed("rpn")
        with test.section("rcnn") as of:
            detections = of.whole("max_per_img")
        settings, classes = found[0]
        settings["head"]["stages"] = count
        settings |= {"queries": queries, "roi_levels": pooled.levels, "detections": detections}
        made = {"input": input, "backbone": backbone, "neck": neck, **settings}
        return SparseRCNN.Config.model_validate(made), classes


def _stage(head: Section, train: Section, pooled: roi_extractors.Pooled, width: int) -> tuple[dict[str, Any], int]:
    """A ``DIIHead`` with ``rcnn`` of ``train_cfg``: settings ``head``, ``costs`` and ``losses``; number of classes."""
    with head as given:
        given.kinds("DIIHead")
        parts.derived(given, "in_channels", width)
        given.fixed("num_ffn_fcs", 2)
        hidden = _dynamic(given.section("dynamic_conv_cfg"), pooled.size, width)
        parts.relu(given, "ffn_act_cfg")
        settings = {
            "size": pooled.size,
            "sampling": pooled.sampling,
            "heads": given.whole("num_heads", 8),
            "hidden": given.whole("feedforward_channels", 2048, MOST_CHANNELS),
            "dynamic": hidden,
            "cls_fcs": given.whole("num_cls_fcs", 1, MOST_LAYERS),
            "reg_fcs": given.whole("num_reg_fcs", 3, MOST_LAYERS),
            "dropout": given.number("dropout", 0.0),
            "stds": parts.coder(given, (0.1, 0.1, 0.2, 0.2), clipped=False),
        }
        classes = given.whole("num_classes", 80)
        losses = set_learning.focal_weight(given) | set_learning.box_weights(given, {"type": "SmoothL1Loss"})
    made: dict[str, Any] = {"head": settings, "losses": losses}
    with train as given:
        made |= set_learning.matched(given, "FocalLossCost", "xyxy")
        given.fixed("pos_weight", 1, -1)
    return made, classes


def _dynamic(given: Section, size: int, width: int) -> int:
    """``DynamicConv``: its channels in between."""
    with given:
        given.kinds("DynamicConv")
        for name in ("in_channels", "out_channels"):
            parts.derived(given, name, width)
        parts.derived(given, "input_feat_shape", size)
        given.fixed("with_proj", True)
        given.fixed("norm_cfg", {"type": "LN"})
        parts.relu(given)
        return given.whole("feat_channels", 64, MOST_CHANNELS)


__all__ = ["sparse_rcnn"]
