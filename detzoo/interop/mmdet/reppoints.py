"""RepPoints from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.assign import MatchConfig
from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.dense import dense, towers
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section
from detzoo.methods.reppoints import RepPoints


def reppoints(model: Section, input: Input) -> tuple[RepPoints.Config, int]:
    """Settings and number of classes of a ``RepPointsDetector``."""
    return dense(RepPoints.Config, model, input, _head, "RepPointsHead")


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    parts.derived(head, "point_strides", features.strides, (8, 16, 32, 64, 128))
    box = head.word("transform_method", "moment")
    if head.flag("use_grid_points", False):
        # any of them would be taken of the grid; around all of its points is the box that it lies in
        if box != "minmax":
            head.differs("transform_method", "has no counterpart with use_grid_points; 'minmax' has")
        box = "grid"
        head.ignore("center_init")  # a grid starts from a square
    head.fixed("center_init", True)
    loss = {"type": "SmoothL1Loss", "beta": 1 / 9}
    side = head.number("point_base_scale", 4)
    return {
        **towers(head),
        "point_channels": head.whole("point_feat_channels", 256, MOST_CHANNELS),
        "points": head.whole("num_points", 9, 1000),
        "box": box,
        "moment_rate": head.number("moment_mul", 0.01),
        "gradient": head.number("gradient_mul", 0.1),
        "side": side,
        "first_loss": learning.box_loss(head, loss | {"loss_weight": 0.5}, False, "loss_bbox_init"),
        "box_loss": learning.box_loss(head, loss, False, "loss_bbox_refine"),
        **learning.focal(head),
        **_matches(train, side),
    }


def _matches(train: Section, side: float) -> dict[str, MatchConfig]:
    """Settings ``first_match``, but for the usual one, and ``match``."""
    found = {}
    learning.no_sampler(train)
    for stage, name in (("init", "first_match"), ("refine", "match")):
        with train.section(stage, {}) as assigned:
            assigned.fixed("allowed_border", -1)
            learning.weights_of_anchors(assigned)
            if assigned.has("assigner") and not (stage == "init" and _nearest(assigned, side)):
                found[name] = learning.match(assigned, RepPoints.Head().match)
    return found


def _nearest(train: Section, side: float) -> bool:
    """Whether ``assigner`` gives an object the point nearest to it."""
    with train.section("assigner") as given:
        if given.kind != "PointAssigner":
            given.ignore(*given.values)
            return False
        given.needs("scale", side, 4)
        given.needs("pos_num", 1, 3)
        return True


__all__ = ["reppoints"]
