"""SSD on VGG-16 from PaddleDetection's settings, of both kinds of releases."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.paddle.backbones import read_backbone
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.section import Section
from detzoo.methods.ssd import SSD
from detzoo.recipes.paddle_ssd import VGG300, VGG512

_MODELS = {6: VGG300, 7: VGG512}  # by how many maps there are


def ssd(parts: Parts, model: Section, input: Input) -> SSD.Config:
    """``SSD``."""
    parts.part(model, "backbone", "VGG")
    boxes = _static_boxes(parts, model) if parts.static else _boxes(parts, model)
    usual = _MODELS.get(len(boxes["ratios"]))
    if usual is None:
        model.differs("backbone", "has another number of maps than 6 or 7, which have a counterpart")
        usual = VGG300
    backbone = read_backbone(parts, model)
    return usual.replace(input=input, backbone=backbone, head=usual.head.replace(**boxes))


def _static_boxes(parts: Parts, model: Section) -> dict[str, Any]:
    with parts.part(model, "multi_box_head", "MultiBoxHead") as given:
        given.ignore("base_size", "min_ratio", "max_ratio", "num_classes")  # sizes say it in pixels
        settings = _default_boxes(given)
        given.fixed("flip", True)
        given.fixed("kernel_size", 3)
        given.fixed("pad", 1)
    return settings | _suppressed(parts, model, "output_decoder")


def _boxes(parts: Parts, model: Section) -> dict[str, Any]:
    with parts.part(model, "ssd_head", "SSDHead") as given:
        given.ignore("in_channels", "num_classes", "loss", "conv_decay")  # of the backbone; of training
        given.fixed("use_sepconv", False)
        given.fixed("padding", 1)
        given.fixed("kernel_size", 3)
        with parts.part(given, "anchor_generator", "AnchorGeneratorSSD") as anchors:
            settings = _default_boxes(anchors)
            anchors.fixed("flip", True)
            anchors.fixed("clip", False)
            anchors.ignore("base_size", "min_ratio", "max_ratio")
    with parts.part(model, "post_process", "BBoxPostProcess") as given:
        given.ignore("num_classes", "export_onnx", "export_eb")
        with parts.part(given, "decode", "SSDBox") as decoded:
            decoded.ignore("num_classes", "export_onnx")
        return settings | _suppressed(parts, given, "nms")


def _default_boxes(given: Section) -> dict[str, Any]:
    ratios = given.take("aspect_ratios", [[2.0], [2.0, 3.0], [2.0, 3.0], [2.0, 3.0], [2.0], [2.0]])
    small = given.numbers("min_sizes", (30.0, 60.0, 111.0, 162.0, 213.0, 264.0))
    large = given.numbers("max_sizes", (60.0, 111.0, 162.0, 213.0, 264.0, 315.0))
    if small[1:] != large[:-1]:
        given.differs("max_sizes", "have no counterpart; the next of min_sizes have")
    given.fixed("offset", 0.5)
    return {
        "sizes": (*small, large[-1]),
        "ratios": tuple(tuple(one) if isinstance(one, list) else (one,) for one in ratios),
        "steps": given.wholes("steps", (8, 16, 32, 64, 100, 300)),
        "mean_last": not given.flag("min_max_aspect_ratios_order", False),
    }


def _suppressed(parts: Parts, owner: Section, slot: str) -> dict[str, Any]:
    with parts.part(owner, slot, "SSDOutputDecoder", "MultiClassNMS") as nms:
        nms.ignore(
            "background_label", "nms_top_k", "return_index", "return_rois_num", "trt", "cpu"
        )  # enough candidates
        nms.fixed("nms_eta", 1.0)
        nms.fixed("normalized", True)
        return {
            "threshold": nms.number("score_threshold", 0.01),
            "nms": nms.number("nms_threshold", 0.45),
            "detections": nms.whole("keep_top_k", 200),
        }


__all__ = ["ssd"]
