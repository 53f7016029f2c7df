"""PointRend from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.two_stage import RoIHead, Second, with_head
from detzoo.interop.section import LARGEST, Section
from detzoo.methods.point_rend import CoarseMaskHead, PointHead, PointRend


def point_rend(model: Section, input: Input) -> tuple[PointRend.Config, int]:
    """Settings and number of classes of a ``PointRend``."""
    return with_head(PointRend.Config, model, input, RoIHead("PointRendRoIHead", _masks))


def _masks(second: Second) -> dict[str, Any]:
    """Both heads; points are read from the finest level alone."""
    roi, train, test, features, _, classes = second
    channels = features.channels[0]
    with roi.section("mask_roi_extractor") as given:
        given.kinds("GenericRoIExtractor", "SingleRoIExtractor")  # of one level they are the same
        given.ignore("aggregation", "finest_scale")  # of several levels
        for name in ("pre_cfg", "post_cfg"):
            given.fixed(name)
        parts.derived(given, "out_channels", channels)
        if given.wholes("featmap_strides") != (features.strides[0],):
            given.differs("featmap_strides", "has no counterpart; the finest level alone has")
        with given.section("roi_layer") as layer:
            layer.kinds("SimpleRoIAlign")
            layer.fixed("aligned", True)
            size = layer.whole("output_size", most=64)
    with roi.section("mask_head") as given:
        given.kinds("CoarseMaskHead")
        parts.derived(given, "in_channels", channels)
        parts.derived(given, "num_classes", classes)
        parts.derived(given, "roi_feat_size", size)
        given.fixed("num_convs", 0)
        given.fixed("downsample_factor", 2)
        _usual(given)
        coarse = {
            "size": size,
            "channels": given.whole("conv_out_channels", 256, MOST_CHANNELS),
            "fcs": given.whole("num_fcs", 2, MOST_LAYERS),
            "fc_channels": given.whole("fc_out_channels", 1024, MOST_CHANNELS),
            "weight": learning.loss_weight(given, "loss_mask", "CrossEntropyLoss", use_mask=True),
            "threshold": test.number("mask_thr_binary", 0.5),
        }
    if train.has("mask_size"):
        parts.derived(train, "mask_size", size // 2)
    with roi.section("point_head") as given:
        given.kinds("MaskPointHead")
        parts.derived(given, "in_channels", channels)
        parts.derived(given, "num_classes", classes)
        given.fixed("coarse_pred_each_layer", True)
        given.fixed("act_cfg", {"type": "ReLU"})
        _usual(given)
        test.fixed("scale_factor", 2)
        usual = PointHead.Config()
        points = {
            "fcs": given.whole("num_fcs", 3, MOST_LAYERS),
            "channels": given.whole("fc_channels", 256, MOST_CHANNELS),
            "weight": learning.loss_weight(given, "loss_point", "CrossEntropyLoss", use_mask=True),
            "points": train.whole("num_points", usual.points, LARGEST),
            "oversampling": train.number("oversample_ratio", usual.oversampling),
            "uncertain": train.number("importance_sample_ratio", usual.uncertain),
            "steps": test.whole("subdivision_steps", most=8),
            "step_points": test.whole("subdivision_num_points"),
        }
    heads = {"mask_head": CoarseMaskHead.Config.model_validate(coarse)}
    return heads | {"point_head": PointHead.Config.model_validate(points)}


def _usual(head: Section) -> None:
    """What both heads have to be."""
    head.fixed("class_agnostic", False)
    for name in ("norm_cfg", "upsample_cfg"):
        head.fixed(name)
    head.fixed("conv_cfg", {"type": "Conv1d"} if head.kind == "MaskPointHead" else None)


__all__ = ["point_rend"]
