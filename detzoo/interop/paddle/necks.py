"""Feature pyramids from PaddleDetection's settings, in the spelling of both kinds of releases."""

from __future__ import annotations

from typing import Any

from detzoo.interop.paddle.backbones import BACKBONES, norm
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.section import Section
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.bfp import BFP
from detzoo.necks.fpn import FPN
from detzoo.necks.hrfpn import HRFPN


def read_neck(parts: Parts, model: Section, slot: str | None = None) -> AnyNeck:
    """Settings of the feature pyramid in a slot, ``neck``, or ``fpn`` of static releases."""
    slot = slot or ("fpn" if parts.static else "neck")
    with parts.part(model, slot, "FPN", "HRFPN", *(("BFP",) if parts.static else ())) as given:
        if given.kind == "HRFPN":
            return hrfpn(parts, given)
        if given.kind == "BFP":
            return bfp(parts, given)
        maps = 0 if parts.static else len(_maps(parts, model))
        return _fpn(parts, given, maps)


def hrfpn(parts: Parts, given: Section) -> HRFPN.Config:
    """``HRFPN``, of four maps."""
    given.ignore("spatial_scales", "spatial_scale")  # follow from the backbone
    given.fixed("share_conv", False)
    width = given.whole("num_chan" if parts.static else "out_channel", 256)
    levels = 5 if parts.static else 4 + given.whole("extra_stage", 1, most=16)
    bias = given.flag("use_bias", False)
    return HRFPN.Config(out_channels=width, levels=levels, bias=bias, corners=parts.static)


def bfp(parts: Parts, given: Section) -> BFP.Config:
    """``BFP`` of static releases, on a pyramid in ``base_neck``."""
    with parts.part(given, "base_neck", "FPN") as base:
        pyramid = _fpn(parts, base, 0)
    given.fixed("refine_type", "nonlocal")
    given.fixed("nonlocal_reduction", 1)
    return BFP.Config(pyramid=pyramid, level=given.whole("refine_level", 2, most=16), resize="corners")


def _maps(parts: Parts, model: Section) -> tuple[int, ...]:
    return parts.part(model, "backbone", *BACKBONES).wholes("return_idx", (0, 1, 2, 3))


def _fpn(parts: Parts, given: Section, maps: int) -> FPN.Config:
    """``FPN`` of a backbone's ``maps``, of which static releases tell the levels."""
    given.ignore("spatial_scales", "spatial_scale")  # follow from the backbone
    settings: dict[str, Any] = {"out_channels": given.whole("num_chan" if parts.static else "out_channel", 256)}
    if given.has("norm_type"):
        settings["norm"] = norm(given, given.word("norm_type"))
    given.fixed("freeze_norm", False)
    if parts.static:
        settings["levels"] = given.whole("max_level", 6, most=16) - given.whole("min_level", 2, most=16) + 1
    else:
        settings["levels"] = maps + given.whole("extra_stage", 1, most=16)
    if given.flag("has_extra_convs", False):
        settings["extra"] = "on_input" if given.flag("use_c5", True) else "on_output"
        settings["relu_before_extra"] = given.flag("relu_before_extra_convs", True)
    given.ignore("use_c5", "relu_before_extra_convs")  # without extra convolutions
    return FPN.Config.model_validate(settings)


__all__ = ["read_neck"]
