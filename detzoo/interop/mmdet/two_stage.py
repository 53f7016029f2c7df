"""RPN, Fast, Faster and Mask R-CNN from MMDetection's settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.roi_stage import RoIStage
from detzoo.blocks.double_head import DoubleHead
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.config import Config, ConfigError
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts, rpns, sabl
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS, Features
from detzoo.interop.mmdet.roi_extractors import Pooled, extractor
from detzoo.interop.section import Section
from detzoo.methods.dynamic_rcnn import DynamicRCNN, Pace
from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.rpn import RPNDetector

Made = TypeVar("Made", bound=Config)
BOX_HEADS = {  # convolutions, fully connected layers
    "Shared2FCBBoxHead": (0, 2),
    "Shared4Conv1FCBBoxHead": (4, 1),
    "ConvFCBBoxHead": (0, 0),
    "BBoxHead": (0, 0),
    "SCNetBBoxHead": (0, 0),
    "DoubleConvFCBBoxHead": (0, 0),
    "SABLHead": (0, 1),
}


class Second(NamedTuple):
    """What the settings of a second stage are read from.

    Attributes:
        roi: the section of the RoI head.
        train: ``rcnn`` of ``train_cfg``.
        test: ``rcnn`` of ``test_cfg``.
        features: the maps that RoIs are pooled from.
        settings: those that are known already.
        classes: how many.
    """

    roi: Section
    train: Section
    test: Section
    features: Features
    settings: dict[str, Any]
    classes: int


class RoIHead(NamedTuple):
    """A RoI head that is the standard one and more: its type, and what reads further settings of ours."""

    kind: str
    read: Callable[[Second], dict[str, Any]]


def rpn_detector(model: Section, input: Input) -> tuple[RPNDetector.Config, int]:
    """Settings of an ``RPN``, and 1: it knows one class."""
    with model as given, given.section("train_cfg", {}, training=True) as train, given.section("test_cfg") as test:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        proposals = rpns.any_rpn(given.section("rpn_head"), features, train, test)
        for stage in (train, test):
            stage.ignore("rcnn")  # of a second stage, which there is none of
        return RPNDetector.Config(input=input, backbone=backbone, neck=neck, rpn=proposals), 1


def fast_rcnn(model: Section, input: Input) -> tuple[FastRCNN.Config, int]:
    """Settings and number of classes of a ``FastRCNN``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        settings, classes = second_stage(given, backbone, features, masks=False, stage=False)
        return FastRCNN.Config(input=input, backbone=backbone, neck=neck, **settings), classes


def faster_rcnn(model: Section, input: Input) -> tuple[FasterRCNN.Config | DynamicRCNN.Config, int]:
    """Settings and number of classes of a ``FasterRCNN``, also with a RoI head of `ROI_HEADS`."""
    with model as given:
        kind = given.section("roi_head").kind
        if kind == "DynamicRoIHead":
            return with_head(DynamicRCNN.Config, given, input, RoIHead(kind, _dynamic))
        # its file has a slot for any region proposal network
        settings, classes = two_stages(given, masks=False, more=ROI_HEADS.get(kind), rpn=rpns.any_rpn)
        return FasterRCNN.Config(input=input, **settings), classes


def with_head(config: type[Made], model: Section, input: Input, head: RoIHead, masks: bool = False) -> tuple[Made, int]:
    """Settings, of a ``config``, and number of classes of a model whose RoI ``head`` no other has."""
    with model as given:
        settings, classes = two_stages(given, masks, head, stage=False)
        return config.model_validate({"input": input, **settings}), classes


def _double(second: Second) -> dict[str, Any]:
    """Of ``DoubleHeadRoIHead``: how much wider the RoIs are that boxes are refined from."""
    head: BoxHead.Config = second.settings["box_head"]
    if head.double_head is None:
        second.roi.section("bbox_head").differs("type", "has no counterpart in this RoI head; DoubleConvFCBBoxHead has")
    scale = second.roi.number("reg_roi_scale_factor")
    return {"box_head": head.replace(double_head=DoubleHead.Config(**{**dict(head.double_head or ()), "scale": scale}))}


