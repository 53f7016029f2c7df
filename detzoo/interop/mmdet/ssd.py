"""SSD from MMDetection's settings: those since 2.14 with a neck, and older ones whose backbone has the extra layers."""

from __future__ import annotations

import math
from typing import Any

from detzoo.backbones.vgg import VGG
from detzoo.config import ConfigError
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section
from detzoo.methods.ssd import SSD, STDS
from detzoo.necks.ssd import SSDNeck

_CHANNELS, _STRIDES = (512, 1024), (8, 16)  # of VGG-16's two maps
# the extra layers that old backbones chose by the size of their input
_OLD_NECKS: dict[int, dict[str, Any]] = {
    300: {},
    512: {
        "out_channels": (512, 256, 256, 256, 256),
        "steps": (2, 2, 2, 2, 1),
        "paddings": (1, 1, 1, 1, 1),
        "last_kernel": 4,
    },
}
# of the least ratio of sizes: per cent of the input that the first map's boxes have
_FIRST = {(300, 0.15): 7, (300, 0.2): 10, (512, 0.1): 4, (512, 0.15): 7}


def ssd(model: Section, input: Input) -> tuple[SSD.Config, int]:
    """Settings and number of classes of an SSD, whose type is ``SingleStageDetector``, also with ``PISASSDHead``."""
    with model as given:
        if given.section("backbone").kinds("SSDVGG", *backbones.READERS) == "SSDVGG":
            backbone, size, scale = _vgg(given)
            features = Features(_CHANNELS, _STRIDES)
            neck = _neck(given.section("neck"), features) if given.has("neck") else _old_neck(given, size, scale)
        else:
            backbone, features = backbones.backbone(given.section("backbone"))
            neck = _neck(given.section("neck"), features)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            kind = head.kinds("SSDHead", "PISASSDHead")
            parts.derived(head, "in_channels", (*features.channels, *neck.out_channels))
            head.fixed("stacked_convs", 0)
            head.fixed("reg_decoded_bbox", False)
            head.ignore("feat_channels")  # of stacked convolutions, of which there are none
            separable = _separable(head)
            head.ignore("act_cfg")  # read where it is used
            legacy = parts.legacy(head)
            parts.fixed_coder(head, STDS, legacy)
            boxes = _boxes(head.section("anchor_generator"))
            settings: dict[str, Any] = {"legacy": legacy, **separable, **boxes, **parts.dense_tests(test)}
            if kind == "PISASSDHead":
                settings["prime"] = learning.prime_samples(train)
            settings |= learning.matched(train, SSD.Head().match)
            if train.values:
                settings["hard"] = train.number("neg_pos_ratio", 3)
                settings["box_loss"] = SSD.Head().box_loss.replace(beta=train.number("smoothl1_beta", 1.0))
            classes = head.whole("num_classes", 80)
        made = SSD.Head.model_validate(settings)
        return SSD.Config(input=input, backbone=backbone, neck=neck, head=made), classes


def _vgg(model: Section) -> tuple[VGG.Config, int, float]:
    """``SSDVGG``: our settings; size of the input and scale of the normalization, which old ones have."""
    boxes = model.section("bbox_head").section("anchor_generator", {})
    with model.section("backbone") as given:
        given.fixed("depth", 16)
        given.fixed("with_last_pool", False)
        given.fixed("ceil_mode", True)
        given.fixed("out_indices", (3, 4))
        given.fixed("out_feature_indices", (22, 34))
        return (
            VGG.Config(),
            given.whole("input_size", boxes.take("input_size", 300)),
            given.number("l2_norm_scale", 20.0),
        )


def _old_neck(model: Section, size: int, scale: float) -> SSDNeck.Config:
    if size not in _OLD_NECKS:
        model.section("backbone").differs("input_size", "has no counterpart; 300 or 512 has")
    return SSDNeck.Config.model_validate({**_OLD_NECKS[size], "scale": scale})


