"""Grid R-CNN from MMDetection's settings."""

from __future__ import annotations

import math
from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.roi_extractors import extractor
from detzoo.interop.mmdet.two_stage import RoIHead, Second, with_head
from detzoo.interop.section import Section
from detzoo.methods.grid_rcnn import GridHead, GridRCNN


def grid_rcnn(model: Section, input: Input) -> tuple[GridRCNN.Config, int]:
    """Settings and number of classes of a ``GridRCNN``."""
    return with_head(GridRCNN.Config, model, input, RoIHead("GridRoIHead", _grid_head))


def _grid_head(second: Second) -> dict[str, Any]:
    roi, train = second.roi, second.train
    pooled = extractor(roi.section("grid_roi_extractor"), second.features)
    if pooled.levels != second.settings["roi_levels"]:
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
        with given.section("norm_cfg", {"type": "GN", "num_groups": usual.groups}) as norm:
            norm.kinds("GN")
            norm.fixed("eps", 1e-5)
            norm.ignore("requires_grad")  # the weights are loaded, or learned all the same
            groups = norm.whole("num_groups", most=MOST_CHANNELS)
        made = GridHead.Config(
            size=pooled.size,
            sampling=pooled.sampling,
            extractor=pooled.kind,
            points=points,
            convs=given.whole("num_convs", 8, MOST_LAYERS),
            channels=given.whole("point_feat_channels", 64, MOST_CHANNELS),
            groups=groups,
            weight=learning.loss_weight(given, "loss_grid", "CrossEntropyLoss", usual.weight, use_sigmoid=True),
            samples=train.whole("max_num_grid", usual.samples),
            radius=train.whole("pos_radius", usual.radius),
            clips=False,  # it clips a copy
        )
        return {"grid_head": made}


__all__ = ["grid_rcnn"]
