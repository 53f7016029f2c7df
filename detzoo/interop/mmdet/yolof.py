"""YOLOF from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.uniform_match import UniformMatch
from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense
from detzoo.interop.mmdet.parts import MOST_LAYERS, Features
from detzoo.interop.section import Section
from detzoo.methods.yolof import STDS, YOLOF


def yolof(model: Section, input: Input) -> tuple[YOLOF.Config, int]:
    """Settings and number of classes of a ``YOLOF``."""
    return dense(YOLOF.Config, model, input, _head, "YOLOFHead")


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    head.fixed("reg_decoded_bbox", True)
    head.ignore("feat_channels")  # its towers are as wide as the map
    parts.fixed_coder(head, STDS, limited=True)
    coder = head.section("bbox_coder", {})
    return {
        "cls_convs": head.whole("num_cls_convs", 2, MOST_LAYERS),
        "reg_convs": head.whole("num_reg_convs", 4, MOST_LAYERS),
        "norm": parts.norm(head, default=None if "norm_cfg" in head.values else "bn"),
        "anchors": parts.anchors(head.section("anchor_generator"), features),
        "farthest": coder.number("ctr_clamp", 32) if coder.flag("add_ctr_clamp", False) else None,
        "box_loss": learning.box_loss(head, {"type": "SmoothL1Loss", "beta": 1 / 9}, decodes=True),
        **learning.focal(head, anchored=True),
        **learning.assigned(train, "UniformAssigner", _match),
    }


def _match(given: Section) -> dict[str, Any]:
    positive, negative = given.number("pos_ignore_thr"), given.number("neg_ignore_thr")
    return {"match": UniformMatch(nearest=given.whole("match_times", 4), positive=positive, negative=negative)}


__all__ = ["yolof"]