def _dynamic(second: Second) -> dict[str, Any]:
    """Of ``DynamicRoIHead``: how threshold and loss move."""

    def read() -> dict[str, Any]:
        with second.train.section("dynamic_rcnn") as given:
            return {
                "every": given.whole("update_iter_interval"),
                "overlap_rank": given.whole("iou_topk"),
                "least_overlap": given.number("initial_iou"),
                "shift_rank": given.whole("beta_topk"),
                "most_beta": given.number("initial_beta"),
            }

    return {"pace": learning.tried(second.train, "dynamic_rcnn", Pace(), lambda: Pace.model_validate(read()))}


def _prime(second: Second) -> dict[str, Any]:
    """Of ``PISARoIHead``: what positives weigh."""
    return {"box_head": second.settings["box_head"].replace(prime=learning.prime_samples(second.train))}


PISA = RoIHead("PISARoIHead", _prime)
# RoI heads of a ``FasterRCNN`` but the standard one and the dynamic one
ROI_HEADS = {one.kind: one for one in (RoIHead("DoubleHeadRoIHead", _double), PISA)}


def mask_rcnn(model: Section, input: Input) -> tuple[MaskRCNN.Config, int]:
    """Settings and number of classes of a ``MaskRCNN``, also with ``PISARoIHead``."""
    with model as given:
        more = PISA if given.section("roi_head").kind == PISA.kind else None
        settings, classes = two_stages(given, masks=True, more=more)
        return MaskRCNN.Config(input=input, **settings), classes


def two_stages(
    model: Section, masks: bool, more: RoIHead | None = None, rpn: rpns.Reader = rpns.rpn, stage: bool = True
) -> tuple[dict[str, Any], int]:
    """Settings of a model of two stages, and the number of classes; ``more`` and ``stage`` as of `second_stage`."""
    settings, features = first_stage(model, rpn)
    heads, classes = second_stage(model, settings["backbone"], features, masks, more, stage)
    return {**settings, **heads}, classes


def first_stage(model: Section, rpn: rpns.Reader = rpns.rpn) -> tuple[dict[str, Any], Features]:
    """Settings ``backbone``, ``neck`` and ``rpn`` of a model of several stages, and what the neck returns.

    ``rpn`` reads those of the region proposal network.
    """
    backbone, features = backbones.backbone(model.section("backbone"))
    neck, features = necks.neck(model, features)
    with model.section("train_cfg", {}, training=True) as train, model.section("test_cfg") as test:
        proposals = rpn(model.section("rpn_head"), features, train, test)
        train.ignore("rcnn")  # the second stage's
        test.ignore("rcnn")
    return {"backbone": backbone, "neck": neck, "rpn": proposals}, features


def second_stage(
    model: Section,
    backbone: AnyBackbone,
    features: Features,
    masks: bool,
    more: RoIHead | None = None,
    stage: bool = True,
) -> tuple[dict[str, Any], int]:
    """Settings of the heads on RoIs, and the number of classes.

    ``more`` reads those of another RoI head than the standard one; ``stage``: RoIs may run through the backbone's last.
    """
    with (
        model.section("train_cfg", {}, training=True).section("rcnn", {}) as train,
        model.section("test_cfg").section("rcnn") as test,
        model.section("roi_head") as roi,
    ):
        roi.kinds("StandardRoIHead" if more is None else more.kind)
        pooled = extractor(roi.section("bbox_roi_extractor"), features)
        of_stage = roi.has("shared_head")
        if of_stage and not stage:
            roi.differs("shared_head", f"has no counterpart in {model.kind} with {roi.kind}")
        if of_stage:
            pooled = _through_stage(roi.section("shared_head"), backbone, pooled)
        head, classes = box_head(roi.section("bbox_head"), pooled, train, test, of_stage)
        settings: dict[str, Any] = {"box_head": head, "roi_levels": pooled.levels}
        if stage:
            settings["roi_stage"] = of_stage
        if masks:
            own = roi.section("mask_roi_extractor") if roi.has("mask_roi_extractor") else None
            of_masks = pooled_for_masks(roi, own, pooled, features)
            if own is not None and of_stage:
                roi.differs("mask_roi_extractor", "pools other features than that of the boxes")
            settings["mask_head"] = mask_head(roi.section("mask_head"), of_masks, classes, train, test)
        if more is not None:
            settings |= more.read(Second(roi, train, test, features, settings, classes))
        # written beside a detector without masks, too
        train.ignore("mask_size")
        test.ignore("mask_thr_binary")
        return settings, classes


