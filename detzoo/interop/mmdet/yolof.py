"""YOLOF and its neck from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.uniform_match import UniformMatch
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts
from detzoo.interop.mmdet.parts import MOST_LAYERS
from detzoo.interop.mmdet.section import Section
from detzoo.methods.yolof import STDS, YOLOF


def yolof(model: Section, input: Input) -> tuple[YOLOF.Config, int]:
    """Settings and number of classes of a ``YOLOF``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            head.kinds("YOLOFHead")
            parts.derived(head, "in_channels", features.channels[0])
            head.fixed("reg_decoded_bbox", True)
            head.ignore("init_cfg", "feat_channels")  # where training began; the towers are as wide as the map
            parts.fixed_coder(head, STDS, limited=True)
            settings: dict[str, Any] = {
                "cls_convs": head.whole("num_cls_convs", 2, MOST_LAYERS),
                "reg_convs": head.whole("num_reg_convs", 4, MOST_LAYERS),
                "norm": parts.norm(head, default=None if "norm_cfg" in head.values else "bn"),
                "anchors": parts.anchors(head.section("anchor_generator"), features),
                "farthest": _farthest(head),
                "box_loss": learning.box_loss(head, {"type": "SmoothL1Loss", "beta": 1 / 9}, decodes=True),
                **learning.focal(head),
                **parts.dense_tests(test),
            }
            if train.has("assigner"):
                settings["match"] = learning.tried(train, "assigner", UniformMatch(), lambda: _match(train))
            learning.no_sampler(train)
            train.fixed("allowed_border", -1)
            learning.weights_of_anchors(train)
            classes = head.whole("num_classes")
        made = YOLOF.Head.model_validate(settings)
        return YOLOF.Config(input=input, backbone=backbone, neck=neck, head=made), classes


def _farthest(head: Section) -> float | None:
    """Pixels that the box coder lets centres move; None: any."""
    given = head.section("bbox_coder", {})
    return given.number("ctr_clamp", 32) if given.flag("add_ctr_clamp", False) else None


def _match(train: Section) -> UniformMatch:
    with train.section("assigner", training=True) as given:
        if not learning.known(given, "UniformAssigner"):
            return UniformMatch()
        with given.section("iou_calculator", {"type": "BboxOverlaps2D"}) as overlaps:
            learning.known(overlaps, "BboxOverlaps2D")
        return UniformMatch(
            nearest=given.whole("match_times", 4),
            positive=given.number("pos_ignore_thr"),
            negative=given.number("neg_ignore_thr"),
        )


__all__ = ["yolof"]
