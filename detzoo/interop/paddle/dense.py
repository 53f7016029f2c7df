"""RetinaNet from PaddleDetection's settings, of both kinds of releases, and FCOS of the dynamic-graph one."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.anchors import Anchors
from detzoo.blocks.losses import BoxLoss
from detzoo.detector import Input
from detzoo.interop.paddle.backbones import norm, read_backbone
from detzoo.interop.paddle.necks import read_neck
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.suppression import suppressed
from detzoo.interop.paddle.two_stage import stds
from detzoo.interop.section import Section
from detzoo.methods.fcos import FCOS
from detzoo.methods.retinanet import RetinaNet

_STRIDES = (8.0, 16.0, 32.0, 64.0, 128.0)
# what every FCOS there has
PADDLE_FCOS_HEAD = FCOS.Head(
    bias=True, deform_all=True, radius=1.5, box_loss=BoxLoss(kind="giou", more=1.0), by_product=True, clip=False
)


def retinanet(parts: Parts, model: Section, input: Input) -> RetinaNet.Config:
    """``RetinaNet``."""
    head = _static_head(parts, model) if parts.static else _head(parts, model)
    return RetinaNet.Config.model_validate(
        {"input": input, "backbone": read_backbone(parts, model), "neck": read_neck(parts, model), "head": head}
    )


def fcos(parts: Parts, model: Section, input: Input) -> FCOS.Config:
    """``FCOS``; what every model there has is in `PADDLE_FCOS_HEAD`."""
    model.ignore("ssod_loss")  # of learning from pictures without labels
    with parts.part(model, "fcos_head", "FCOSHead") as given:
        given.ignore("prior_prob")  # of training's start
        given.fixed("fpn_stride", _STRIDES)
        given.fixed("num_shift", 0.5)
        given.fixed("sqrt_score", False)
        settings: dict[str, Any] = {}
        with parts.part(given, "fcos_feat", "FCOSFeat") as convs:
            settings["deform"] = {"version": 2} if convs.flag("use_dcn", False) else None
            settings |= _tower(convs)
        settings["in_strides"] = given.flag("norm_reg_targets", True)
        in_pixels = given.flag("multiply_strides_reg_targets", False) or not settings["in_strides"]
        settings["loss_in_strides"] = not in_pixels
        settings["centerness_on_reg"] = given.flag("centerness_on_reg", True)
        with parts.part(given, "fcos_loss", "FCOSLoss", training=True) as loss:
            loss.fixed("loss_alpha", 0.25)  # whatever it says, these are used
            loss.fixed("loss_gamma", 2.0)
            loss.ignore("reg_weights")  # unread
            settings["box_loss"] = {"kind": loss.word("iou_loss_type", "giou").lower(), "more": 1.0}
            settings["learns_iou"] = loss.word("quality", "centerness") == "iou"
        if not model.has("fcos_post_process"):
            settings |= _suppressed(parts, given)
    if model.has("fcos_post_process"):  # before release 2.5
        with parts.part(model, "fcos_post_process", "FCOSPostProcess") as after:
            after.ignore("decode")  # which is that of every model
            settings |= _suppressed(parts, after)
    for step in parts.top.section("TrainReader", {}, training=True).sections("batch_transforms"):
        with step.section("Gt2FCOSTarget", {}) as learned:
            if learned.values:
                settings["ranges"] = learned.numbers("object_sizes_boundary")
                radius = learned.number("center_sampling_radius")
                settings["radius"] = radius if radius > 0 else None
                learned.ignore("downsample_ratios", "num_shift", "multiply_strides_reg_targets", "norm_reg_targets")
    return FCOS.Config(
        input=input,
        backbone=read_backbone(parts, model),
        neck=read_neck(parts, model),
        head=PADDLE_FCOS_HEAD.replace(**settings),
    )


def _scales(base: float, count: int) -> tuple[float, ...]:
    """Sizes of anchors in strides, so many in an octave."""
    return tuple(base * 2 ** (octave / count) for octave in range(count))


def _head(parts: Parts, model: Section) -> dict[str, Any]:
    with parts.part(model, "head", "RetinaHead") as given:
        given.ignore("prior_prob")  # of training's start
        given.fixed("weights", [1.0] * 4)
        settings = {"candidates": given.whole("nms_pre", 1000), "clip": False}
        with parts.part(given, "conv_feat", "RetinaFeat", "FCOSFeat") as convs:
            convs.fixed("use_dcn", False)
            settings |= _tower(convs)
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
        settings |= _suppressed(parts, given)
    return settings


def _tower(given: Section) -> dict[str, Any]:
    """Convolutions of ``FCOSFeat``."""
    given.ignore("feat_in")
    if "norm_type" not in given.values:  # None there is none
        given.differs("norm_type", "is missing, which is batch normalization; null, gn, bn and sync_bn can be")
    return {
        "channels": given.whole("feat_out", 256),
        "convs": given.whole("num_convs", 4),
        "norm": norm(given, given.word("norm_type")) if given.has("norm_type") else None,
    }


def _suppressed(parts: Parts, owner: Section) -> dict[str, Any]:
    with parts.part(owner, "nms", "MultiClassNMS") as nms:
        nms.fixed("normalized", True)
        return suppressed(nms)


def _static_head(parts: Parts, model: Section) -> dict[str, Any]:
    with parts.part(model, "retina_head", "RetinaHead") as given:
        given.ignore("prior_prob")  # of training's start
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


__all__ = ["fcos", "retinanet"]
