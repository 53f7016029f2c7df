"""Backbones from MMDetection's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.detectors_resnet import DetectorsResNet
from detzoo.backbones.regnet import TITLES, RegNet
from detzoo.backbones.res2net import Res2Net
from detzoo.backbones.resnest import ResNeSt
from detzoo.backbones.resnet import ResNet
from detzoo.config import ConfigError
from detzoo.interop.mmdet import parts
from detzoo.interop.mmdet.hrnet import hrnet
from detzoo.interop.mmdet.mobilenet_v2 import mobilenet_v2
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.mmdet.plugins import plugins
from detzoo.interop.mmdet.swin import swin
from detzoo.interop.mmdet.timm_backbone import convnext, timm
from detzoo.interop.section import Section
from detzoo.methods.tridentnet import TridentResNet
from detzoo.recipes.blueprint import without_memory


def backbone(given: Section) -> tuple[AnyBackbone, Features]:
    """Settings of whichever backbone it is, and the maps that it returns.

    Raises:
        ConfigError: it cannot be read, or not be built.
    """
    config = READERS[given.kinds(*READERS)](given)
    try:
        with without_memory():
            made = config.build()
    except ValueError as error:
        raise ConfigError(f"{given.path} does not fit: {error}") from None
    return config, Features(made.channels, made.strides)


def resnet(backbone: Section) -> ResNet.Config:
    """``ResNet``, ``ResNeXt`` and ``ResNetV1d``."""
    with backbone as given:
        return ResNet.Config.model_validate(_resnet(given, given.kinds("ResNet", "ResNeXt", "ResNetV1d")))


def detectors_resnet(backbone: Section, feedback: int | None = None) -> DetectorsResNet.Config:
    """``DetectoRS_ResNet`` and ``DetectoRS_ResNeXt``; as a step of ``RFP`` it is given ``feedback`` channels."""
    with backbone as given:
        kind = given.kinds("DetectoRS_ResNet", "DetectoRS_ResNeXt").removeprefix("DetectoRS_")
        if given.section("conv_cfg", {"type": "Conv2d"}).kind != "ConvAWS":
            given.differs("conv_cfg", "has no counterpart; {'type': 'ConvAWS'} has")
        parts.derived(given, "rfp_inplanes", -1 if feedback is None else feedback)
        settings = _resnet(given, kind, standardize=False)
        switchable = given.take("stage_with_sac", ())
        if given.has("sac"):
            with given.section("sac") as sac:
                sac.kinds("SAC")
                if not sac.flag("use_deform", False):
                    sac.differs("type", "has no counterpart without use_deform=True")
            settings["switchable_stages"] = tuple(number for number, one in enumerate(switchable, 1) if one is True)
        settings["with_image"] = given.flag("output_img", False)
        return DetectorsResNet.Config.model_validate(settings)


def trident_resnet(backbone: Section) -> TridentResNet.Config:
    """``TridentResNet``."""
    with backbone as given:
        settings = _resnet(given, "ResNet")
        branches = given.wholes("trident_dilations")
        parts.derived(given, "num_branch", len(branches))
        used = given.whole("test_branch_idx")
        if not 0 <= used < len(branches):
            given.differs("test_branch_idx", "has no counterpart; the number of a branch, from 0 on, has")
        # `dilations` of the last stage are ignored there
        settings |= {"branches": branches, "dilations": (*settings["dilations"][:-1], branches[used])}
        return TridentResNet.Config.model_validate(settings)


def _resnet(given: Section, kind: str, standardize: bool | None = None) -> dict[str, Any]:
    """What all kinds of ResNet share; ``standardize``: see `_stages`."""
    return {
        "depth": given.whole("depth"),
        "stem": "deep" if given.flag("deep_stem", kind == "ResNetV1d") else "conv7",
        "avg_down": given.flag("avg_down", kind == "ResNetV1d"),
        "groups": given.whole("groups", 1, MOST_CHANNELS) if kind == "ResNeXt" else 1,
        "base_width": given.whole("base_width", 4, MOST_CHANNELS) if kind == "ResNeXt" else 64,
        **_stages(given, (1, 2, 2, 2), standardize),
    }


def res2net(backbone: Section) -> Res2Net.Config:
    """``Res2Net``."""
    with backbone as given:
        given.ignore("deep_stem", "avg_down")  # MMDetection has them True, and the style "pytorch", whatever is said
        return Res2Net.Config.model_validate(
            {
                "depth": given.whole("depth"),
                "scales": given.whole("scales", 4, most=64),
                "base_width": given.whole("base_width", 26, MOST_CHANNELS),
                **_stages(given, (1, 2, 2, 2)),
                "style": "pytorch",
            }
        )


def resnest(backbone: Section) -> ResNeSt.Config:
    """``ResNeSt``."""
    with backbone as given:
        return ResNeSt.Config.model_validate(
            {
                "depth": given.whole("depth"),
                "stem_width": given.whole("stem_channels", 64, MOST_CHANNELS),
                "radix": given.whole("radix", 2, MOST_CHANNELS),
                "reduction": given.whole("reduction_factor", 4, MOST_CHANNELS),
                "groups": given.whole("groups", 1, MOST_CHANNELS),
                "base_width": given.whole("base_width", 4, MOST_CHANNELS),
                "pool_stride": given.flag("avg_down_stride", True),
                **_stages(given, (1, 2, 2, 2), stem=None),
            }
        )


def regnet(backbone: Section) -> RegNet.Config:
    """``RegNet`` by the name of a published one or by its numbers."""
    with backbone as given:
        for name in ("deep_stem", "avg_down"):
            given.fixed(name, False)
        return RegNet.Config.model_validate({**_shape(given), **_stages(given, (2, 2, 2, 2), stem=32, base=32)})


def _shape(backbone: Section) -> dict[str, Any]:
    """``arch``: how wide and deep a RegNet is."""
    if isinstance(backbone.take("arch"), str):
        name = backbone.word("arch")
        known = {title.lower().replace("-", "_"): numbers for numbers, title in TITLES.items()}
        if name not in known:
            backbone.differs("arch", f"is none of {', '.join(known)}")
        return dict(zip(("depth", "initial_width", "slope", "ratio", "group_width"), known[name], strict=True))
    with backbone.section("arch") as given:
        given.fixed("bot_mul", 1)
        return {
            "depth": given.whole("depth"),
            "initial_width": given.whole("w0", most=MOST_CHANNELS),
            "slope": given.number("wa"),
            "ratio": given.number("wm"),
            "group_width": given.whole("group_w", most=MOST_CHANNELS),
        }


def _stages(
    backbone: Section,
    strides: tuple[int, ...],
    standardize: bool | None = None,
    stem: int | None = 64,
    base: int = 64,
) -> dict[str, Any]:
    """What all networks of residual stages have; ``strides`` where they are left out.

    Whether weights are standardized is ``standardize``, where ``conv_cfg`` says something else. The channels of the
    stem, if it has no setting here, and of the first stage are what they always are.
    """
    for name, always in (("in_channels", 3), ("stem_channels", stem), ("base_channels", base)):
        if always is not None:
            backbone.fixed(name, always)
    stages = backbone.whole("num_stages", 4, most=4)
    return {
        "style": backbone.word("style", "pytorch"),
        "strides": backbone.wholes("strides", strides[:stages], stages),
        "dilations": backbone.wholes("dilations", (1, 1, 1, 1)[:stages], stages),
        "out_stages": tuple(index + 1 for index in backbone.wholes("out_indices", (0, 1, 2, 3))),
        "standardize": parts.standardized(backbone) if standardize is None else standardize,
        "norm": parts.norm(backbone, default="bn", own=True),
        "norm_eps": parts.norm_eps(backbone),
        "norm_eval": backbone.flag("norm_eval", True),
        "norm_frozen": parts.norm_frozen(backbone),
        "frozen_stages": backbone.whole("frozen_stages", -1),
        "zero_init": backbone.flag("zero_init_residual", True),
        "checkpointing": backbone.flag("with_cp", False),
        "plugins": plugins(backbone, stages),
        **_deformed(backbone),
    }


def _deformed(backbone: Section) -> dict[str, Any]:
    """``dcn`` in the stages of ``stage_with_dcn``, as settings ``deform`` and ``deform_stages``."""
    which = backbone.take("stage_with_dcn", ())
    if not isinstance(which, list | tuple) or not all(isinstance(one, bool) for one in which):
        backbone.differs("stage_with_dcn", "is no list of True and False")
    if not backbone.has("dcn"):
        return {}
    made = parts.deform(backbone.section("dcn"))
    stages = tuple(number for number, one in enumerate(which, 1) if one)
    return {"deform": made, "deform_stages": stages} if stages else {}


# MMDetection's type of backbone -> what reads its settings
READERS: dict[str, Callable[[Section], AnyBackbone]] = {
    "DetectoRS_ResNeXt": detectors_resnet,
    "DetectoRS_ResNet": detectors_resnet,
    "HRNet": hrnet,
    "MobileNetV2": mobilenet_v2,
    "RegNet": regnet,
    "Res2Net": res2net,
    "ResNeSt": resnest,
    "ResNet": resnet,
    "ResNeXt": resnet,
    "ResNetV1d": resnet,
    "SwinTransformer": swin,
    "TridentResNet": trident_resnet,
    "mmcls.ConvNeXt": convnext,
    "mmcls.TIMMBackbone": timm,
    "mmpretrain.ConvNeXt": convnext,
    "mmpretrain.TIMMBackbone": timm,
}

__all__ = ["READERS", "backbone", "detectors_resnet"]
