"""Two-stage models from the settings of PaddleDetection's static-graph releases (0.x)."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.paddle.backbones import read_backbone
from detzoo.interop.paddle.necks import read_neck
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.two_stage import of_regions, sampled, stds
from detzoo.interop.section import Section
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.necks.no_neck import NoNeck
from detzoo.recipes.paddle_columns import (
    STATIC_BOX_HEAD,
    STATIC_CASCADE_HEAD,
    STATIC_MASK_HEAD,
    STATIC_RPN,
    STATIC_RPN_C4,
    STATIC_STAGES,
)

_SIZES = (32.0, 64.0, 128.0, 256.0, 512.0)
_FIRST, _LAST = 2, 6  # levels of a pyramid; RoIs are pooled from all but the last
_SHARES = (0.2, 0.3, 0.5)  # of the stages of a class-aware cascade in its boxes and scores
_VARIANCE = [0.1, 0.1, 0.2, 0.2]


def faster_rcnn(parts: Parts, model: Section, input: Input) -> FasterRCNN.Config:
    """``FasterRCNN``."""
    return FasterRCNN.Config.model_validate(_two_stages(parts, model, input, model.has("fpn")))


def mask_rcnn(parts: Parts, model: Section, input: Input) -> MaskRCNN.Config:
    """``MaskRCNN``."""
    pyramid = model.has("fpn")
    settings = _two_stages(parts, model, input, pyramid)
    return MaskRCNN.Config.model_validate(settings | {"mask_head": _mask_head(parts, model, pyramid)})


def cascade_rcnn(parts: Parts, model: Section, input: Input) -> CascadeRCNN.Config:
    """``CascadeRCNN``."""
    return CascadeRCNN.Config.model_validate(_cascade(parts, model, input))


def class_aware_cascade(parts: Parts, model: Section, input: Input) -> CascadeRCNN.Config:
    """``CascadeRCNNClsAware``, with a box for each class, of which later stages count for more."""
    settings = _cascade(parts, model, input, class_aware=True)
    settings["box_head"]["class_agnostic"] = False
    return CascadeRCNN.Config.model_validate(settings | {"averaged": "probabilities", "shares": _SHARES})


def cascade_mask_rcnn(parts: Parts, model: Section, input: Input) -> CascadeMaskRCNN.Config:
    """``CascadeMaskRCNN``, of which all stages share one mask head."""
    settings = _cascade(parts, model, input) | {"one_mask_head": True, "mask_stage": len(STATIC_STAGES) - 1}
    settings["mask_head"] = _mask_head(parts, model, True) | {"weight": 1 / STATIC_STAGES[-1].weight}
    return CascadeMaskRCNN.Config.model_validate(settings)


def _two_stages(parts: Parts, model: Section, input: Input, pyramid: bool, prefix: str = "") -> dict[str, Any]:
    """On a pyramid or, without one, on C4: the last stage of the backbone runs on every RoI."""
    model.fixed("rpn_only", False)
    backbone: Any = read_backbone(parts, model)
    neck: Any = read_neck(parts, model) if pyramid else NoNeck.Config()
    head, stage = _box_head(parts, model, pyramid, prefix)
    if stage is not None:
        with stage:
            backbone = backbone.replace(avg_down_stages=_pooled_shortcuts(stage, backbone))
    settings = {"input": input, "backbone": backbone, "neck": neck, "rpn": _rpn(parts, model, pyramid)}
    return {**settings, "box_head": head, "roi_levels": _LAST - _FIRST if pyramid else 1, "roi_stage": not pyramid}


def _pooled_shortcuts(stage: Section, backbone: Any) -> tuple[int, ...]:
    """Stages with shortcuts that pool, of a backbone and the ``stage`` on RoIs, which is else like the backbone's."""
    stage.ignore("feature_maps")
    stage.fixed("depth", backbone.depth)
    stage.fixed("norm_type", "affine_channel", "bn", "sync_bn")  # all frozen
    stage.fixed("freeze_norm", True)
    variant = stage.word("variant", "b")
    if (variant == "a") != (backbone.style == "caffe") or variant not in ("a", "b", "c", "d"):
        stage.differs("variant", "has no counterpart; that of the backbone has")
    if variant == "d" and not backbone.avg_down:
        stage.differs("variant", "has no counterpart behind a backbone of another one")
    return (1, 2, 3) if backbone.avg_down and variant != "d" else (1, 2, 3, 4)


