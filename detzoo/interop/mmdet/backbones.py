"""Backbones from MMDetection's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.detectors_resnet import DetectorsResNet
from detzoo.backbones.resnet import ResNet
from detzoo.config import ConfigError
from detzoo.interop.mmdet import parts
from detzoo.interop.mmdet.hrnet import hrnet
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.mmdet.plugins import plugins
from detzoo.interop.mmdet.section import Section


def backbone(given: Section) -> tuple[AnyBackbone, Features]:
    """Settings of whichever backbone it is, and the maps that it returns.

    Raises:
        ConfigError: it cannot be read, or not be built.
    """
    config = READERS[given.kinds(*READERS)](given)
    try:
        with torch.device("meta"):
            made = config.build()
    except ValueError as error:
        raise ConfigError(f"{given.path} does not fit: {error}") from None
    return config, Features(made.channels, made.strides)


def resnet(backbone: Section) -> ResNet.Config:
    """``ResNet``, ``ResNeXt`` and ``ResNetV1d``."""
    with backbone as given:
        given.fixed("conv_cfg")
        return ResNet.Config.model_validate(_resnet(given, given.kinds("ResNet", "ResNeXt", "ResNetV1d")))


def detectors_resnet(backbone: Section, feedback: int | None = None) -> DetectorsResNet.Config:
    """``DetectoRS_ResNet`` and ``DetectoRS_ResNeXt``; as a step of ``RFP`` it is given ``feedback`` channels."""
    with backbone as given:
        kind = given.kinds("DetectoRS_ResNet", "DetectoRS_ResNeXt").removeprefix("DetectoRS_")
        if given.section("conv_cfg", {"type": "Conv2d"}).kind != "ConvAWS":
            given.differs("conv_cfg", "has no counterpart; {'type': 'ConvAWS'} has")
        parts.derived(given, "rfp_inplanes", -1 if feedback is None else feedback)
        settings = _resnet(given, kind)
        switchable = given.take("stage_with_sac", ())
        if given.has("sac"):
            with given.section("sac") as sac:
                sac.kinds("SAC")
                if not sac.flag("use_deform", False):
                    sac.differs("type", "has no counterpart without use_deform=True")
            settings["switchable_stages"] = tuple(number for number, one in enumerate(switchable, 1) if one is True)
        settings["with_image"] = given.flag("output_img", False)
        return DetectorsResNet.Config.model_validate(settings)


def _resnet(given: Section, kind: str) -> dict[str, Any]:
    """What all kinds of ResNet share."""
    given.fixed("in_channels", 3)
    given.fixed("stem_channels", 64)
    given.fixed("base_channels", 64)
    given.ignore("pretrained", "init_cfg")  # where training began
    stages = given.whole("num_stages", 4, most=4)
    return {
        "depth": given.whole("depth"),
        "style": given.word("style", "pytorch"),
        "stem": "deep" if given.flag("deep_stem", kind == "ResNetV1d") else "conv7",
        "avg_down": given.flag("avg_down", kind == "ResNetV1d"),
        "groups": given.whole("groups", 1, MOST_CHANNELS) if kind == "ResNeXt" else 1,
        "base_width": given.whole("base_width", 4, MOST_CHANNELS) if kind == "ResNeXt" else 64,
        "strides": given.wholes("strides", (1, 2, 2, 2)[:stages], stages),
        "dilations": given.wholes("dilations", (1, 1, 1, 1)[:stages], stages),
        "out_stages": tuple(index + 1 for index in given.wholes("out_indices", (0, 1, 2, 3))),
        "norm": parts.norm(given, default="bn"),
        "norm_eval": given.flag("norm_eval", True),
        "norm_frozen": parts.norm_frozen(given),
        "frozen_stages": given.whole("frozen_stages", -1),
        "zero_init": given.flag("zero_init_residual", True),
        "checkpointing": given.flag("with_cp", False),
        "plugins": plugins(given, stages),
        **_deformed(given),
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
    "ResNet": resnet,
    "ResNeXt": resnet,
    "ResNetV1d": resnet,
}

__all__ = ["READERS", "backbone", "detectors_resnet"]
