"""RetinaNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.free_anchor import FreeAnchor
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, guided, learning, necks, parts, sabl
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.section import Section
from detzoo.methods.ga_retinanet import GARetinaNet
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.sabl_retinanet import SABLRetinaNet


def retinanet(model: Section, input: Input) -> tuple[RetinaNet.Config | GARetinaNet.Config | SABLRetinaNet.Config, int]:
    """Settings and number of classes of a ``RetinaNet``, whatever its head."""
    kind = model.section("bbox_head").kind
    if kind == "SABLRetinaHead":
        return sabl.sabl_retinanet(model, input)
    if kind == "GARetinaHead":
        return guided.ga_retinanet(model, input)
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            kind = head.kinds("RetinaHead", "RetinaSepBNHead", "FreeAnchorRetinaHead", "PISARetinaHead")
            own_norms = kind == "RetinaSepBNHead"
            if own_norms:
                parts.derived(head, "num_ins", len(features.channels))
            parts.derived(head, "in_channels", features.channels[0])
            head.fixed("conv_cfg")
            head.ignore("init_cfg")  # where training began
            default = parts.anchor_defaults(octave_base_scale=4, scales_per_octave=3, strides=[8, 16, 32, 64, 128])
            if own_norms:  # it has the defaults of any head with anchors
                default = parts.anchor_defaults(scales=[8, 16, 32], strides=[4, 8, 16, 32, 64])
            settings: dict[str, Any] = {
                "convs": head.whole("stacked_convs", 4, MOST_LAYERS),
                "channels": head.whole("feat_channels", 256, MOST_CHANNELS),
                "norm": parts.norm(head),
                "norm_per_level": own_norms,
                "anchors": parts.anchors(head.section("anchor_generator", default), features),
                "stds": parts.coder(head, (1.0, 1.0, 1.0, 1.0)),
                **_losses(head),
                **parts.dense_tests(test),
            }
            if kind == "PISARetinaHead":
                settings["prime"] = learning.prime_samples(train)
            if kind == "FreeAnchorRetinaHead":
                settings["free_anchor"] = learning.tried(head, "bags", FreeAnchor(), lambda: _bags(head))
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


def _bags(head: Section) -> FreeAnchor:
    return FreeAnchor(
        size=head.whole("pre_anchor_topk", 50),
        overlap=head.number("bbox_thr", 0.6),
        alpha=head.number("alpha", 0.5),
        gamma=head.number("gamma", 2.0),
    )


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