def _rpn(parts: Parts, model: Section, pyramid: bool) -> dict[str, Any]:
    """``FPNRPNHead``, or ``RPNHead`` on one map."""
    usual = STATIC_RPN if pyramid else STATIC_RPN_C4
    with parts.part(model, "rpn_head", "FPNRPNHead" if pyramid else "RPNHead") as given:
        settings: dict[str, Any] = {}
        with parts.part(given, "anchor_generator", "AnchorGenerator") as anchors:
            sizes, stride = anchors.numbers("anchor_sizes", _SIZES), anchors.numbers("stride", (16.0, 16.0), 2)
            ratios = anchors.numbers("aspect_ratios", (0.5, 1.0, 2.0))
            anchors.fixed("variance", [1.0] * 4)
            if not pyramid and stride != (16, 16):
                anchors.differs("stride", "has no counterpart; that of the map, 16, has")
        scales = tuple(size / 16 for size in sizes)
        if pyramid:  # whose sizes double from level to level
            given.fixed("min_level", _FIRST)
            given.fixed("max_level", _LAST)
            scales = (given.number("anchor_start_size", 32) / 2**_FIRST,)
            settings["channels"] = given.whole("num_chan", 256)
        settings["anchors"] = usual.anchors.replace(scales=scales, ratios=ratios)
        with parts.part(given, "rpn_target_assign", "RPNTargetAssign", training=True) as learned:
            settings |= of_regions(learned, usual, "rpn_")
            settings["border"] = learned.number("rpn_straddle_thresh", 0.0)
        for slot, prefix, most in (("test_proposal", "", (6000, 1000)), ("train_proposal", "train_", (12000, 2000))):
            with parts.part(given, slot, "GenerateProposals", training=prefix != "") as made:
                settings[f"{prefix}candidates"] = made.whole("pre_nms_top_n", most[0])
                settings[f"{prefix}proposals"] = made.whole("post_nms_top_n", most[1])
                overlap = made.number("nms_thresh", 0.5)
                if settings.setdefault("nms", overlap) != overlap:
                    made.differs("nms_thresh", "has no counterpart; that of test_proposal has")
                if made.number("min_size", 0.1) > 1:
                    made.differs("min_size", "has no counterpart; a pixel has")
                made.fixed("eta", 1.0)
    return usual.model_dump() | settings


def _rois(parts: Parts, model: Section, pyramid: bool) -> tuple[int, int, int]:
    """Bins per side of what is pooled for boxes and for masks, and samples in each."""
    with parts.part(model, "roi_extractor", "FPNRoIAlign" if pyramid else "RoIAlign") as given:
        if not pyramid:
            given.fixed("spatial_scale", 1 / 16)
            size = given.whole("resolution", 7)
            return size, size // 2, given.whole("sampling_ratio", 0)  # the stage on RoIs halves them
        for name, value in (("canconical_level", 4), ("canonical_size", 224), ("min_level", 2), ("max_level", 5)):
            given.fixed(name, value)
        sizes = given.whole("box_resolution", 7), given.whole("mask_resolution", 14)
        return *sizes, given.whole("sampling_ratio", 2)


def _box_head(parts: Parts, model: Section, pyramid: bool, prefix: str) -> tuple[dict[str, Any], Section | None]:
    """``BBoxHead`` or ``CascadeBBoxHead``, and the section of the network's last stage where that runs on RoIs."""
    size, _, sampling = _rois(parts, model, pyramid)
    settings: dict[str, Any] = {"size": size, "sampling": sampling}
    stage = None
    with parts.part(model, "bbox_head", f"{prefix}BBoxHead") as given:
        known = [f"{prefix}TwoFCHead", f"{prefix}XConvNormHead"] if pyramid else ["ResNetC5"]
        layers = parts.part(given, "head", *known)
        if not pyramid:
            stage, settings["fcs"] = layers, 0
        else:
            with layers:
                settings |= _layers(layers)
        settings |= _box_loss(parts, given, prefix)
        if prefix == "":
            with parts.part(given, "box_coder", "BoxCoder") as coder:
                settings["stds"] = coder.numbers("prior_box_var", _VARIANCE, 4)
                coder.fixed("code_type", "decode_center_size")
                coder.fixed("box_normalized", False)
                coder.fixed("axis", 1)
        settings |= _detections(parts, given)
    balanced = () if prefix else ("LibraBBoxAssigner",)
    with parts.part(model, "bbox_assigner", f"{prefix}BBoxAssigner", *balanced, training=True) as learned:
        if learned.kind in balanced:
            settings["balance"] = {"ranges": learned.whole("num_bins", 3)}
            learned.fixed("is_cls_agnostic", False)
        settings |= sampled(learned)
        learned.ignore("shuffle_before_sample")
        if prefix:
            learned.fixed("bg_thresh_lo", [0.0] * len(STATIC_STAGES))
            learned.ignore("bbox_reg_weights", "fg_thresh", "bg_thresh_hi", "class_aware")  # of each stage
        else:
            best, negative = learned.number("fg_thresh", 0.5), learned.number("bg_thresh_hi", 0.5)
            settings["match"] = {"positive": best, "negative": negative}
            learned.fixed("bg_thresh_lo", 0.0)
            learned.fixed("bbox_reg_weights", settings["stds"])
    usual = STATIC_CASCADE_HEAD if prefix else STATIC_BOX_HEAD
    return usual.model_dump() | settings, stage


