"""Grid R-CNN from MMDetection's settings."""

from __future__ import annotations

import math
from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts, two_stage
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS, Features
from detzoo.interop.mmdet.roi_extractors import extractor
from detzoo.interop.section import Section
from detzoo.methods.grid_rcnn import GridHead, GridRCNN


def grid_rcnn(model: Section, input: Input) -> tuple[GridRCNN.Config, int]:
    """Settings and number of classes of a ``GridRCNN``."""
    with model as given:
        head = two_stage.RoIHead("GridRoIHead", _grid_head)
        settings, classes = two_stage.two_stages(given, masks=False, more=head)
        if settings.pop("roi_stage"):
            given.section("roi_head").differs("shared_head", "has no counterpart in Grid R-CNN")
        return GridRCNN.Config(input=input, **settings), classes


def _grid_head(
    roi: Section, train: Section, test: Section, features: Features, settings: dict[str, Any], classes: int
) -> dict[str, Any]:
    pooled = extractor(roi.section("grid_roi_extractor"), features)
    if pooled.levels != settings["roi_levels"]:
        roi.differs("grid_roi_extractor", "pools other features than that of the boxes")
    usual = GridHead.Config()
    with roi.section("grid_head") as given:
        given.kinds("GridHead")
        parts.derived(given, "in_channels", pooled.channels)
        parts.derived(given, "roi_feat_size", pooled.bins)
        points = math.isqrt(given.whole("grid_points", 9, MOST_LAYERS * 4))
        if points**2 != given.whole("grid_points", 9):
            given.differs("grid_points", "is no square number")
        given.fixed("conv_kernel_size", 3)
        given.fixed("deconv_kernel_size", 4)
        given.fixed("class_agnostic", False)
        given.fixed("conv_cfg")
        given.ignore("init_cfg")  # where training began
        with given.section("norm_cfg", {"type": "GN", "num_groups": usual.groups}) as norm:
            norm.kinds("GN")
            norm.fixed("eps", 1e-5)
            norm.ignore("requires_grad")  # the weights are loaded, or learned all the same
            groups = norm.whole("num_groups", most=MOST_CHANNELS)
        weight = usual.weight
        default = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": usual.weight}
        with given.section("loss_grid", default, training=True) as loss:
            if learning.known(loss, "CrossEntropyLoss"):
                weight = loss.number("loss_weight", 1.0)
                loss.fixed("use_sigmoid", True)
        made = GridHead.Config(
            size=pooled.size,
            sampling=pooled.sampling,
            extractor=pooled.kind,
            points=points,
            convs=given.whole("num_convs", 8, MOST_LAYERS),
            channels=given.whole("point_feat_channels", 64, MOST_CHANNELS),
            groups=groups,
            weight=weight,
            samples=train.whole("max_num_grid", usual.samples),
            radius=train.whole("pos_radius", usual.radius),
            clips=False,  # it clips a copy
        )
        return {"grid_head": made}


__all__ = ["grid_rcnn"]
