"""RetinaNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.free_anchor import FreeAnchor
from detzoo.detector import Input
from detzoo.interop.mmdet import guided, learning, parts, sabl
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
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
    kinds = ("RetinaHead", "RetinaSepBNHead", "FreeAnchorRetinaHead", "PISARetinaHead")
    return dense(RetinaNet.Config, model, input, _head, *kinds, classes=80)


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    own_norms = head.kind == "RetinaSepBNHead"
    if own_norms:
        parts.derived(head, "num_ins", len(features.channels))
    legacy = parts.legacy(head)
    usual: dict[str, Any] = {"octave_base_scale": 4, "scales_per_octave": 3, "strides": [8, 16, 32, 64, 128]}
    if own_norms:  # it has the defaults of any head with anchors
        usual = {"scales": [8, 16, 32], "strides": [4, 8, 16, 32, 64]}
    settings: dict[str, Any] = {
        "legacy": legacy,
        **towers(head),
        "norm_per_level": own_norms,
        "anchors": parts.anchors_of(head, features, legacy=legacy, **usual),
        "stds": parts.coder(head, (1.0, 1.0, 1.0, 1.0), legacy=legacy),
        **_losses(head),
        **learning.matched(train, RetinaNet.Head().match),
    }
    if head.kind == "PISARetinaHead":
        settings["prime"] = learning.prime_samples(train)
    if head.kind == "FreeAnchorRetinaHead":
        settings["free_anchor"] = learning.tried(head, "bags", FreeAnchor(), lambda: _bags(head))
    return settings


def _losses(head: Section) -> dict[str, Any]:
    """``loss_cls`` and ``loss_bbox``; published weights hold a part of GHMC and GHMR, which are read strictly."""
    settings: dict[str, Any] = {}
    if _kind(head, "loss_cls") == "GHMC":
        with head.section("loss_cls") as given:
            given.needs("use_sigmoid", True, False)
            settings["ghm_c"] = _bins(given)
    else:
        settings |= learning.focal(head, anchored=head.kind != "FreeAnchorRetinaHead")  # which uses none
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
