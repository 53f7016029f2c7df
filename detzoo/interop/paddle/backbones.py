"""Backbones from PaddleDetection's settings, in the spelling of its dynamic-graph release and of its static ones (0.x).

What is not said is the default of its code. Stages count from 0 there (``return_idx``, ``dcn_v2_stages``), and from
2 in static releases (``feature_maps``), as res2 is the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.cbnet import CBNet
from detzoo.backbones.darknet import Darknet
from detzoo.backbones.ghostnet import GhostNet
from detzoo.backbones.hrnet import HRNet
from detzoo.backbones.mobilenet_v1 import PAIRS, MobileNetV1
from detzoo.backbones.mobilenet_v3 import MobileNetV3
from detzoo.backbones.res2net import Res2Net
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.senet import SENet
from detzoo.backbones.vgg import VGG
from detzoo.interop.context_block import context_block
from detzoo.interop.paddle.face_backbones import blazenet, faceboxnet
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.section import Section

NON_LOCAL_EVERY = {50: 2, 101: 5, 152: 8, 200: 12}  # residual blocks of stage 4 per non-local block, by depth
MOST_CHANNELS = 1 << 16


def read_backbone(parts: Parts, model: Section) -> AnyBackbone:
    """Settings of whichever backbone stands in the slot ``backbone``."""
    with parts.part(model, "backbone", *BACKBONES) as given:
        return BACKBONES[given.kind](parts, given)


def norm(given: Section, kind: str) -> str:
    """The kind of normalization: batch normalization is the same over devices; affine channels are its frozen form."""
    kinds = {"bn": "bn", "sync_bn": "bn", "affine_channel": "bn", "gn": "gn"}
    if kind not in kinds:
        given.differs("norm_type", f"has no counterpart; {', '.join(kinds)} have")
    return kinds.get(kind, "bn")


def resnet(parts: Parts, given: Section) -> ResNet.Config:
    """``ResNet``; variant d has three convolutions in its stem and pools before its shortcuts."""
    groups, width = (1, 64) if parts.static else (given.whole("groups", 1), given.whole("base_width", 64))
    given.fixed("ch_in", 64)
    given.fixed("std_senet", False)
    return _resnet(parts, given, groups, width, "b")


def resnext(parts: Parts, given: Section) -> ResNet.Config:
    """``ResNeXt`` of static releases."""
    given.fixed("groups", 64)
    given.fixed("group_width", 4)
    return _resnet(parts, given, 64, 4, "a")


def cbresnet(parts: Parts, given: Section) -> CBNet.Config:
    """``CBResNet`` of static releases: two ResNets."""
    given.fixed("repeat_num", 2)
    return CBNet.Config(network=_resnet(parts, given, 1, 64, "b"))


def senet(parts: Parts, given: Section) -> SENet.Config:
    """``SENet`` of static releases."""
    given.fixed("depth", 152)
    given.fixed("groups", 64)
    given.fixed("group_width", 4)
    given.fixed("variant", "d")
    form = "original" if given.flag("std_senet", False) else "vd"
    return SENet.Config.model_validate({"form": form, **_stages(parts, given), "project_first": form == "vd"})


def res2net(parts: Parts, given: Section) -> Res2Net.Config:
    """``Res2Net``; in the dynamic-graph release the variant is that of the stem alone."""
    given.fixed("groups", 1)
    variant = _variant(given, "b")
    return Res2Net.Config.model_validate(
        {
            "depth": given.whole("depth", 50),
            "base_width": given.whole("width", 26, MOST_CHANNELS),
            "scales": given.whole("scales", 4, 64),
            "first_sums": True,
            "pool_padding": False,
            **_stages(parts, given),
            **_form(variant if parts.static else "b"),
            "stem": _form(variant)["stem"],
            "project_first": parts.static and variant == "d",
        }
    )


def hrnet(parts: Parts, given: Section) -> HRNet.Config:
    """``HRNet``, which resizes with corners on corners in static releases and freezes returned maps, not stages."""
    given.ignore("norm_momentum")  # of training
    given.fixed("has_se", False)
    given.fixed("upsample", False)
    given.fixed("downsample", False)
    given.fixed("return_idx", [0, 1, 2, 3])
    given.fixed("feature_maps", [2, 3, 4, 5])
    # one map; in static releases the stages up to one, counted from 2
    frozen = given.whole("freeze_at", 0)
    stopped = range(frozen - 1) if parts.static else (frozen,) if frozen >= 0 else ()
    return HRNet.Config.model_validate(
        {
            "stopped": tuple(branch for branch in stopped if branch < 4),
            "width": given.whole("width", 40 if parts.static else 18, MOST_CHANNELS),
            "resize": "corners" if parts.static else "nearest",
            **_frozen_norm(parts, given, True),
        }
    )


def darknet(parts: Parts, given: Section) -> Darknet.Config:
    """``DarkNet``-53."""
    given.fixed("depth", 53)
    given.fixed("num_stages", 5)
    given.fixed("freeze_at", -1)
    given.fixed("freeze_norm", False)
    norm(given, str(parts.shared(given, "norm_type", "bn")))
    stages = (3, 4, 5) if parts.static else tuple(index + 1 for index in given.wholes("return_idx", (2, 3, 4)))
    return Darknet.Config(out_stages=stages, norm_eval=False)


def vgg(parts: Parts, given: Section) -> VGG.Config:
    """``VGG``-16, whose further maps are the neck's."""
    given.fixed("depth", 16)
    given.ignore("with_extra_blocks", "normalizations", "extra_block_filters")  # of the neck
    return VGG.Config()


