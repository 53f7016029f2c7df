"""Path Aggregation Network (arXiv:1803.01534): its neck on Faster R-CNN."""

from __future__ import annotations

from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.necks.pafpn import PAFPN
from detzoo.recipes.columns import SCHEDULE_1X, row
from detzoo.recipes.recipe import Published

RECIPES = (
    row(
        name="faster_rcnn_r50_pafpn_1x_coco",
        model=FasterRCNN.Config(neck=PAFPN.Config()),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=37.5, memory_gb=4.0, fps=17.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/pafpn/faster_rcnn_r50_pafpn_1x_coco/faster_rcnn_r50_pafpn_1x_coco_bbox_mAP-0.375_20200503_105836-b7b4b9bd.pth",
        config="pafpn/faster-rcnn_r50_pafpn_1x_coco.py",
    ),
)
