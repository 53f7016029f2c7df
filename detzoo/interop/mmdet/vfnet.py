"""VarifocalNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.layers import Deform
from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.fcos import ranges
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
from detzoo.methods.vfnet import VFNet


def vfnet(model: Section, input: Input) -> tuple[VFNet.Config, int]:
    """Settings and number of classes of a ``VFNet``."""
    return dense(VFNet.Config, model, input, _head, "VFNetHead")


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    parts.point_strides(head, features)
    head.fixed("use_atss", True)  # without it points lie in the middle of cells
    head.ignore("center_sampling", "center_sample_radius", "loss_cls_fl", "reg_decoded_bbox")  # not used then
    parts.distance_coder(head)
    settings = towers(head, "gn")
    head.fixed("conv_bias", "auto", settings["norm"] is None)
    for name in ("use_vfl", "sync_num_pos"):
        if not head.flag(name, True):
            head.noted(name, "has no counterpart; True has")
    met = ranges(head, len(features.strides))
    by_range = head.word("bbox_norm_type", "reg_denom") == "reg_denom"
    head.fixed("bbox_norm_type", "reg_denom", "stride")
    scored = learning.exponents(head, "VarifocalLoss", alpha=0.75, gamma=2.0, iou_weighted=True)
    refined = {"type": "GIoULoss", "loss_weight": 2.0}
    return {
        **settings,
        "deform": Deform(version=2) if head.flag("dcn_on_last_conv", False) else None,
        "reach": (*met, 2 * met[-1]) if by_range else features.strides,
        "star_gradient": head.number("gradient_mul", 0.1),
        "anchor": parts.one_anchor(head, features, octave_base_scale=8, scales_per_octave=1, ratios=[1.0]),
        "quality_weighted": scored.pop("iou_weighted", True),
        "box_loss": learning.box_loss(head, {"type": "GIoULoss", "loss_weight": 1.5}, decodes=True),
        "refined_loss": learning.box_loss(head, refined, decodes=True, name="loss_bbox_refine"),
        **scored,
        **learning.adaptive(train),
    }


__all__ = ["vfnet"]
