"""Necks from MMDetection's settings."""

from __future__ import annotations

from collections.abc import Callable

from detzoo.config import ConfigError
from detzoo.interop.mmdet import parts, pyramids
from detzoo.interop.mmdet.hrnet import hrfpn
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS, Features
from detzoo.interop.section import Section
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.channel_mapper import ChannelMapper
from detzoo.necks.fpn import FPN
from detzoo.necks.no_neck import NoNeck
from detzoo.necks.pafpn import PAFPN
from detzoo.recipes.blueprint import without_memory


def neck(model: Section, features: Features) -> tuple[AnyNeck, Features]:
    """Settings of a model's ``neck`` on the maps of a backbone, and the maps that it returns; it may have none.

    A list of necks is one neck, or `FPN` and its balance.

    Raises:
        ConfigError: it cannot be read, or not be built on these maps.
    """
    sections = model.sections("neck") if model.has("neck") else []
    if not sections:
        return NoNeck.Config(), features
    given, *further = sections
    config = READERS[given.kinds(*READERS)](given, features)
    for more in further:
        if not isinstance(config, FPN.Config) or more.kind != "BFP":
            more.differs("type", "is a further part of the neck, which has no counterpart; BFP behind FPN has")
        else:
            config = pyramids.bfp(more, config)
    try:
        with without_memory():
            made = config.build(features.channels, features.strides)
    except ValueError as error:
        raise ConfigError(f"{given.path} does not fit: {error}") from None
    return config, Features(made.channels, made.strides)


def fpn(neck: Section, features: Features) -> AnyNeck:
    """``FPN`` on the maps of a backbone, and ``PAFPN``, which has the same settings."""
    with neck as given:
        kind = PAFPN.Config if given.kinds("FPN", "PAFPN") == "PAFPN" else FPN.Config
        parts.derived(given, "in_channels", features.channels)
        given.fixed("act_cfg")
        with given.section("upsample_cfg", {}) as resized:
            upsample = resized.word("mode", "nearest")
            resized.fixed("mode", "nearest", "bilinear")
            resized.fixed("align_corners", False)
        extra = given.take("add_extra_convs", False)
        if extra is True:  # an old switch chose between two
            extra = "on_input" if given.flag("extra_convs_on_inputs", True) else "on_output"
        given.ignore("extra_convs_on_inputs")  # without extra convolutions
        return kind.model_validate(
            {
                "out_channels": given.whole("out_channels", most=MOST_CHANNELS),
                "levels": given.whole("num_outs", most=16),
                **parts.used(given, features),
                "extra": extra or "pool",
                "upsample": upsample,
                "relu_before_extra": given.flag("relu_before_extra_convs", False),
                "norm": parts.norm(given),
                "norm_on_lateral": not given.flag("no_norm_on_lateral", False),
                "standardize": parts.standardized(given),
            }
        )


def channel_mapper(neck: Section, features: Features) -> tuple[ChannelMapper.Config, Features]:
    """``ChannelMapper`` without an activation on the maps of a backbone."""
    with neck as given:
        given.kinds("ChannelMapper")
        parts.derived(given, "in_channels", features.channels)
        extra = given.whole("num_outs", len(features.channels), MOST_LAYERS) - len(features.channels)
        if extra < 0:
            given.differs("num_outs", f"is less than the backbone's {len(features.channels)} maps")
        given.fixed("conv_cfg")
        if given.take("act_cfg", {"type": "ReLU"} if "act_cfg" not in given.values else None) is not None:
            given.differs("act_cfg", "has no counterpart (left out it is ReLU); None has")
        kind = parts.norm(given)
        given.fixed("bias", "auto", kind is None)
        width = given.whole("out_channels", most=MOST_CHANNELS)
        settings = {"out_channels": width, "kernel": given.whole("kernel_size", 3), "norm": kind, "extra": extra}
        config = ChannelMapper.Config.model_validate(settings)
        further = tuple(features.strides[-1] * 2 ** (index + 1) for index in range(extra))
        return config, Features((width,) * (len(features.channels) + extra), (*features.strides, *further))


# MMDetection's type of neck -> what reads its settings
READERS: dict[str, Callable[[Section, Features], AnyNeck]] = {
    "DilatedEncoder": pyramids.dilated_encoder,
    "FPG": pyramids.fpg,
    "FPN": fpn,
    "FPN_CARAFE": pyramids.fpn_carafe,
    "HRFPN": hrfpn,
    "NASFCOS_FPN": pyramids.nas_fcos,
    "NASFPN": pyramids.nas_fpn,
    "PAFPN": fpn,
    "RFP": pyramids.rfp,
}

__all__ = ["READERS", "channel_mapper", "neck"]
