"""RetinaNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts, sabl
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.section import Section
from detzoo.methods.retinanet import STDS, RetinaNet
from detzoo.methods.sabl_retinanet import SABLRetinaNet


def retinanet(model: Section, input: Input) -> tuple[RetinaNet.Config | SABLRetinaNet.Config, int]:
    """Settings and number of classes of a ``RetinaNet``, also with ``RetinaSepBNHead`` or ``SABLRetinaHead``."""
    if model.section("bbox_head").kind == "SABLRetinaHead":
        return sabl.sabl_retinanet(model, input)
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            own_norms = head.kinds("RetinaHead", "RetinaSepBNHead") == "RetinaSepBNHead"
            if own_norms:
                parts.derived(head, "num_ins", len(features.channels))
            parts.derived(head, "in_channels", features.channels[0])
            head.fixed("conv_cfg")
            head.ignore("init_cfg")  # where training began
            legacy = parts.legacy(head)
            parts.fixed_coder(head, STDS, legacy)
            default = parts.anchor_defaults(octave_base_scale=4, scales_per_octave=3, strides=[8, 16, 32, 64, 128])
            if own_norms:  # it has the defaults of any head with anchors
                default = parts.anchor_defaults(scales=[8, 16, 32], strides=[4, 8, 16, 32, 64])
            settings: dict[str, Any] = {
                "legacy": legacy,
                "convs": head.whole("stacked_convs", 4, MOST_LAYERS),
                "channels": head.whole("feat_channels", 256, MOST_CHANNELS),
                "norm": parts.norm(head),
                "norm_per_level": own_norms,
                "anchors": parts.anchors(head.section("anchor_generator", default), features, legacy),
                **_losses(head),
                **parts.dense_tests(test),
            }
            if train.has("assigner"):
                settings["match"] = learning.match(train, RetinaNet.Head().match)
            learning.no_sampler(train)
            train.fixed("allowed_border", -1)
            learning.weights_of_anchors(train)
            classes = head.whole("num_classes", 80)
        made = RetinaNet.Head.model_validate(settings)
        return RetinaNet.Config(input=input, backbone=backbone, neck=neck, head=made), classes


def _losses(head: Section) -> dict[str, Any]:
    """``loss_cls`` and ``loss_bbox``; published weights hold a part of GHMC and GHMR, which are read strictly."""
    settings: dict[str, Any] = {}
    if _kind(head, "loss_cls") == "GHMC":
        with head.section("loss_cls") as given:
            given.fixed("use_sigmoid", True)
            settings["ghm_c"] = _bins(given)
    else:
        settings |= learning.focal(head)
    if _kind(head, "loss_bbox") == "GHMR":
        with head.section("loss_bbox") as given:
            head.fixed("reg_decoded_bbox", False)
            settings["ghm_r"] = {"mu": given.number("mu", 0.02), **_bins(given)}
    else:
        settings["box_loss"] = learning.box_loss(head, {"type": "SmoothL1Loss", "beta": 1 / 9})
    return settings


def _kind(head: Section, name: str) -> Any:
    return head.section(name, {}).take("type")


def _bins(given: Section) -> dict[str, float]:
    given.fixed("reduction", "mean")
    return {
        "bins": given.whole("bins", 10),
        "momentum": given.number("momentum", 0),
        "weight": given.number("loss_weight", 1.0),
    }


__all__ = ["retinanet"]
