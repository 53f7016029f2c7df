"""Guided anchors from MMDetection's settings: what its heads share, and RetinaNet with them."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.anchors import Anchors
from detzoo.blocks.guided_anchors import Guide
from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section
from detzoo.methods.ga_retinanet import STDS, GARetinaNet


def ga_retinanet(model: Section, input: Input) -> tuple[GARetinaNet.Config, int]:
    """Settings and number of classes of a ``RetinaNet`` with ``GARetinaHead``."""
    return dense(GARetinaNet.Config, model, input, _head, "GARetinaHead", classes=80)


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    parts.fixed_coder(head, STDS)
    return {
        **towers(head),
        "box_loss": learning.box_loss(head, {"type": "SmoothL1Loss", "beta": 1.0}),
        **branches(head, features, train),
        **learning.focal(head, anchored=True),
        **learning.matched(train, GARetinaNet.Head().match),
    }


def branches(head: Section, features: Features, learn: Section) -> dict[str, Any]:
    """Settings ``guide`` and ``deform_groups`` of a head, with the section that says what it learns from.

    The original learns locations the other way round: its focal loss takes the class of a centre for background.
    """
    strides = [4, 8, 16, 32, 64]
    usual: dict[str, Any] = {"octave_base_scale": 8, "scales_per_octave": 3, "strides": strides}
    approximations = parts.anchors_of(head, features, "approx_anchor_generator", **usual)
    usual = {"ratios": [1.0], "scales": [8], "strides": strides}
    squares = parts.anchors_of(head, features, "square_anchor_generator", **usual)
    side = approximations.scales[0]
    if squares != Anchors.Config(scales=(side,), ratios=(1.0,)):
        head.differs("square_anchor_generator", f"has no counterpart; scales=[{side:g}] and ratios=[1.0] have")
    *_, std, height = parts.coder(head, (1.0, 1.0, 1.0, 1.0), "anchor_coder")
    if std != height:
        head.differs("anchor_coder", "has no counterpart; the same standard deviation of width and height has")
    old = "deformable_groups" if head.has("deformable_groups") else "deform_groups"
    settings: dict[str, Any] = {
        "side": side,
        "std": std,
        "scales": len(approximations.scales),
        "ratios": approximations.ratios,
        "threshold": head.number("loc_filter_thr", 0.01),
        "inverted": True,
        "shape_loss": learning.box_loss(head, {"type": "BoundedIoULoss"}, decodes=True, name="loss_shape"),
        **learning.focal(head, "loss_loc"),
    }
    if learn.has("ga_assigner"):
        settings["match"] = learning.match(learn, Guide.Config().match, "ApproxMaxIoUAssigner", "ga_assigner")
        some = learning.sampler(learn, objects_too=False, name="ga_sampler")
        if some.pop("negative_ratio", None) is not None:
            learn.noted("ga_sampler", "has no counterpart; neg_pos_ub=-1 has")
        settings |= some
        settings |= {"centre": learn.number("center_ratio"), "around": learn.number("ignore_ratio")}
    learn.fixed("allowed_border", -1)
    learning.weights_of_anchors(learn)
    guide = learning.tried(learn, "ga_assigner", Guide.Config(), lambda: Guide.Config.model_validate(settings))
    return {"guide": guide, "deform_groups": head.whole(old, 4, MOST_CHANNELS)}


__all__ = ["branches", "ga_retinanet"]
