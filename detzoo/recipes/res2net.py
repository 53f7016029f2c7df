"""Res2Net (arXiv:1904.01169): the two-stage methods on Res2Net-101 v1b."""

from __future__ import annotations

from detzoo.backbones.res2net import Res2Net
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.htc import HTC
from detzoo.recipes.columns import SCHEDULE_2X, SCHEDULE_20E, mask_rcnn, row
from detzoo.recipes.recipe import Published

R2_101 = Res2Net.Config(depth=101)

RECIPES = (
    row(
        name="faster_rcnn_r2_101_fpn_2x_coco",
        model=FasterRCNN.Config(backbone=R2_101),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=43.0, memory_gb=7.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/res2net/faster_rcnn_r2_101_fpn_2x_coco/faster_rcnn_r2_101_fpn_2x_coco-175f1da6.pth",
        config="res2net/faster-rcnn_res2net-101_fpn_2x_coco.py",
    ),
    row(
        name="mask_rcnn_r2_101_fpn_2x_coco",
        model=mask_rcnn(R2_101),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=43.6, mask_ap=38.7, memory_gb=7.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/res2net/mask_rcnn_r2_101_fpn_2x_coco/mask_rcnn_r2_101_fpn_2x_coco-17f061e8.pth",
        config="res2net/mask-rcnn_res2net-101_fpn_2x_coco.py",
    ),
    row(
        name="cascade_rcnn_r2_101_fpn_20e_coco",
        model=CascadeRCNN.Config(backbone=R2_101),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=45.7, memory_gb=7.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/res2net/cascade_rcnn_r2_101_fpn_20e_coco/cascade_rcnn_r2_101_fpn_20e_coco-f4b7b7db.pth",
        config="res2net/cascade-rcnn_res2net-101_fpn_20e_coco.py",
    ),
    row(
        name="cascade_mask_rcnn_r2_101_fpn_20e_coco",
        model=CascadeMaskRCNN.Config(backbone=R2_101),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=46.4, mask_ap=40.0, memory_gb=9.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/res2net/cascade_mask_rcnn_r2_101_fpn_20e_coco/cascade_mask_rcnn_r2_101_fpn_20e_coco-8a7b41e1.pth",
        config="res2net/cascade-mask-rcnn_res2net-101_fpn_20e_coco.py",
    ),
    row(
        name="htc_r2_101_fpn_20e_coco",
        model=HTC.Config(backbone=R2_101),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=47.5, mask_ap=41.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/res2net/htc_r2_101_fpn_20e_coco/htc_r2_101_fpn_20e_coco-3a8d2112.pth",
        config="res2net/htc_res2net-101_fpn_20e_coco.py",
    ),
)
