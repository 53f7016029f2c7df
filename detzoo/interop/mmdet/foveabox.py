"""FoveaBox from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.section import Section
from detzoo.methods.foveabox import FoveaBox


def foveabox(model: Section, input: Input) -> tuple[FoveaBox.Config, int]:
    """Settings and number of classes of a ``FOVEA``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        # nothing in train_cfg is used by the head
        given.ignore("train_cfg")
        with given.section("bbox_head") as head, given.section("test_cfg") as test:
            head.kinds("FoveaHead")
            parts.derived(head, "in_channels", features.channels[0])
            parts.derived(head, "strides", features.strides)
            head.fixed("conv_cfg")
            head.fixed("conv_bias", "auto")
            head.fixed("dcn_on_last_conv", False)
            head.ignore("init_cfg")  # where training began
            settings: dict[str, Any] = {
                "convs": head.whole("stacked_convs", 4, MOST_LAYERS),
                "channels": head.whole("feat_channels", 256, MOST_CHANNELS),
                "norm": parts.norm(head),
                "align": head.flag("with_deform", False),
                "deform_groups": head.whole("deform_groups", 4, MOST_CHANNELS),
                "edges": head.numbers("base_edge_list", (16, 32, 64, 128, 256)),
                "ranges": head.take("scale_ranges", ((8, 32), (16, 64), (32, 128), (64, 256), (128, 512))),
                "fovea": head.number("sigma", 0.4),
                "box_loss": learning.box_loss(head, {"type": "IoULoss"}, decodes=False),
                **learning.focal(head),
                **parts.dense_tests(test),
            }
            classes = head.whole("num_classes")
        made = FoveaBox.Head.model_validate(settings)
        return FoveaBox.Config(input=input, backbone=backbone, neck=neck, head=made), classes


__all__ = ["foveabox"]
