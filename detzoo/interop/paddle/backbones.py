"""Backbones and pyramids from PaddleDetection's settings, of both kinds of releases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.cbnet import CBNet
from detzoo.backbones.darknet import Darknet
from detzoo.backbones.hrnet import HRNet
from detzoo.backbones.mobilenet_v1 import MobileNetV1
from detzoo.backbones.res2net import Res2Net
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.senet import SENet
from detzoo.backbones.vgg import VGG
from detzoo.blocks.context_block import ContextBlock
from detzoo.blocks.non_local import NonLocal
from detzoo.blocks.plugins import Plugin
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
    wide = given.kind == "ResNeXt"
    given.fixed("ch_in", 64)
    given.fixed("std_senet", False)
    return ResNet.Config.model_validate(
        {
            **_residual(parts, given),
            "depth": depth,
            "stem": "deep" if deep else "conv7",
            "avg_down": deep,
            "style": "caffe" if variant == "a" else "pytorch",
            "project_first": deep or depth < _DEEP,
            "groups": given.whole("groups", 64 if wide else 1),
            "base_width": given.whole("group_width" if wide else "base_width", 4 if wide else 64),
            "plugins": _plugins(given, depth),
        }
    )


def _residual(parts: Parts, given: Section) -> dict[str, Any]:
    """What all networks of residual blocks share."""
    stages, deformed, frozen = _static_stages(given) if parts.static else _stages(given)
    still = given.flag("freeze_norm", True)
    return {
        "frozen_stages": frozen,
        "norm": _norm(parts, given),
        "norm_eval": still,
        "norm_frozen": still,
        "out_stages": stages,
        "strides": (1, 2, 2, 2)[: stages[-1]],
        "dilations": (1, 1, 1, 1)[: stages[-1]],
        **({"deform": {"version": 2}, "deform_stages": deformed} if deformed else {}),
    }


def _plugins(given: Section, depth: int) -> tuple[Plugin, ...]:
    """Blocks in stages of a static model, which are counted from 2 on."""
    made = []
    wholes = tuple(stage - 1 for stage in given.wholes("nonlocal_stages", ()))
    if wholes:
        every = {50: 2, 101: 5, 152: 8, 200: 12}.get(depth)
        if every is None:
            given.differs("nonlocal_stages", f"has no counterpart at depth {depth}")
        made.append(Plugin(block=NonLocal.Config(), stages=wholes, after="block", every=every or 1))
    context = tuple(stage - 1 for stage in given.wholes("gcb_stages", ()))
    with given.section("gcb_params", {}) as block:
        kinds = {"channel_add": "add", "channel_mul": "multiply"}
        fusion = [kinds.get(one) for one in block.take("fusion_types", ["channel_add"])]
        pooling = {"att": "attention", "avg": "average"}.get(block.word("pooling_type", "att"))
        values = {"ratio": block.number("ratio", 1 / 16), "fusion": fusion, "pooling": pooling}
        if context:
            made.append(Plugin(block=ContextBlock.Config.model_validate(values), stages=context))
    return tuple(made)


def _res2net(parts: Parts, given: Section) -> Res2Net.Config:
    """``Res2Net``; in dynamic-graph releases variant d changes nothing but its stem."""
    deep = given.word("variant", "b") == "d"
    return Res2Net.Config.model_validate(
        {
            **_residual(parts, given),
            "depth": given.whole("depth", 50),
            "scales": given.whole("scales", 4),
            "base_width": given.whole("width", 26),
            "stem": "deep" if deep else "conv7",
            "avg_down": deep and parts.static,
            "project_first": deep and parts.static,
            "first_sums": True,
            "pool_padding": False,
        }
    )


def _senet(parts: Parts, given: Section) -> SENet.Config:
    """``SENet``, whose own form (``std_senet``) has a 3x3 in its shortcuts."""
    given.fixed("variant", "d")
    given.fixed("groups", 64)
    given.fixed("group_width", 4)
    form = "original" if given.flag("std_senet", False) else "vd"
    return SENet.Config.model_validate(
        {**_residual(parts, given), "depth": given.whole("depth", 152), "form": form, "project_first": form == "vd"}
    )


def _cbnet(parts: Parts, given: Section) -> CBNet.Config:
    """``CBResNet``: two networks in one."""
    given.fixed("repeat_num", 2)
    return CBNet.Config(network=_resnet(parts, given))


def _hrnet(parts: Parts, given: Section) -> HRNet.Config:
    """``HRNet``; static models place the corners of coarse maps on those of fine ones."""
    still = given.flag("freeze_norm", True)
    given.fixed("feature_maps", [2, 3, 4, 5])
    given.fixed("return_idx", [0, 1, 2, 3])
    given.fixed("freeze_at", 0)
    settings = {"width": given.whole("width"), "norm": _norm(parts, given), "norm_eval": still, "norm_frozen": still}
    return HRNet.Config.model_validate({**settings, "resize": "corners" if parts.static else "nearest"})


def _mobilenet(parts: Parts, given: Section) -> MobileNetV1.Config:
    """``MobileNet``, the first, with the extra layers of an SSD or without."""
    given.ignore("conv_learning_rate", "conv_decay", "extra_block_filters")  # of training; of the neck
    given.fixed("conv_group_scale", 1)
    extra = given.flag("with_extra_blocks", parts.static)
    if _norm(parts, given) != "bn":
        given.differs("norm_type", "has no counterpart; bn and sync_bn have")
    pairs = (11, 13) if extra else (4, 6, 13)
    if given.has("feature_maps") and given.wholes("feature_maps")[: len(pairs)] != pairs:
        given.differs("feature_maps", f"has no counterpart; {list(pairs)} first has")
    return MobileNetV1.Config.model_validate(
        {"width": given.number("conv_group_scale" if parts.static else "scale", 1.0), "out_pairs": pairs}
    )


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
    "Res2Net": _res2net,
    "SENet": _senet,
    "CBResNet": _cbnet,
    "HRNet": _hrnet,
    "MobileNet": _mobilenet,
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
