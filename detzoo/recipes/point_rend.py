"""PointRend (arXiv:1912.08193)."""

from __future__ import annotations

from detzoo.methods.point_rend import PointRend
from detzoo.recipes.columns import (
    BGR,
    COCO_MASKS,
    MASK_BOX_HEAD,
    R50,
    SCHEDULE_1X,
    SCHEDULE_3X,
    caffe,
    multi_scale,
    row,
)
from detzoo.recipes.recipe import Published

MODEL = PointRend.Config(input=BGR, backbone=caffe(R50), box_head=MASK_BOX_HEAD)

RECIPES = (
    row(
        name="point_rend_r50_caffe_fpn_mstrain_1x_coco",
        model=MODEL,
        data=multi_scale(COCO_MASKS),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=38.4, mask_ap=36.3, memory_gb=4.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/point_rend/point_rend_r50_caffe_fpn_mstrain_1x_coco/point_rend_r50_caffe_fpn_mstrain_1x_coco-1bcb5fb4.pth",
        config="point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py",
    ),
    row(
        name="point_rend_r50_caffe_fpn_mstrain_3x_coco",
        model=MODEL,
        data=multi_scale(COCO_MASKS),
        schedule=SCHEDULE_3X,
        published=Published(box_ap=41.0, mask_ap=38.0, memory_gb=4.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/point_rend/point_rend_r50_caffe_fpn_mstrain_3x_coco/point_rend_r50_caffe_fpn_mstrain_3x_coco-e0ebb6b7.pth",
        config="point_rend/point-rend_r50-caffe_fpn_ms-3x_coco.py",
    ),
)
