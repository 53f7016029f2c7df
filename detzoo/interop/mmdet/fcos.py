"""FCOS from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.layers import Deform
from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
from detzoo.methods.fcos import FCOS


def fcos(model: Section, input: Input) -> tuple[FCOS.Config, int]:
    """Settings and number of classes of an ``FCOS`` or a ``NASFCOS``."""
    return dense(FCOS.Config, model, input, _head, "FCOSHead", "NASFCOSHead")


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    train.ignore(*train.values)  # nothing in it is used
    parts.point_strides(head, features)
    parts.distance_coder(head)
    learning.cross_entropy(head, sigmoid=True, name="loss_centerness", decides=False)
    settings = towers(head, "gn")
    normed = settings["norm"] is not None
    if not normed:
        head.fixed("conv_bias", "auto", True)
    centred = head.flag("center_sampling", False)
    radius = head.number("center_sample_radius", 1.5)
    return {
        **settings,
        "bias": normed and head.take("conv_bias", "auto") is True,
        "deform": Deform(version=2) if head.flag("dcn_on_last_conv", False) else None,
        "searched": head.kind == "NASFCOSHead",
        "in_strides": head.flag("norm_on_bbox", False),
        "centerness_on_reg": head.flag("centerness_on_reg", False),
        "ranges": ranges(head, len(features.strides)),
        "radius": radius if centred else None,
        "box_loss": learning.box_loss(head, {"type": "IoULoss"}, decodes=True),
        **learning.focal(head),
    }


def ranges(head: Section, levels: int) -> tuple[float, ...]:
    """Where the sizes of ``regress_ranges`` meet: each level begins where the one before it ends."""
    default = FCOS.Head().ranges
    if not head.has("regress_ranges"):
        return default
    given = head.take("regress_ranges")
    if isinstance(given, list | tuple) and len(given) == levels:
        ends = [one for pair in given if isinstance(pair, list | tuple) for one in pair]
        if len(ends) == 2 * levels and all(isinstance(end, int | float) for end in ends):
            met = tuple(ends[1:-1:2])
            if met == tuple(ends[2::2]) and ends[0] <= 0 and ends[-1] >= 1e5:
                return met
    head.noted("regress_ranges", "has no counterpart: levels have to follow each other, from 0 on")
    return default


__all__ = ["fcos", "ranges"]
