"""SSD from MMDetection's settings: those since 2.14 with a neck, and older ones whose backbone has the extra layers."""

from __future__ import annotations

import math
from typing import Any

from detzoo.backbones.vgg import VGG
from detzoo.config import ConfigError
from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS
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
        backbone, size, scale = _vgg(given)
        neck = _neck(given.section("neck")) if given.has("neck") else _old_neck(given, size, scale)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            kind = head.kinds("SSDHead", "PISASSDHead")
            parts.derived(head, "in_channels", (*_CHANNELS, *neck.out_channels))
            head.fixed("stacked_convs", 0)
            head.fixed("use_depthwise", False)
            head.fixed("reg_decoded_bbox", False)
            for name in ("conv_cfg", "norm_cfg"):
                head.fixed(name)
            # of stacked convolutions, of which there are none; where training began
            head.ignore("feat_channels", "act_cfg", "init_cfg")
            legacy = parts.legacy(head)
            parts.fixed_coder(head, STDS, legacy)
            boxes = _boxes(head.section("anchor_generator"))
            settings: dict[str, Any] = {"legacy": legacy, **boxes, **parts.dense_tests(test)}
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
        given.kinds("SSDVGG")
        given.fixed("depth", 16)
        given.fixed("with_last_pool", False)
        given.fixed("ceil_mode", True)
        given.fixed("out_indices", (3, 4))
        given.fixed("out_feature_indices", (22, 34))
        given.ignore("init_cfg", "pretrained")  # where training began
        return (
            VGG.Config(),
            given.whole("input_size", boxes.take("input_size", 300)),
            given.number("l2_norm_scale", 20.0),
        )


def _old_neck(model: Section, size: int, scale: float) -> SSDNeck.Config:
    if size not in _OLD_NECKS:
        model.section("backbone").differs("input_size", "has no counterpart; 300 or 512 has")
    return SSDNeck.Config.model_validate({**_OLD_NECKS[size], "scale": scale})


def _neck(neck: Section) -> SSDNeck.Config:
    with neck as given:
        given.kinds("SSDNeck")
        parts.derived(given, "in_channels", _CHANNELS)
        out = given.wholes("out_channels")
        if out[: len(_CHANNELS)] != _CHANNELS or max(out) > MOST_CHANNELS:
            given.differs("out_channels", f"does not begin with the backbone's {list(_CHANNELS)}")
        given.fixed("use_depthwise", False)
        for name in ("conv_cfg", "norm_cfg"):
            given.fixed(name)
        given.fixed("act_cfg", {"type": "ReLU"})
        given.ignore("init_cfg")  # where training began
        return SSDNeck.Config(
            out_channels=out[len(_CHANNELS) :],
            steps=given.wholes("level_strides"),
            paddings=given.wholes("level_paddings"),
            last_kernel=given.whole("last_kernel_size", 3, 64),
            scale=given.number("l2_norm_scale", 20.0),
        )


def _boxes(generator: Section) -> dict[str, Any]:
    """``SSDAnchorGenerator`` as settings ``sizes``, ``ratios`` and ``steps``."""
    with generator as given:
        given.kinds("SSDAnchorGenerator", "LegacySSDAnchorGenerator")
        given.fixed("scale_major", False)
        given.ignore("use_box_type")  # how boxes are wrapped in Python
        steps = given.wholes("strides")
        ratios = given.take("ratios")
        if not isinstance(ratios, list | tuple) or not 1 <= len(ratios) == len(steps):
            given.differs("ratios", f"is not one list for each of {len(steps)} maps")
        whole = Section({str(index): one for index, one in enumerate(ratios)}, f"{given.path}.ratios", given.notes)
        shapes = tuple(whole.numbers(str(index)) for index in range(len(steps)))
        if any(min(level, default=1) <= 0 for level in shapes):
            given.differs("ratios", "are not all above 0")
        return {"sizes": _sizes(given, len(steps)), "ratios": shapes, "steps": steps}


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