def _neck(neck: Section, features: Features) -> SSDNeck.Config:
    with neck as given:
        given.kinds("SSDNeck")
        channels = features.channels
        parts.derived(given, "in_channels", channels)
        out = given.wholes("out_channels")
        if out[: len(channels)] != tuple(channels) or max(out) > MOST_CHANNELS:
            given.differs("out_channels", f"does not begin with the backbone's {list(channels)}")
        separable = _separable(given)
        if separable:
            separable |= {"norm": "bn", "relu6": True}
        else:
            given.fixed("act_cfg", {"type": "ReLU"})
        none = None if "l2_norm_scale" in given.values else 20.0  # None is no normalization
        return SSDNeck.Config.model_validate(
            {
                "out_channels": out[len(channels) :],
                "steps": given.wholes("level_strides"),
                "paddings": given.wholes("level_paddings"),
                "last_kernel": given.whole("last_kernel_size", 3, 64),
                "scale": given.number("l2_norm_scale") if given.has("l2_norm_scale") else none,
                **separable,
            }
        )


def _separable(given: Section) -> dict[str, Any]:
    """``use_depthwise`` with its normalization and ReLU6, as SSDLite has it; without it there are neither."""
    given.fixed("conv_cfg")
    if not given.flag("use_depthwise", False):
        given.fixed("norm_cfg")
        return {}
    found = parts.norm(given, own=True)
    if found != "bn":
        given.differs("norm_cfg", "has no counterpart; batch normalization has")
    if parts.norm_frozen(given):
        given.noted("norm_cfg", "has no counterpart: the normalization of this part is learned")
    given.needs("act_cfg", {"type": "ReLU6"}, {"type": "ReLU"} if given.kind == "SSDNeck" else None)
    return {"separable": True, "norm_eps": parts.norm_eps(given)}


def _boxes(generator: Section) -> dict[str, Any]:
    """``SSDAnchorGenerator`` as settings ``sizes``, ``ratios`` and ``steps``."""
    with generator as given:
        given.kinds("SSDAnchorGenerator", "LegacySSDAnchorGenerator")
        given.needs("scale_major", False, True)
        steps = given.wholes("strides")
        ratios = given.each("ratios", Section.numbers)
        if len(ratios) != len(steps):
            given.differs("ratios", f"is not one list for each of {len(steps)} maps")
        if any(min(level, default=1) <= 0 for level in ratios):
            given.differs("ratios", "are not all above 0")
        return {"sizes": _sizes(given, len(steps)), "ratios": ratios, "steps": steps}


def _sizes(given: Section, maps: int) -> tuple[float, ...]:
    """Sizes of the boxes in pixels, one more than there are maps."""
    if given.has("min_sizes"):
        given.ignore("basesize_ratio_range", "input_size")  # not used beside min_sizes
        low, high = given.numbers("min_sizes", count=maps), given.numbers("max_sizes", count=maps)
        if min(low + high) <= 0 or low[1:] != high[:-1]:
            given.differs("max_sizes", "has no counterpart: each map's have to be the next one's min_sizes")
        return (*low, high[-1])
    given.has("max_sizes")
    size = given.whole("input_size", 300)
    least, most = given.numbers("basesize_ratio_range", (0.15, 0.9), count=2)
    if (size, least) not in _FIRST or maps < 3 or not least < most <= 4:
        raise ConfigError(f"{given.path}: input_size {size} with basesize_ratio_range from {least} is not known")
    # in whole per cent of the input, which are cut off to whole pixels
    low, high = int(least * 100), int(most * 100)
    step = math.floor((high - low) / (maps - 2))
    shares = [_FIRST[size, least], *range(low, high + 1, step)] if step else []
    if len(shares) != maps:
        raise ConfigError(f"{given.path}: basesize_ratio_range does not fit {maps} maps")
    return tuple(int(size * share / 100) for share in (*shares, shares[-1] + step))


__all__ = ["ssd"]
