"""FCOS from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.layers import Deform
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.section import Section
from detzoo.methods.fcos import FCOS


def fcos(model: Section, input: Input) -> tuple[FCOS.Config, int]:
    """Settings and number of classes of an ``FCOS`` or a ``NASFCOS``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        # nothing in train_cfg is used by the head
        given.ignore("train_cfg")
        with given.section("bbox_head") as head, given.section("test_cfg") as test:
            searched = head.kinds("FCOSHead", "NASFCOSHead") == "NASFCOSHead"
            parts.derived(head, "in_channels", features.channels[0])
            parts.derived(head, "strides", features.strides)
            head.fixed("conv_cfg")
            head.ignore("init_cfg")  # where training began
            parts.distance_coder(head)
            learning.cross_entropy(head, sigmoid=True, name="loss_centerness", decides=False)
            norm = parts.norm(head) if "norm_cfg" in head.values else "gn"
            if norm is None:
                head.fixed("conv_bias", "auto", True)
            centred = head.flag("center_sampling", False)
            radius = head.number("center_sample_radius", 1.5)
            settings: dict[str, Any] = {
                "convs": head.whole("stacked_convs", 4, MOST_LAYERS),
                "channels": head.whole("feat_channels", 256, MOST_CHANNELS),
                "norm": norm,
                "bias": norm is not None and head.take("conv_bias", "auto") is True,
                "deform": Deform(version=2) if head.flag("dcn_on_last_conv", False) else None,
                "searched": searched,
                "in_strides": head.flag("norm_on_bbox", False),
                "centerness_on_reg": head.flag("centerness_on_reg", False),
                "ranges": ranges(head, len(features.strides)),
                "radius": radius if centred else None,
                "box_loss": learning.box_loss(head, {"type": "IoULoss"}, decodes=True),
                **learning.focal(head),
                **parts.dense_tests(test),
            }
            classes = head.whole("num_classes")
        made = FCOS.Head.model_validate(settings)
        return FCOS.Config(input=input, backbone=backbone, neck=neck, head=made), classes


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