def _box_loss(parts: Parts, head: Section, prefix: str) -> dict[str, Any]:
    """A loss in place of the usual one; those by IoU compare boxes around a unit box."""
    known = () if prefix else ("BalancedL1Loss", "GiouLoss", "DiouLoss")
    if head.take("bbox_loss") not in known:
        if head.take("bbox_loss") is not None:
            head.noted("bbox_loss", "is not taken over")  # of training
        return {}
    with parts.part(head, "bbox_loss", *known, training=True) as given:
        if given.kind == "BalancedL1Loss":
            numbers = {"alpha": 0.5, "gamma": 1.5, "beta": 1.0}
            numbers = {name: given.number(name, usual) for name, usual in numbers.items()}
            return {"box_loss": {"kind": "balanced_l1", "weight": given.number("loss_weight", 1.0), **numbers}}
        given.fixed("is_cls_agnostic", False)
        complete = given.kind == "DiouLoss" and given.flag("use_complete_iou_loss", True)
        kind = "ciou" if complete else given.kind.removesuffix("Loss").lower()
        loss = {"kind": kind, "weight": given.number("loss_weight", 10.0), "aspect_above": -1 if complete else 0.5}
    return {"box_loss": loss, "unit_boxes": "sum"}


def _detections(parts: Parts, head: Section) -> dict[str, Any]:
    with parts.part(head, "nms", "MultiClassNMS", "MultiClassSoftNMS") as nms:
        nms.fixed("normalized", False)
        nms.fixed("background_label", 0)
        if nms.kind == "MultiClassSoftNMS":
            least = nms.number("score_threshold", 0.01)
            soft = {"method": "gaussian", "sigma": nms.number("softnms_sigma", 0.5), "min_score": least}
            return {"threshold": least, "soft_nms": soft, "detections": nms.whole("keep_top_k", 300)}
        nms.fixed("nms_top_k", -1)
        nms.fixed("nms_eta", 1.0)
        settings = {"threshold": nms.number("score_threshold", 0.05), "nms": nms.number("nms_threshold", 0.5)}
        return {**settings, "detections": nms.whole("keep_top_k", 100)}


def _layers(layers: Section) -> dict[str, Any]:
    settings: dict[str, Any] = {"fc_channels": layers.whole("mlp_dim", 1024)}
    if layers.kind.endswith("XConvNormHead"):
        settings |= {"fcs": 1, "convs": layers.whole("num_conv", 4), "channels": layers.whole("conv_dim", 256)}
        settings["norm"] = layers.take("norm_type")
        layers.fixed("freeze_norm", False)
    return settings


def _cascade(parts: Parts, model: Section, input: Input, class_aware: bool = False) -> dict[str, Any]:
    """Stages that share all convolutions and the layer behind them, if they have any."""
    settings = _two_stages(parts, model, input, True, "Cascade")
    del settings["roi_stage"]
    given = parts.part(model, "bbox_assigner", "CascadeBBoxAssigner")
    if given.flag("class_aware", False) != class_aware:
        given.differs("class_aware", f"has no counterpart in {model.kind}; {class_aware} has")
    count = len(STATIC_STAGES)
    weights = given.numbers("bbox_reg_weights", (10.0, 20.0, 30.0), count)
    positive, negative = (given.numbers(name, (0.5, 0.6, 0.7), count) for name in ("fg_thresh", "bg_thresh_hi"))
    stages = [
        stage.model_dump()
        | {
            "match": {"positive": best, "negative": least},
            "stds": stds(given, "bbox_reg_weights", (rate, rate, rate / 2, rate / 2)),
        }
        for stage, best, least, rate in zip(STATIC_STAGES, positive, negative, weights, strict=True)
    ]
    shared = settings["box_head"]["convs"] > 0
    return settings | {"stages": stages, "averaged": "last_boxes", "objects_once": True, "shared_layers": shared}


def _mask_head(parts: Parts, model: Section, pyramid: bool) -> dict[str, Any]:
    """``MaskHead``, whose masks have twice as many pixels per side as what is pooled."""
    _, size, sampling = _rois(parts, model, pyramid)
    settings = STATIC_MASK_HEAD.model_dump() | {"sampling": sampling} if pyramid else {}
    with parts.part(model, "mask_head", "MaskHead") as given:
        given.fixed("dilation", 1)
        if given.whole("resolution", 14) != 2 * size:
            given.differs("resolution", f"has no counterpart; {2 * size}, twice that of what is pooled, has")
        settings |= {"size": size, "convs": given.whole("num_convs", 0), "channels": given.whole("conv_dim", 256)}
        settings["norm"] = given.take("norm_type")
    with parts.part(model, "mask_assigner", "MaskAssigner", training=True) as learned:
        learned.fixed("resolution", 2 * size)
    return settings


__all__ = ["cascade_mask_rcnn", "cascade_rcnn", "class_aware_cascade", "faster_rcnn", "mask_rcnn"]
