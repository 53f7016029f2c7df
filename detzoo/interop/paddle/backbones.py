"""Backbones and necks from PaddleDetection's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.section import Section
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN


def read_backbone(parts: Parts, model: Section) -> AnyBackbone:
    """Settings of whichever backbone stands in the slot ``backbone``."""
    given = parts.part(model, "backbone", *BACKBONES)
    with given:
        return BACKBONES[given.kind](parts, given)


def read_neck(parts: Parts, model: Section, slot: str = "neck") -> AnyNeck:
    """Settings of the feature pyramid in a slot."""
    given = parts.part(model, slot, "FPN")
    with given:
        given.ignore("in_channels", "spatial_scales", "norm_decay")  # follow from the backbone; of training
        settings: dict[str, Any] = {"out_channels": given.whole("out_channel")}
        if given.has("norm_type"):
            settings["norm"] = _norm(given, given.word("norm_type"))
        extra = given.whole("extra_stage", 1, most=16)
        if given.flag("has_extra_convs", False):
            settings["extra"] = "on_input" if given.flag("use_c5", True) else "on_output"
            settings["relu_before_extra"] = given.flag("relu_before_extra_convs", True)
        given.ignore("use_c5", "relu_before_extra_convs")  # without extra convolutions
        given.flag("freeze_norm", False)
        maps = len(parts.part(model, "backbone", *BACKBONES).wholes("return_idx", (0, 1, 2, 3)))
        return FPN.Config.model_validate({**settings, "levels": maps + extra})


def _norm(given: Section, kind: str) -> str:
    kinds = {"bn": "bn", "sync_bn": "bn", "gn": "gn"}
    if kind not in kinds:
        given.differs("norm_type", "has no counterpart; bn, sync_bn and gn have")
    return kinds.get(kind, "bn")


def resnet(parts: Parts, given: Section) -> ResNet.Config:
    """``ResNet`` of variants b and d; d has three convolutions in its stem and pools before its shortcuts."""
    given.ignore("norm_decay", "lr_mult_list", "num_stages")  # of training, of training; follows from return_idx
    variant = given.word("variant", "b")
    if variant not in ("a", "b", "d"):
        given.differs("variant", "has no counterpart; a, b and d have")
    stages = tuple(index + 1 for index in given.wholes("return_idx", (0, 1, 2, 3)))
    deformed = tuple(index for index in given.wholes("dcn_v2_stages", (-1,)) if index >= 0)
    groups = given.whole("groups", 1)
    width = given.whole("base_width", 64)
    given.fixed("ch_in", 64)
    given.fixed("std_senet", False)
    frozen = given.flag("freeze_norm", True)
    settings: dict[str, Any] = {
        "depth": given.whole("depth", 50),
        "groups": groups,
        "base_width": width,
        "style": "caffe" if variant == "a" else "pytorch",
        "stem": "deep" if variant == "d" else "conv7",
        "avg_down": variant == "d",
        "frozen_stages": given.whole("freeze_at", 0) + 1,
        "norm": _norm(given, str(parts.shared(given, "norm_type", "bn"))),
        "norm_eval": frozen,
        "norm_frozen": frozen,
        "out_stages": stages,
        "strides": (1, 2, 2, 2)[: stages[-1]],
        "dilations": (1, 1, 1, 1)[: stages[-1]],
    }
    if deformed:
        settings |= {"deform": {"version": 2}, "deform_stages": tuple(index + 1 for index in deformed)}
    return ResNet.Config.model_validate(settings)


BACKBONES: dict[str, Callable[[Parts, Section], AnyBackbone]] = {"ResNet": resnet}

__all__ = ["BACKBONES", "read_backbone", "read_neck", "resnet"]
