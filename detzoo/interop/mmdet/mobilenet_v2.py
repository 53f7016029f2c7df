"""MobileNetV2 from MMDetection's settings."""

from __future__ import annotations

from detzoo.backbones.mobilenet_v2 import MobileNetV2
from detzoo.interop.mmdet import parts
from detzoo.interop.section import Section


def mobilenet_v2(backbone: Section) -> MobileNetV2.Config:
    """``MobileNetV2``."""
    with backbone as given:
        given.fixed("conv_cfg")
        if parts.norm(given, default="bn", own=True) != "bn" or parts.norm_frozen(given):
            given.differs("norm_cfg", "has no counterpart; batch normalization that learns has")
        slope = None
        if given.has("act_cfg"):
            with given.section("act_cfg") as act:
                kind = act.kinds("ReLU6", "LeakyReLU", "ReLU")
                if kind != "ReLU6":
                    slope = act.number("negative_slope", 0.01) if kind == "LeakyReLU" else 0.0
        return MobileNetV2.Config.model_validate(
            {
                "width": given.number("widen_factor", 1.0),
                "out_stages": tuple(index + 1 for index in given.wholes("out_indices", (1, 2, 4, 7))),
                "slope": slope,
                "norm_eps": parts.norm_eps(given),
                "norm_eval": given.flag("norm_eval", False),
                "frozen_stages": given.whole("frozen_stages", -1),
                "checkpointing": given.flag("with_cp", False),
            }
        )