def mobilenet_v1(parts: Parts, given: Section) -> MobileNetV1.Config:
    """``MobileNet``, whose further maps are the neck's."""
    given.ignore("conv_learning_rate")  # of training
    given.ignore("extra_block_filters")  # of the neck
    extra = given.flag("with_extra_blocks", False)
    maps = (11, 13) if parts.static and extra else given.wholes("feature_maps", (4, 6, 13))
    width = given.number("conv_group_scale" if parts.static else "scale", 1)
    norm(given, str(parts.shared(given, "norm_type", "bn")))
    return MobileNetV1.Config(width=width, out_pairs=tuple(place for place in maps if place <= len(PAIRS)))


def mobilenet_v3(parts: Parts, given: Section) -> MobileNetV3.Config:
    """``MobileNetV3``."""
    size = given.word("model_name", "large")
    settings = {"size": size, "end_width": given.number("multiplier", 1), "pad_same": True}
    return MobileNetV3.Config.model_validate({**settings, **_widening(parts, given, 15 if size == "large" else 11, 1)})


def ghostnet(parts: Parts, given: Section) -> GhostNet.Config:
    """``GhostNet``."""
    return GhostNet.Config.model_validate(_widening(parts, given, 16, 1.3))


def _widening(parts: Parts, given: Section, blocks: int, width: float) -> dict[str, Any]:
    """What networks of blocks that widen share; their maps are counted from 2, the further ones behind the blocks."""
    norm(given, str(parts.shared(given, "norm_type", "bn")))
    given.fixed("freeze_norm", False)
    maps = given.wholes("feature_maps", (6, 12, 15))
    settings: dict[str, Any] = {
        "width": given.number("scale", width),
        "out_blocks": tuple(number - 1 for number in maps if number <= blocks + 1),
    }
    filters = given.take("extra_block_filters", [[256, 512], [128, 256], [128, 256], [64, 128]])
    if given.flag("with_extra_blocks", False):
        if not isinstance(filters, list):
            given.differs("extra_block_filters", "is no list of pairs of channels")
        further = tuple(range(blocks + 2, blocks + 3 + len(filters)))
        if tuple(number for number in maps if number > blocks + 1) != further:
            given.differs("feature_maps", f"has no counterpart; all of {list(further)} have")
        settings["extra"] = filters
    return settings


def _variant(given: Section, default: str) -> str:
    variant = given.word("variant", default)
    if variant not in ("a", "b", "c", "d"):
        given.differs("variant", "has no counterpart; a, b, c and d have")
    return variant


def _form(variant: str) -> dict[str, Any]:
    """a: a bottleneck's stride is in its first 1x1; c: a deep stem; d: that, and pooling before shortcuts."""
    return {
        "style": "caffe" if variant == "a" else "pytorch",
        "stem": "deep" if variant in "cd" else "conv7",
        "avg_down": variant == "d",
    }


