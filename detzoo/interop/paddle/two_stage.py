"""Two-stage models from PaddleDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.paddle.backbones import read_backbone
from detzoo.interop.paddle.necks import read_neck
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.section import Section
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN


def faster_rcnn(parts: Parts, model: Section, input: Input) -> FasterRCNN.Config:
    """``FasterRCNN`` on a pyramid."""
    return FasterRCNN.Config.model_validate(_two_stages(parts, model, input))


def mask_rcnn(parts: Parts, model: Section, input: Input) -> MaskRCNN.Config:
    """``MaskRCNN`` on a pyramid."""
    settings = _two_stages(parts, model, input)
    settings["mask_head"] = mask_head(parts, model)
    return MaskRCNN.Config.model_validate(settings)


def _two_stages(parts: Parts, model: Section, input: Input) -> dict[str, Any]:
    extractor = parts.part(parts.part(model, "bbox_head", "BBoxHead"), "roi_extractor", "RoIAlign")
    return {
        "input": input,
        "backbone": read_backbone(parts, model),
        "neck": read_neck(parts, model),
        "rpn": rpn(parts, model),
        "box_head": box_head(parts, model),
        "roi_levels": extractor.whole("end_level", 3) + 1,
    }


def rpn(parts: Parts, model: Section) -> dict[str, Any]:
    """``RPNHead``."""
    with parts.part(model, "rpn_head", "RPNHead") as given:
        given.ignore("in_channel", "export_onnx")  # follows from the neck; of exporting
        settings: dict[str, Any] = {"channels": parts.part(model, "neck", "FPN").whole("out_channel")}
        with parts.part(given, "anchor_generator", "AnchorGenerator") as anchors:
            sizes = anchors.take("anchor_sizes", [[32.0], [64.0], [128.0], [256.0], [512.0]])
            strides = anchors.numbers("strides", (4, 8, 16, 32, 64))
            scales = {tuple(size / stride for size in row) for row, stride in zip(sizes, strides, strict=False)}
            if len(scales) != 1 or len(sizes) != len(strides):
                anchors.differs("anchor_sizes", "have no counterpart; as many strides on every level have")
            settings["anchors"] = {
                "scales": next(iter(scales)),
                "ratios": anchors.numbers("aspect_ratios", (0.5, 1.0, 2.0)),
            }
            anchors.fixed("variance", [1.0] * 4)
            anchors.fixed("offset", 0.0)
        with parts.part(given, "rpn_target_assign", "RPNTargetAssign", training=True) as learned:
            settings["samples"] = learned.whole("batch_size_per_im", 256)
            settings["positives"] = learned.number("fg_fraction", 0.5)
            best = learned.number("positive_overlap", 0.7)
            settings["match"] = {
                "positive": best,
                "negative": learned.number("negative_overlap", 0.3),
                "low_quality": 0.0,
                "claims": False,
            }
            settings |= {"by_samples": True, "shrink_bound": False}
            learned.fixed("use_random", True)
            learned.ignore("assign_on_cpu", "ignore_thresh")  # where; of crowds
        for slot, prefix in (("train_proposal", "train_"), ("test_proposal", "")):
            with parts.part(given, slot, "ProposalGenerator", training=prefix != "") as made:
                settings[f"{prefix}candidates"] = made.whole("pre_nms_top_n", 12000)
                settings[f"{prefix}proposals"] = made.whole("post_nms_top_n", 2000)
                overlap = made.number("nms_thresh", 0.5)
                least = max(1.0, made.number("min_size", 0.1))
                if not prefix:
                    settings |= {"nms": overlap, "min_size": least}
                made.fixed("eta", 1.0)
                made.ignore("topk_after_collect")
        given.fixed("loss_rpn_bbox")
        return settings


def box_head(parts: Parts, model: Section) -> dict[str, Any]:
    """``BBoxHead`` with ``TwoFCHead``."""
    with parts.part(model, "bbox_head", "BBoxHead") as given:
        given.ignore("in_channel", "num_classes", "use_cot", "with_pool")
        settings: dict[str, Any] = {}
        with parts.part(given, "head", "TwoFCHead") as layers:
            layers.ignore("in_channel", "resolution")
            settings["fc_channels"] = layers.whole("out_channel", 1024)
        settings |= roi_extractor(parts, given)
        with parts.part(given, "bbox_assigner", "BBoxAssigner", training=True) as learned:
            settings["samples"] = learned.whole("batch_size_per_im", 512)
            settings["positives"] = learned.number("fg_fraction", 0.25)
            settings["match"] = {
                "positive": learned.number("fg_thresh", 0.5),
                "negative": learned.number("bg_thresh", 0.5),
            }
            learned.fixed("use_random", True)
            learned.ignore("cascade_iou", "num_classes", "assign_on_cpu", "ignore_thresh")
        weights = given.numbers("bbox_weight", (10.0, 10.0, 5.0, 5.0), count=4)
        settings["stds"] = tuple(1 / value for value in weights)
        settings["shrink_bound"] = False
    with parts.part(model, "bbox_post_process", "BBoxPostProcess") as given:
        given.ignore("num_classes", "export_onnx", "export_eb")
        with parts.part(given, "decode", "RCNNBox") as decoded:
            decoded.ignore("num_classes", "export_onnx")
        with parts.part(given, "nms", "MultiClassNMS") as nms:
            settings["threshold"] = nms.number("score_threshold", 0.05)
            settings["nms"] = nms.number("nms_threshold", 0.5)
            settings["detections"] = nms.whole("keep_top_k", 100)
            nms.fixed("nms_top_k", -1)
            nms.fixed("normalized", True)
            nms.fixed("nms_eta", 1.0)
            nms.ignore("return_index", "return_rois_num", "trt")
    return settings


def roi_extractor(parts: Parts, head: Section) -> dict[str, Any]:
    """``RoIAlign``: bins, samples and whether a cell's value is at its middle (``aligned``) or its corner."""
    with parts.part(head, "roi_extractor", "RoIAlign") as given:
        given.ignore("spatial_scale")  # follows from the features
        given.fixed("canconical_level", 4)
        given.fixed("canonical_size", 224)
        given.fixed("start_level", 0)
        given.ignore("end_level")  # with the levels of the pyramid
        return {
            "size": given.whole("resolution", 14),
            "sampling": given.whole("sampling_ratio", 0),
            "extractor": {"kind": "single" if given.flag("aligned", False) else "unaligned"},
        }


def mask_head(parts: Parts, model: Section) -> dict[str, Any]:
    """``MaskHead`` with ``MaskFeat``."""
    with parts.part(model, "mask_head", "MaskHead") as given:
        given.ignore("num_classes")
        given.fixed("share_bbox_feat", False)
        settings = roi_extractor(parts, given)
        with parts.part(given, "mask_assigner", "MaskAssigner", training=True) as learned:
            learned.fixed("mask_resolution", 2 * settings["size"])
            learned.ignore("num_classes")
        with parts.part(given, "head", "MaskFeat") as layers:
            layers.ignore("in_channel")
            settings["convs"] = layers.whole("num_convs", 4)
            settings["channels"] = layers.whole("out_channel", 256)
            if layers.has("norm_type"):
                settings["norm"] = layers.word("norm_type")
    with parts.part(model, "mask_post_process", "MaskPostProcess") as given:
        settings["threshold"] = given.number("binary_thresh", 0.5)
        given.ignore("export_onnx", "assign_on_cpu")
    return settings


__all__ = ["box_head", "faster_rcnn", "mask_head", "mask_rcnn", "roi_extractor", "rpn"]
