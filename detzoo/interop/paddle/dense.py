"""RetinaNet from PaddleDetection's settings, of both kinds of releases."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.anchors import Anchors
from detzoo.detector import Input
from detzoo.interop.paddle.backbones import norm, read_backbone
from detzoo.interop.paddle.necks import read_neck
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.two_stage import stds
from detzoo.interop.section import Section
from detzoo.methods.retinanet import RetinaNet

_STRIDES = (8.0, 16.0, 32.0, 64.0, 128.0)


def retinanet(parts: Parts, model: Section, input: Input) -> RetinaNet.Config:
    """``RetinaNet``."""
    head = _static_head(parts, model) if parts.static else _head(parts, model)
    return RetinaNet.Config.model_validate(
        {"input": input, "backbone": read_backbone(parts, model), "neck": read_neck(parts, model), "head": head}
    )


def _scales(base: float, count: int) -> tuple[float, ...]:
    """Sizes of anchors in strides, so many in an octave."""
    return tuple(base * 2 ** (octave / count) for octave in range(count))


def _head(parts: Parts, model: Section) -> dict[str, Any]:
    with parts.part(model, "head", "RetinaHead") as given:
        given.ignore("num_classes", "prior_prob")  # of training's start
        given.fixed("weights", [1.0] * 4)
        settings: dict[str, Any] = {"candidates": given.whole("nms_pre", 1000), "clip": False}
        with parts.part(given, "conv_feat", "RetinaFeat", "FCOSFeat") as tower:
            tower.ignore("feat_in")
            settings |= {"channels": tower.whole("feat_out", 256), "convs": tower.whole("num_convs", 4)}
            tower.fixed("use_dcn", False)
            if "norm_type" not in tower.values:  # None there is none
                tower.differs("norm_type", "is missing, which is batch normalization; null, gn, bn and sync_bn can be")
            settings["norm"] = norm(tower, tower.word("norm_type")) if tower.has("norm_type") else None
        with parts.part(given, "anchor_generator", "RetinaAnchorGenerator") as anchors:
            base, count = anchors.number("octave_base_scale", 4), anchors.whole("scales_per_octave", 3, most=64)
            ratios = anchors.numbers("aspect_ratios", (0.5, 1.0, 2.0))
            settings["anchors"] = Anchors.Config(scales=_scales(base, count), ratios=ratios, ratios_first=False)
            anchors.fixed("strides", _STRIDES)
            anchors.fixed("variance", [1.0] * 4)
            anchors.fixed("offset", 0.0)
        with parts.part(given, "bbox_assigner", "MaxIoUAssigner", training=True) as learned:
            settings["match"] = {
                "positive": learned.number("positive_overlap", 0.5),
                "negative": learned.number("negative_overlap", 0.4),
                "low_quality": 0.0 if learned.flag("allow_low_quality", True) else None,
                "claims": False,
            }
        with parts.part(given, "loss_class", "FocalLoss", training=True) as loss:
            settings |= {"alpha": loss.number("alpha", 0.25), "gamma": loss.number("gamma", 2.0)}
            loss.fixed("use_sigmoid", True)
            loss.fixed("loss_weight", 1.0)
        with parts.part(given, "loss_bbox", "SmoothL1Loss", training=True) as loss:
            beta = loss.number("beta", 1.0)
            kind: dict[str, Any] = {"kind": "smooth_l1", "beta": beta} if beta else {"kind": "l1"}
            settings["box_loss"] = kind | {"weight": loss.number("loss_weight", 1.0)}
        with parts.part(given, "nms", "MultiClassNMS") as nms:
            nms.ignore("nms_top_k", "return_index", "return_rois_num", "trt", "cpu")  # enough candidates; of exporting
            nms.ignore("background_label")  # there is none
            settings["threshold"] = nms.number("score_threshold", 0.05)
            settings["nms"] = nms.number("nms_threshold", 0.5)
            settings["detections"] = nms.whole("keep_top_k", 100)
            nms.fixed("normalized", True)
            nms.fixed("nms_eta", 1.0)
    return settings


def _static_head(parts: Parts, model: Section) -> dict[str, Any]:
    with parts.part(model, "retina_head", "RetinaHead") as given:
        given.ignore("num_classes", "prior_prob")  # of training's start
        given.fixed("min_level", 3)
        given.fixed("max_level", 7)
        settings: dict[str, Any] = {"last_pixel": True}
        settings |= {"channels": given.whole("num_chan", 256), "convs": given.whole("num_convs_per_octave", 4)}
        with parts.part(given, "anchor_generator", "AnchorGenerator") as anchors:
            anchors.ignore("anchor_sizes", "stride")  # follow from the levels
            anchors.fixed("variance", [1.0] * 4)
            ratios = anchors.numbers("aspect_ratios", (0.5, 1.0, 2.0))
        base, count = given.number("base_scale", 4), given.whole("num_scales_per_octave", 3, most=64)
        settings["anchors"] = Anchors.Config(scales=_scales(base, count), ratios=ratios, classic=True)
        with parts.part(given, "target_assign", "RetinaTargetAssign", training=True) as learned:
            best, negative = learned.number("positive_overlap", 0.5), learned.number("negative_overlap", 0.4)
            settings["match"] = {"positive": best, "negative": negative, "low_quality": 0.0}
        settings |= {"alpha": given.number("alpha", 0.25), "gamma": given.number("gamma", 2.0)}
        (root,) = stds(given, "sigma", (given.number("sigma", 3.0151134457776365),))
        settings["box_loss"] = {"kind": "smooth_l1", "beta": round(root**2, 6)}  # without the root's last digits
        with parts.part(given, "output_decoder", "RetinaOutputDecoder") as found:
            settings["threshold"] = found.number("score_thresh", 0.05)
            settings["nms"] = found.number("nms_thresh", 0.3)
            settings["candidates"] = found.whole("pre_nms_top_n", 1000)
            settings["detections"] = found.whole("detections_per_im", 100)
            found.fixed("nms_eta", 1.0)
    return settings


__all__ = ["retinanet"]