def _resnet(parts: Parts, given: Section, groups: int, width: int, variant: str) -> ResNet.Config:
    settings = {"depth": given.whole("depth", 50), "groups": groups, "base_width": width, **_stages(parts, given)}
    settings |= _form(_variant(given, variant))
    settings["project_first"] = True
    if not parts.static and settings["strides"] == (1, 2, 2):
        settings["avg_down_stages"] = (1, 2, 3)  # the stage on RoIs is always of variant b
    settings["plugins"] = (*_non_local(given, settings["depth"]), *_context(given))
    return ResNet.Config.model_validate(settings)


def _non_local(given: Section, depth: int) -> list[dict[str, Any]]:
    stages = tuple(stage - 1 for stage in given.wholes("nonlocal_stages", ()))
    if not stages:
        return []
    if depth not in NON_LOCAL_EVERY:
        given.differs("nonlocal_stages", f"needs a depth of {', '.join(map(str, NON_LOCAL_EVERY))}")
    every = NON_LOCAL_EVERY.get(depth, 1)
    return [{"block": {"kind": "non_local"}, "stages": stages, "after": "block", "every": every}]


def _context(given: Section) -> list[dict[str, Any]]:
    stages = tuple(stage - 1 for stage in given.wholes("gcb_stages", ()))
    block = context_block(given.section("gcb_params", {}), 1 / 16)
    return [{"block": block, "stages": stages}] if stages else []


def _stages(parts: Parts, given: Section) -> dict[str, Any]:
    """What all networks of residual stages have."""
    given.ignore("num_stages")  # those behind the last one that is returned compute nothing
    first = 2 if parts.static else 0  # how the first stage is counted
    maps = given.take("feature_maps", [2, 3, 4, 5]) if parts.static else given.take("return_idx", [0, 1, 2, 3])
    stages = _counted(given, "feature_maps" if parts.static else "return_idx", maps, first)
    if not stages:
        given.differs("feature_maps" if parts.static else "return_idx", "names no stage")
    deformed = _counted(given, "dcn_v2_stages", [x for x in given.wholes("dcn_v2_stages", ()) if x != -1], first)
    frozen = given.whole("freeze_at", first) - first + 1
    count = stages[-1]
    settings: dict[str, Any] = {
        "out_stages": stages,
        "strides": (1, 2, 2, 2)[:count],
        "dilations": (1, 1, 1, 1)[:count],
        "frozen_stages": min(frozen, count) if frozen > 0 else -1,
        **_frozen_norm(parts, given, True),
    }
    if deformed:
        settings |= {"deform": {"version": 2}, "deform_stages": deformed}
    return settings


def _counted(given: Section, name: str, values: Any, first: int) -> tuple[int, ...]:
    """Stages as they are counted here, from 1 on; one may stand for a list of one."""
    values = [values] if isinstance(values, int) else values
    if not isinstance(values, list | tuple) or not all(isinstance(one, int) and 0 <= one - first < 4 for one in values):
        given.differs(name, f"is no list of stages, {first} to {first + 3}")
    return tuple(one - first + 1 for one in values)


def _frozen_norm(parts: Parts, given: Section, frozen: bool) -> dict[str, Any]:
    kind = str(parts.shared(given, "norm_type", "affine_channel" if parts.static else "bn"))
    frozen = given.flag("freeze_norm", frozen) or kind == "affine_channel"
    return {"norm": norm(given, kind), "norm_eval": frozen, "norm_frozen": frozen}


BACKBONES: dict[str, Callable[[Parts, Section], AnyBackbone]] = {
    "ResNet": resnet,
    "BlazeNet": blazenet,
    "CBResNet": cbresnet,
    "DarkNet": darknet,
    "FaceBoxNet": faceboxnet,
    "GhostNet": ghostnet,
    "HRNet": hrnet,
    "MobileNet": mobilenet_v1,
    "MobileNetV3": mobilenet_v3,
    "Res2Net": res2net,
    "ResNeXt": resnext,
    "SENet": senet,
    "VGG": vgg,
}

__all__ = ["BACKBONES", "norm", "read_backbone"]
