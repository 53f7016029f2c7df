"""Settings of necks with a reader of their own from MMDetection's: pyramids but FPN, and the dilated encoder."""

from __future__ import annotations

from detzoo.interop.mmdet import backbones, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section
from detzoo.necks.bfp import BFP
from detzoo.necks.dilated_encoder import DilatedEncoder
from detzoo.necks.fpg import FPG
from detzoo.necks.fpn import FPN
from detzoo.necks.fpn_carafe import FPNCarafe
from detzoo.necks.nas_fcos import USED, NASFCOSNeck
from detzoo.necks.nas_fpn import LEVELS, NASFPN
from detzoo.necks.rfp import RFP

_BEFORE = ("act", "conv", "norm")  # order of a convolution that looks at its input through ReLU


def dilated_encoder(neck: Section, features: Features) -> DilatedEncoder.Config:
    """``DilatedEncoder``."""
    with neck as given:
        parts.derived(given, "in_channels", features.channels[-1])
        dilations = given.wholes("block_dilations")
        parts.derived(given, "num_residual_blocks", len(dilations))
        return DilatedEncoder.Config.model_validate(
            {
                "out_channels": given.whole("out_channels", most=MOST_CHANNELS),
                "inner_channels": given.whole("block_mid_channels", most=MOST_CHANNELS),
                "dilations": dilations,
            }
        )


def nas_fpn(neck: Section, features: Features) -> NASFPN.Config:
    """``NASFPN``."""
    with neck as given:
        parts.derived(given, "in_channels", features.channels)
        parts.derived(given, "num_outs", LEVELS)
        given.ignore("add_extra_convs")  # version 2 takes it and does not use it
        return NASFPN.Config.model_validate(
            {
                "out_channels": given.whole("out_channels", most=MOST_CHANNELS),
                "stacks": given.whole("stack_times", most=64),
                **parts.used(given, features),
                "norm": parts.norm(given),
            }
        )


def nas_fcos(neck: Section, features: Features) -> NASFCOSNeck.Config:
    """``NASFCOS_FPN``."""
    with neck as given:
        parts.derived(given, "in_channels", features.channels)
        # it adds three maps of these numbers to what the cells give
        given.fixed("start_level", 1)
        if len(features.channels) != USED + 1:
            given.differs("in_channels", f"has no counterpart; those of {USED + 1} maps have")
        given.fixed("end_level", -1, USED)
        given.ignore("add_extra_convs")  # is not used
        return NASFCOSNeck.Config.model_validate(
            {
                "out_channels": given.whole("out_channels", most=MOST_CHANNELS),
                "levels": given.whole("num_outs", most=16),
                "norm": parts.norm(given),
                "deform": parts.deform(given.section("conv_cfg")) if given.has("conv_cfg") else None,
            }
        )


def fpg(neck: Section, features: Features) -> FPG.Config:
    """``FPG`` of bottom-up pathways in the form of the paper."""
    with neck as given:
        parts.derived(given, "in_channels", features.channels)
        levels, pathways = given.whole("num_outs", most=16), given.whole("stack_times", most=64)
        given.fixed("paths", ["bu"] * pathways)
        given.fixed("skip_inds", [tuple(range(levels - 1 - level)) for level in range(levels)])
        for name in ("same_down_trans", "across_up_trans"):
            given.fixed(name)
        norms = {
            _transition(given, "same_up_trans", "conv", kernel_size=3, stride=2, padding=1),
            _transition(given, "across_lateral_trans", "conv", kernel_size=1),
            _transition(given, "across_down_trans", "interpolation_conv", kernel_size=3, mode="nearest"),
            _transition(given, "across_skip_trans", "conv", kernel_size=1),
        }
        if len(norms) > 1:
            given.differs("across_lateral_trans", "has another normalization than the other transitions")
        if _transition(given, "output_trans", "last_conv", kernel_size=3) is not None:
            given.differs("output_trans", "has no counterpart; one without norm_cfg has")
        given.ignore("norm_cfg")  # not used
        width = given.whole("out_channels", most=MOST_CHANNELS)
        return FPG.Config.model_validate(
            {
                "out_channels": width,
                "inter_channels": given.whole("inter_channels", width, MOST_CHANNELS),
                "levels": levels,
                "pathways": pathways,
                **parts.used(given, features),
                "extra": "conv" if given.flag("add_extra_convs", False) else "pool",
                "norm": norms.pop(),
            }
        )


def bfp(neck: Section, pyramid: FPN.Config) -> BFP.Config:
    """``BFP`` behind a pyramid."""
    with neck as given:
        parts.derived(given, "in_channels", pyramid.out_channels)
        parts.derived(given, "num_levels", pyramid.levels)
        for name in ("conv_cfg", "norm_cfg"):
            given.fixed(name)
        given.fixed("refine_type", "conv", "non_local")
        kinds = {"non_local": "attention", "conv": "conv"}
        refine = kinds.get(given.take("refine_type"))
        settings = {"pyramid": pyramid, "level": given.whole("refine_level", 2, most=16), "refine": refine}
        return BFP.Config.model_validate(settings)


def fpn_carafe(neck: Section, features: Features) -> FPNCarafe.Config:
    """``FPN_CARAFE`` that upsamples by ``carafe``."""
    with neck as given:
        parts.derived(given, "in_channels", features.channels)
        given.fixed("act_cfg")
        given.fixed("order", ("conv", "norm", "act"))
        return FPNCarafe.Config.model_validate(
            {
                "out_channels": given.whole("out_channels", most=MOST_CHANNELS),
                "levels": given.whole("num_outs", most=16),
                **parts.used(given, features),
                "norm": parts.norm(given),
                "upsample": parts.carafe(given.section("upsample_cfg", {"type": "carafe"})),
            }
        )


def rfp(neck: Section, features: Features) -> RFP.Config:
    """``RFP`` on the picture and the maps of a backbone."""
    with neck as given:
        parts.derived(given, "in_channels", features.channels[1:])
        for name in ("conv_cfg", "act_cfg", "add_extra_convs", "norm_cfg"):
            given.fixed(name, False)
        given.fixed("upsample_cfg", {"mode": "nearest"})
        given.ignore("no_norm_on_lateral", "relu_before_extra_convs")  # without such
        given.fixed("start_level", 0)
        given.fixed("end_level", -1)
        *dilations, last = given.wholes("aspp_dilations", (1, 3, 6, 1))
        if last != 1:
            given.differs("aspp_dilations", "has no counterpart; one that ends with 1 has")
        width = given.whole("aspp_out_channels", most=MOST_CHANNELS)
        again = given.section("rfp_backbone")
        return RFP.Config.model_validate(
            {
                "out_channels": given.whole("out_channels", most=MOST_CHANNELS),
                "levels": given.whole("num_outs", most=16),
                "backbone": backbones.detectors_resnet(again, width * (len(dilations) + 1)),
                "steps": given.whole("rfp_steps", most=8),
                "aspp_channels": width,
                "aspp_dilations": dilations,
            }
        )


def _transition(neck: Section, name: str, kind: str, **settings: object) -> str | None:
    """The normalization of one kind of connection, which has to be a convolution of these ``settings``."""
    with neck.section(name) as given:
        given.kinds(kind)
        for one, value in settings.items():
            given.fixed(one, value)
        given.fixed("order", _BEFORE)
        if not given.has("order"):
            given.differs("type", f"has no counterpart without order={_BEFORE}")
        return parts.norm(given)


__all__ = ["bfp", "fpg", "fpn_carafe", "nas_fcos", "nas_fpn", "rfp"]
