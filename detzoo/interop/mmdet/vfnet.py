"""VarifocalNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.layers import Deform
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts
from detzoo.interop.mmdet.fcos import ranges
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.section import Section
from detzoo.methods.vfnet import VFNet


def vfnet(model: Section, input: Input) -> tuple[VFNet.Config, int]:
    """Settings and number of classes of a ``VFNet``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            head.kinds("VFNetHead")
            parts.derived(head, "in_channels", features.channels[0])
            parts.derived(head, "strides", features.strides)
            head.fixed("conv_cfg")
            head.fixed("use_atss", True)  # without it points lie in the middle of cells
            head.ignore("init_cfg")  # where training began
            head.ignore("center_sampling", "center_sample_radius", "loss_cls_fl", "reg_decoded_bbox")  # not used then
            parts.distance_coder(head)
            norm = parts.norm(head) if "norm_cfg" in head.values else "gn"
            head.fixed("conv_bias", "auto", norm is None)
            for name in ("use_vfl", "sync_num_pos"):
                if not head.flag(name, True):
                    head.noted(name, "has no counterpart; True has")
            met = ranges(head, len(features.strides))
            by_range = head.word("bbox_norm_type", "reg_denom") == "reg_denom"
            head.fixed("bbox_norm_type", "reg_denom", "stride")
            scored = learning.exponents(head, "VarifocalLoss", alpha=0.75, gamma=2.0, iou_weighted=True)
            refined = {"type": "GIoULoss", "loss_weight": 2.0}
            settings: dict[str, Any] = {
                "convs": head.whole("stacked_convs", 4, MOST_LAYERS),
                "channels": head.whole("feat_channels", 256, MOST_CHANNELS),
                "norm": norm,
                "deform": Deform(version=2) if head.flag("dcn_on_last_conv", False) else None,
                "reach": (*met, 2 * met[-1]) if by_range else features.strides,
                "star_gradient": head.number("gradient_mul", 0.1),
                "anchor": parts.one_anchor(head, features, octave_base_scale=8, scales_per_octave=1, ratios=[1.0]),
                "quality_weighted": scored.pop("iou_weighted", True),
                "box_loss": learning.box_loss(head, {"type": "GIoULoss", "loss_weight": 1.5}, decodes=True),
                "refined_loss": learning.box_loss(head, refined, decodes=True, name="loss_bbox_refine"),
                **scored,
                **learning.adaptive(train),
                **parts.dense_tests(test),
            }
            classes = head.whole("num_classes")
        made = VFNet.Head.model_validate(settings)
        return VFNet.Config(input=input, backbone=backbone, neck=neck, head=made), classes


__all__ = ["vfnet"]
