"""Dynamic R-CNN (arXiv:2004.06002)."""

from __future__ import annotations

from detzoo.methods.dynamic_rcnn import DynamicRCNN
from detzoo.recipes.columns import SCHEDULE_1X, row
from detzoo.recipes.recipe import Published

RECIPES = (
    row(
        name="dynamic_rcnn_r50_fpn_1x_coco",
        model=DynamicRCNN.Config(),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=38.9, memory_gb=3.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/dynamic_rcnn/dynamic_rcnn_r50_fpn_1x/dynamic_rcnn_r50_fpn_1x-62a3f276.pth",
        config="dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py",
    ),
)
