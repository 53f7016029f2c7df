"""FoveaBox from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section
from detzoo.methods.foveabox import FoveaBox


def foveabox(model: Section, input: Input) -> tuple[FoveaBox.Config, int]:
    """Settings and number of classes of a ``FOVEA``."""
    config, classes = dense(FoveaBox.Config, model, input, _head, "FoveaHead")
    empty = parts.keeps_empty(model.section("test_cfg"))
    return config.replace(head=config.head.replace(empty=empty)), classes


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    train.ignore(*train.values)  # nothing in it is used
    parts.point_strides(head, features)
    head.fixed("conv_bias", "auto")
    head.fixed("dcn_on_last_conv", False)
    return {
        **towers(head),
        "align": head.flag("with_deform", False),
        "deform_groups": head.whole("deform_groups", 4, MOST_CHANNELS),
        "edges": head.numbers("base_edge_list", (16, 32, 64, 128, 256)),
        "ranges": head.take("scale_ranges", ((8, 32), (16, 64), (32, 128), (64, 256), (128, 512))),
        "fovea": head.number("sigma", 0.4),
        "box_loss": learning.box_loss(head, {"type": "IoULoss"}, decodes=False),
        **learning.focal(head),
    }


__all__ = ["foveabox"]
