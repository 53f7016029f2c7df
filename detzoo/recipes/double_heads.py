"""Double-Head R-CNN (arXiv:1904.06493)."""

from __future__ import annotations

from detzoo.blocks.double_head import DoubleHead
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.roi_heads import BoxHead
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.recipes.columns import SCHEDULE_1X, row
from detzoo.recipes.recipe import Published

DOUBLE_BOX_HEAD = BoxHead.Config(
    double_head=DoubleHead.Config(), class_weight=2.0, box_loss=BoxLoss(kind="smooth_l1", weight=2.0)
)

RECIPES = (
    row(
        name="dh_faster_rcnn_r50_fpn_1x_coco",
        model=FasterRCNN.Config(box_head=DOUBLE_BOX_HEAD),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=40.0, memory_gb=6.8, fps=9.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/double_heads/dh_faster_rcnn_r50_fpn_1x_coco/dh_faster_rcnn_r50_fpn_1x_coco_20200130-586b67df.pth",
        config="double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py",
    ),
)
