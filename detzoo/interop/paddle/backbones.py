"""Backbones and pyramids from PaddleDetection's settings, of both kinds of releases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.darknet import Darknet
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.vgg import VGG
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.section import Section
from detzoo.necks.fpn import FPN

_NORMS = {"bn": "bn", "sync_bn": "bn", "affine_channel": "bn", "gn": "gn"}
_DEEP = 50  # layers from which on a residual block ends with four times as many channels


def read_backbone(parts: Parts, model: Section) -> AnyBackbone:
    """Settings of whichever backbone stands in the slot ``backbone``."""
    with parts.part(model, "backbone", *BACKBONES) as given:
        given.ignore("norm_decay", "lr_mult_list")  # of training, by what the optimizer reads
        return BACKBONES[given.kind](parts, given)


def _norm(parts: Parts, given: Section) -> str:
    kind = parts.shared(given, "norm_type", "affine_channel" if parts.static else "bn")
    if kind not in _NORMS:
        given.differs("norm_type", f"has no counterpart; {', '.join(_NORMS)} have")
    return _NORMS.get(kind, "bn")


def _resnet(parts: Parts, given: Section) -> ResNet.Config:
    """``ResNet`` and ``ResNeXt``; variant d has three convolutions in its stem and pools before its shortcuts."""
    variant = given.word("variant", "b")
    if variant not in ("a", "b", "d"):
        given.differs("variant", "has no counterpart; a, b and d have")
    depth, deep = given.whole("depth", 50), variant == "d"
    stages, deformed, frozen = _static_stages(given) if parts.static else _stages(given)
    still = given.flag("freeze_norm", True)
    settings: dict[str, Any] = {
        "depth": depth,
        "stem": "deep" if deep else "conv7",
        "avg_down": deep,
        "style": "caffe" if variant == "a" else "pytorch",
        # every first shortcut has a convolution
        "project_first": deep or depth < _DEEP,
        "frozen_stages": frozen,
        "norm": _norm(parts, given),
        "norm_eval": still,
        "norm_frozen": still,
        "out_stages": stages,
        **{name: value[: stages[-1]] for name, value in (("strides", (1, 2, 2, 2)), ("dilations", (1, 1, 1, 1)))},
    }
    if deformed:
        settings |= {"deform": {"version": 2}, "deform_stages": deformed}
    widths = ("groups", "group_width") if given.kind == "ResNeXt" else ("groups", "base_width")
    settings["groups"] = given.whole(widths[0], 64 if given.kind == "ResNeXt" else 1)
    settings["base_width"] = given.whole(widths[1], 4 if given.kind == "ResNeXt" else 64)
    for name in ("std_senet", "nonlocal_stages", "gcb_stages", "gcb_params"):
        given.fixed(name, False, [], {})
    given.fixed("ch_in", 64)
    return ResNet.Config.model_validate(settings)


def _stages(given: Section) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Stages that are returned, deformed and the last that is frozen, from 1 on; they are counted from 0 there."""
    given.ignore("num_stages")  # follows from those that are returned
    deformed = tuple(stage + 1 for stage in given.wholes("dcn_v2_stages", (-1,)) if stage >= 0)
    frozen = given.whole("freeze_at", 0)
    return tuple(stage + 1 for stage in given.wholes("return_idx", (0, 1, 2, 3))), deformed, max(frozen + 1, -1) or -1


def _static_stages(given: Section) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """The same of a static model, where they are counted from 2 on."""
    maps = given.take("feature_maps", [2, 3, 4, 5])
    given.values = {**given.values, "feature_maps": maps if isinstance(maps, list | tuple) else [maps]}
    deformed = tuple(stage - 1 for stage in given.wholes("dcn_v2_stages", ()))
    frozen = given.whole("freeze_at", 2) - 1
    return tuple(stage - 1 for stage in given.wholes("feature_maps")), deformed, frozen if frozen > 0 else -1


def _darknet(parts: Parts, given: Section) -> Darknet.Config:
    """``DarkNet`` of 53 layers."""
    given.fixed("depth", 53)
    stages = tuple(stage + 1 for stage in given.wholes("return_idx", (2, 3, 4)))
    given.fixed("num_stages", 5)
    given.fixed("freeze_at", -1)
    still = given.flag("freeze_norm", False)
    return Darknet.Config.model_validate(
        {"norm": _norm(parts, given), "norm_eval": still, "out_stages": stages, "frozen_stages": -1}
    )


def _vgg(parts: Parts, given: Section) -> VGG.Config:
    """``VGG`` of 16 layers, with the extra layers of an SSD."""
    given.fixed("with_extra_blocks", True)
    given.ignore("normalizations", "extra_block_filters")  # which the reader of the head looks at
    return VGG.Config.model_validate({"depth": given.whole("depth", 16)})


BACKBONES: dict[str, Callable[[Parts, Section], AnyBackbone]] = {
    "ResNet": _resnet,
    "ResNeXt": _resnet,
    "DarkNet": _darknet,
    "VGG": _vgg,
}


def read_pyramid(parts: Parts, model: Section, maps: int) -> FPN.Config:
    """``FPN`` on the last ``maps`` of a backbone."""
    with parts.part(model, "neck", "FPN") as given:
        given.ignore("in_channels", "spatial_scales", "norm_decay", "freeze_norm")  # of the backbone, and of training
        settings: dict[str, Any] = {"out_channels": given.whole("out_channel")}
        if given.has("norm_type"):
            settings["norm"] = _norm(parts, given)
        if given.flag("has_extra_convs", False):
            settings["extra"] = "on_input" if given.flag("use_c5", True) else "on_output"
            settings["relu_before_extra"] = given.flag("relu_before_extra_convs", True)
        given.ignore("use_c5", "relu_before_extra_convs")  # without extra convolutions
        return FPN.Config.model_validate({**settings, "levels": maps + given.whole("extra_stage", 1, most=16)})


__all__ = ["BACKBONES", "read_backbone", "read_pyramid"]
