"""CornerNet and CentripetalNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.backbones.hourglass import Hourglass
from detzoo.detector import Input
from detzoo.interop.mmdet import parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.section import Section
from detzoo.methods.centripetalnet import CentripetalNet
from detzoo.methods.cornernet import CornerNet


def cornernet(model: Section, input: Input) -> tuple[CornerNet.Config | CentripetalNet.Config, int]:
    """Settings and number of classes of a ``CornerNet``; with a ``CentripetalHead`` it is a CentripetalNet here."""
    with model as given:
        backbone = _hourglass(given.section("backbone"))
        given.fixed("neck")
        given.ignore("train_cfg")  # the head uses nothing of it
        with given.section("bbox_head") as head, given.section("test_cfg") as test:
            centripetal = head.kinds("CornerHead", "CentripetalHead") == "CentripetalHead"
            parts.derived(head, "in_channels", backbone.out_channels)
            parts.derived(head, "num_feat_levels", backbone.stacks)
            classes = head.whole("num_classes")
            settings = {**_heat(head), **(_shifts(head) if centripetal else _embedding(head)), **_pairs(test)}
        if centripetal:
            made = CentripetalNet.Head.model_validate(settings)
            return CentripetalNet.Config(input=input, backbone=backbone, head=made), classes
        return CornerNet.Config(input=input, backbone=backbone, head=CornerNet.Head.model_validate(settings)), classes


def _hourglass(backbone: Section) -> Hourglass.Config:
    with backbone as given:
        given.kinds("HourglassNet")
        widths = given.wholes("stage_channels", (256, 256, 384, 384, 384, 512))
        blocks = given.wholes("stage_blocks", (2, 2, 2, 2, 2, 4))
        parts.derived(given, "downsample_times", len(widths) - 1)
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


def _heat(head: Section) -> dict[str, float]:
    _smooth(head, "loss_offset", 1.0, weight=1.0)
    with head.section("loss_heatmap", {"type": "GaussianFocalLoss"}, training=True) as heat:
        heat.kinds("GaussianFocalLoss")
        heat.fixed("loss_weight", 1)
        return {"alpha": heat.number("alpha", 2.0), "gamma": heat.number("gamma", 4.0)}


def _embedding(head: Section) -> dict[str, float]:
    head.fixed("corner_emb_channels", 1)
    default = {"type": "AssociativeEmbeddingLoss"}
    with head.section("loss_embedding", default, training=True) as embedding:
        embedding.kinds("AssociativeEmbeddingLoss")
        return {"pull": embedding.number("pull_weight", 0.25), "push": embedding.number("push_weight", 0.25)}


def _shifts(head: Section) -> dict[str, float]:
    if head.whole("corner_emb_channels", 1) > 0:
        head.differs("corner_emb_channels", "adds layers that nothing looks at; 0 does not")
    for name, value in (("centripetal_shift_channels", 2), ("guiding_shift_channels", 2)):
        head.fixed(name, value)
    head.fixed("feat_adaption_conv_kernel", 3)
    head.ignore("loss_embedding")  # of what it does not have
    return {
        "guiding": _smooth(head, "loss_guiding_shift", 0.05),
        "centripetal": _smooth(head, "loss_centripetal_shift", 1.0),
    }


def _smooth(head: Section, name: str, usual: float, weight: float | None = None) -> float:
    """The weight of a smooth L1 loss, ``usual`` where it is left out; it has to be ``weight``, if any."""
    default = {"type": "SmoothL1Loss", "loss_weight": usual}
    with head.section(name, default, training=True) as loss:
        loss.kinds("SmoothL1Loss")
        loss.fixed("beta", 1.0)
        if weight is not None:
            loss.fixed("loss_weight", weight)
        return loss.number("loss_weight", 1.0)


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
