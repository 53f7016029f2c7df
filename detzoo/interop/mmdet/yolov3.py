"""YOLOv3 from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.darknet import Darknet
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section
from detzoo.methods.yolov3 import YOLOv3
from detzoo.necks.yolo import YOLONeck
from detzoo.recipes.blueprint import without_memory

_LEAKY = {"type": "LeakyReLU", "negative_slope": 0.1}
_LOSSES = ("loss_cls", "loss_conf", "loss_xy", "loss_wh")


def yolov3(model: Section, input: Input) -> tuple[YOLOv3.Config, int]:
    """Settings and number of classes of a ``YOLOV3``."""
    with model as given:
        backbone, features = _backbone(given.section("backbone"))
        neck = _neck(given.section("neck"), features)
        strides = tuple(reversed(features.strides))
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            head.kinds("YOLOV3Head")
            parts.derived(head, "in_channels", neck.out_channels)
            twice = tuple(2 * width for width in neck.out_channels)  # as in every published config
            inner = head.wholes("out_channels", (1024, 512, 256), len(twice))
            if not 0 < max(inner) <= MOST_CHANNELS:
                head.differs("out_channels", "has no counterpart")
            parts.derived(head, "featmap_strides", strides, (32, 16, 8))
            head.fixed("conv_cfg")
            head.fixed("act_cfg", _LEAKY)
            head.ignore("one_hot_smoother")  # noted below
            if head.number("one_hot_smoother", 0.0) != 0:
                head.noted("one_hot_smoother", "has no counterpart; 0 has")
            with head.section("bbox_coder", {"type": "YOLOBBoxCoder"}) as coder:
                coder.kinds("YOLOBBoxCoder")
                coder.ignore("eps")  # of targets
            settings: dict[str, Any] = {
                "bridge_channels": None if inner == twice else inner,
                "priors": _priors(head.section("anchor_generator"), strides),
                "norm": parts.norm(head, default="bn"),
                "objectness": test.number("conf_thr", -1.0),
                "clip": False,  # boxes are left as they come
                **_weights(head),
                **parts.dense_tests(test),
            }
            settings["objectness"] = max(settings["objectness"], 0.0)  # -1: any
            if train.has("assigner"):
                settings["match"] = _match(train)
            classes = head.whole("num_classes")
        made = YOLOv3.Head.model_validate(settings)
        return YOLOv3.Config(input=input, backbone=backbone, neck=neck, head=made), classes


def _backbone(given: Section) -> tuple[AnyBackbone, Features]:
    """Darknet, which no other method has, or one of theirs."""
    return _darknet(given) if given.kinds("Darknet", *backbones.READERS) == "Darknet" else backbones.backbone(given)


def _darknet(backbone: Section) -> tuple[Darknet.Config, Features]:
    with backbone as given:
        given.fixed("depth", 53)
        given.fixed("conv_cfg")
        given.fixed("act_cfg", _LEAKY)
        config = Darknet.Config.model_validate(
            {
                "out_stages": given.wholes("out_indices", (3, 4, 5)),
                "norm": parts.norm(given, default="bn"),
                "norm_eval": given.flag("norm_eval", True),
                "frozen_stages": given.whole("frozen_stages", -1),
            }
        )
        with without_memory():
            made = Darknet(config)
        return config, Features(made.channels, made.strides)


def _neck(neck: Section, features: Features) -> YOLONeck.Config:
    with neck as given:
        given.kinds("YOLOV3Neck")
        parts.derived(given, "num_scales", len(features.channels))
        parts.derived(given, "in_channels", tuple(reversed(features.channels)))
        given.fixed("conv_cfg")
        given.fixed("act_cfg", _LEAKY)
        out = given.wholes("out_channels", count=len(features.channels))
        if not 0 < max(out) <= MOST_CHANNELS:
            given.differs("out_channels", "has no counterpart")
        return YOLONeck.Config.model_validate({"out_channels": out, "norm": parts.norm(given, default="bn")})


def _priors(generator: Section, strides: tuple[int, ...]) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """``YOLOAnchorGenerator``: width and height of each prior of each map."""
    with generator as given:
        given.kinds("YOLOAnchorGenerator")
        parts.derived(given, "strides", strides)
        maps = given.each("base_sizes", lambda level, at: level.each(at, _pair))
        if len(maps) != len(strides):
            given.differs("base_sizes", f"is not one list for each of {len(strides)} maps")
        if min(edge for level in maps for size in level for edge in size) <= 0:
            given.differs("base_sizes", "are not all above 0")
        return maps


def _pair(sizes: Section, at: str) -> tuple[float, ...]:
    return sizes.numbers(at, count=2)


def _weights(head: Section) -> dict[str, float]:
    """Losses of the head: cross-entropy on sigmoids, squares of sizes; two have a weight here."""
    settings = {}
    for name in _LOSSES:
        squares = name == "loss_wh"
        default = {"type": "MSELoss"} if squares else {"type": "CrossEntropyLoss", "use_sigmoid": True}
        with head.section(name, default, training=True) as given:
            if not learning.known(given, str(default["type"])):
                continue
            if not squares:
                given.needs("use_sigmoid", True, False)
            weight = given.number("loss_weight", 1.0)
            given.needs("reduction", "sum", "mean")
            if name in ("loss_xy", "loss_wh"):
                settings["place_weight" if name == "loss_xy" else "size_weight"] = weight
            elif weight != 1:
                given.noted("loss_weight", "has no counterpart; 1 has")
    return settings


def _match(train: Section) -> Any:
    default = YOLOv3.Head().match
    with train.section("assigner") as given:
        if not learning.known(given, "GridAssigner"):
            return default
        given.fixed("gt_max_assign_all", True)
        return default.replace(
            positive=given.number("pos_iou_thr"),
            negative=given.number("neg_iou_thr"),
            low_quality=given.number("min_pos_iou", 0.0),
        )


__all__ = ["yolov3"]
