"""CornerNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.backbones.hourglass import Hourglass
from detzoo.detector import Input
from detzoo.interop.mmdet import parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.section import Section
from detzoo.methods.cornernet import CornerNet


def cornernet(model: Section, input: Input) -> tuple[CornerNet.Config, int]:
    """Settings and number of classes of a ``CornerNet``."""
    with model as given:
        backbone = _hourglass(given.section("backbone"))
        given.fixed("neck")
        given.ignore("train_cfg")  # the head uses nothing of it
        with given.section("bbox_head") as head, given.section("test_cfg") as test:
            head.kinds("CornerHead")
            parts.derived(head, "in_channels", backbone.out_channels)
            parts.derived(head, "num_feat_levels", backbone.stacks)
            head.fixed("corner_emb_channels", 1)
            head.ignore("init_cfg")  # where training began
            classes = head.whole("num_classes")
            made = CornerNet.Head.model_validate({**_losses(head), **_pairs(test)})
        return CornerNet.Config(input=input, backbone=backbone, head=made), classes


def _hourglass(backbone: Section) -> Hourglass.Config:
    with backbone as given:
        given.kinds("HourglassNet")
        widths = given.wholes("stage_channels", (256, 256, 384, 384, 384, 512))
        blocks = given.wholes("stage_blocks", (2, 2, 2, 2, 2, 4))
        parts.derived(given, "downsample_times", len(widths) - 1)
        given.ignore("init_cfg", "pretrained")  # where training began
        if max(widths, default=0) > MOST_CHANNELS or max(blocks, default=0) > MOST_LAYERS or len(widths) > 12:
            given.differs("stage_channels", "is too large")
        return Hourglass.Config.model_validate(
            {
                "stacks": given.whole("num_stacks", 2, 16),
                "widths": widths,
                "blocks": blocks,
                "out_channels": given.whole("feat_channel", 256, MOST_CHANNELS),
                "norm": parts.norm(given, default="bn"),
            }
        )


def _losses(head: Section) -> dict[str, float]:
    with head.section("loss_heatmap", {"type": "GaussianFocalLoss"}, training=True) as heat:
        heat.kinds("GaussianFocalLoss")
        heat.fixed("loss_weight", 1)
        settings = {"alpha": heat.number("alpha", 2.0), "gamma": heat.number("gamma", 4.0)}
    default = {"type": "AssociativeEmbeddingLoss"}
    with head.section("loss_embedding", default, training=True) as embedding:
        embedding.kinds("AssociativeEmbeddingLoss")
        settings |= {"pull": embedding.number("pull_weight", 0.25), "push": embedding.number("push_weight", 0.25)}
    with head.section("loss_offset", {"type": "SmoothL1Loss"}, training=True) as offset:
        offset.kinds("SmoothL1Loss")
        offset.fixed("beta", 1.0)
        offset.fixed("loss_weight", 1)
    return settings


def _pairs(test: Section) -> dict[str, Any]:
    """``test_cfg``: corners, their pairs and suppression. ``score_thr`` is there, but MMDetection does not use it."""
    test.ignore("score_thr")
    _, soft = parts.nms_or_soft(test, "nms_cfg" if test.has("nms_cfg") else "nms")
    if soft is None or soft.method != "gaussian":
        test.differs("nms", "has no counterpart; soft_nms with method='gaussian' has")
        return {}
    return {
        "corners": test.whole("corner_topk", 100),
        "window": test.whole("local_maximum_kernel", 3),
        "distance": test.number("distance_threshold", 0.5),
        "sigma": soft.sigma,
        "threshold": soft.min_score,
        "detections": test.whole("max_per_img"),
    }


__all__ = ["cornernet"]