def pooled_for_masks(roi: Section, own: Section | None, pooled: Pooled, features: Features) -> Pooled:
    """What masks are made of: pooled by their ``own`` extractor or, without one, as for boxes."""
    if own is None:
        if pooled.kind.kind not in ("single", "unaligned"):
            roi.differs("bbox_roi_extractor", "has weights that boxes and masks would share")
        return pooled
    found = extractor(own, features)
    if found.levels != pooled.levels:
        roi.differs("mask_roi_extractor", "pools other features than that of the boxes")
    return found


def _through_stage(given: Section, backbone: AnyBackbone, pooled: Pooled) -> Pooled:
    """``ResLayer``, the backbone's last stage on every RoI; it has to be built like the backbone."""
    with given:
        given.kinds("ResLayer")
        if not isinstance(backbone, ResNet.Config):
            raise ConfigError(f"{given.path} stands behind a backbone that is no ResNet, which has no counterpart")
        given.fixed("stage", 3)
        given.fixed("stride", RoIStage.STRIDE)
        given.fixed("dilation", 1)
        given.fixed("depth", backbone.depth)
        given.fixed("dcn")
        given.ignore("with_cp")  # memory
        if given.word("style", "pytorch") != backbone.style:
            given.differs("style", f"is not the backbone's, {backbone.style!r}")
        if parts.norm(given, default="bn", own=True) != backbone.norm or parts.norm_eps(given) != backbone.norm_eps:
            given.differs("norm_cfg", "is not the backbone's")
        if parts.standardized(given) != backbone.standardize:
            given.differs("conv_cfg", "is not the backbone's")
        if parts.norm_frozen(given) != backbone.norm_frozen:
            given.noted("norm_cfg", "is not the backbone's")
        if given.flag("norm_eval", True) != backbone.norm_eval:
            given.noted("norm_eval", "is not the backbone's")
    width = 512 if backbone.depth < 50 else 2048
    return replace(pooled, channels=width, bins=-(-pooled.size // RoIStage.STRIDE))


def box_head(head: Section, pooled: Pooled, train: Section, test: Section, stage: bool) -> tuple[BoxHead.Config, int]:
    """A box head with ``rcnn`` of ``train_cfg`` and ``test_cfg``: settings and number of classes."""
    with head as given:
        kind = given.kinds(*BOX_HEADS)
        convs, fcs = BOX_HEADS[kind]
        double, sides = kind == "DoubleConvFCBBoxHead", kind == "SABLHead"
        if sides:
            for name, usual in sabl.NAMES.items():
                parts.renamed(given, name, usual)
            fcs = given.whole("num_cls_fcs", fcs, MOST_LAYERS)
            if stage:
                given.differs("type", "has no counterpart behind a stage of the backbone")
        parts.derived(given, "in_channels", pooled.channels)
        parts.derived(given, "roi_feat_size", pooled.bins)
        for name in ("num_cls_convs", "num_cls_fcs", "num_reg_convs", "num_reg_fcs"):
            given.fixed(name, fcs if sides and name == "num_cls_fcs" else 0)
        given.fixed("with_cls", True)
        refines = sides or given.flag("with_reg", True)
        pools = stage or double
        if given.flag("with_avg_pool", double) != pools:
            given.differs("with_avg_pool", f"has no counterpart; {pools} has")
        for name in ("cls_predictor_cfg", "reg_predictor_cfg"):
            given.fixed(name, {"type": "Linear"})
        given.fixed("predict_box_type", "hbox")
        weight = learning.cross_entropy(given, sigmoid=False, decides=False, weighted=True)
        classes = given.whole("num_classes", 80)
        overlap, soft = parts.nms_or_soft(test)
        settings: dict[str, Any] = {
            "size": pooled.size,
            "sampling": pooled.sampling,
            "extractor": pooled.kind,
            **(_double_layers(given) if double else _shared_layers(given, convs, fcs)),
            "fc_channels": given.whole("fc_out_channels", 1024, MOST_CHANNELS),
            "class_weight": weight,
            "refines": refines,
            "threshold": test.number("score_thr"),
            "nms": overlap,
            "soft_nms": soft,
            "detections": parts.detections(test),
        }
        if sides:
            settings |= sabl.side_aware(given, pooled)
            settings["box_loss"] = learning.box_loss(given, sabl.SMOOTH, decodes=False)
        else:
            settings["class_agnostic"] = given.flag("reg_class_agnostic", False)
            settings["legacy"] = parts.legacy(given, anchors=False)
            settings["stds"] = parts.coder(given, (0.1, 0.1, 0.2, 0.2), legacy=settings["legacy"])
            if refines:
                settings["box_loss"] = learning.box_loss(given, {"type": "SmoothL1Loss", "beta": 1.0})
            else:
                given.ignore("loss_bbox", "reg_decoded_bbox")  # of boxes that are not refined
        if train.has("assigner"):
            settings["match"] = learning.match(train, BoxHead.Config().match)
            settings |= learning.sampler(train, objects_too=True)
        learning.weights_of_anchors(train)
        return BoxHead.Config.model_validate(settings), classes


def _shared_layers(head: Section, convs: int, fcs: int) -> dict[str, Any]:
    """Layers that classes and boxes share."""
    return {
        "convs": head.whole("num_shared_convs", convs, MOST_LAYERS),
        "fcs": head.whole("num_shared_fcs", fcs, MOST_LAYERS),
        "channels": head.whole("conv_out_channels", 256, MOST_CHANNELS),
        "norm": parts.norm(head),
        "standardize": parts.standardized(head),
    }


def _double_layers(head: Section) -> dict[str, Any]:
    """``DoubleConvFCBBoxHead``: fully connected layers for classes, convolutions for boxes."""
    head.fixed("conv_cfg")
    if parts.norm(head, default="bn") != "bn":
        head.differs("norm_cfg", "has no counterpart; BN has")
    channels = head.whole("conv_out_channels", 1024, MOST_CHANNELS)
    double = {"blocks": head.whole("num_convs", 0, MOST_LAYERS), "channels": channels}
    return {"fcs": head.whole("num_fcs", 0, MOST_LAYERS), "double_head": double}


def mask_head(
    head: Section,
    pooled: Pooled,
    classes: int,
    train: Section,
    test: Section,
    kind: str = "FCNMaskHead",
    first: bool = True,
) -> MaskHead.Config:
    """A mask head of that ``kind`` with ``rcnn`` of ``train_cfg`` and ``test_cfg``; ``first``: of a row of stages."""
    with head as given:
        given.kinds(kind)
        if kind == "HTCMaskHead" and given.flag("with_conv_res", True) == first:
            given.differs("with_conv_res", "has no counterpart; all stages but the first have it")
        parts.derived(given, "in_channels", pooled.channels)
        given.ignore("roi_feat_size")  # MMDetection does not use it
        parts.derived(given, "num_classes", classes)
        given.fixed("conv_kernel_size", 3)
        given.fixed("predictor_cfg", {"type": "Conv"})
        carafe = given.has("upsample_cfg") and given.section("upsample_cfg").kind == "carafe"
        if not carafe:
            given.fixed("upsample_cfg", {"type": "deconv", "scale_factor": 2})
        if train.has("mask_size"):
            parts.derived(train, "mask_size", 2 * pooled.bins)
        return MaskHead.Config(
            size=pooled.bins,
            sampling=pooled.sampling,
            extractor=pooled.kind,
            convs=given.whole("num_convs", 4, MOST_LAYERS),
            residual=kind == "SCNetMaskHead" and given.flag("conv_to_res", True),
            channels=given.whole("conv_out_channels", 256, MOST_CHANNELS),
            norm=parts.norm(given),
            standardize=parts.standardized(given),
            carafe=parts.carafe(given.section("upsample_cfg")) if carafe else None,
            class_agnostic=given.flag("class_agnostic", False),
            weight=learning.loss_weight(given, "loss_mask", "CrossEntropyLoss", use_mask=True),
            threshold=test.number("mask_thr_binary", 0.5),
        )


__all__ = [
    "RoIHead",
    "Second",
    "box_head",
    "fast_rcnn",
    "faster_rcnn",
    "first_stage",
    "mask_head",
    "mask_rcnn",
    "pooled_for_masks",
    "rpn_detector",
    "two_stages",
    "with_head",
]
