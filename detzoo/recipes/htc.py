"""Hybrid Task Cascade on FPN (arXiv:1901.07518): ResNet and ResNeXt, with its semantic branch."""

from __future__ import annotations

from detzoo.methods.htc import HTC
from detzoo.recipes.columns import COCO_STUFF, R50, R101, SCHEDULE_1X, SCHEDULE_20E, X101_32X4D, X101_64X4D, dcn, row
from detzoo.recipes.recipe import Published

SIXTEEN_DEVICES = SCHEDULE_20E.replace(batch=1)
WIDE_RANGE = COCO_STUFF.replace(sizes=((400, 1600), (1400, 1600)), size_mode="range")

RECIPES = (
    row(
        name="htc_r50_fpn_1x_coco",
        model=HTC.Config(backbone=R50),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=42.3, mask_ap=37.4, memory_gb=8.2, fps=5.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/htc/htc_r50_fpn_1x_coco/htc_r50_fpn_1x_coco_20200317-7332cf16.pth",
        config="htc/htc_r50_fpn_1x_coco.py",
    ),
    row(
        name="htc_r50_fpn_20e_coco",
        model=HTC.Config(backbone=R50),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=43.3, mask_ap=38.3, memory_gb=8.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/htc/htc_r50_fpn_20e_coco/htc_r50_fpn_20e_coco_20200319-fe28c577.pth",
        config="htc/htc_r50_fpn_20e_coco.py",
    ),
    row(
        name="htc_r101_fpn_20e_coco",
        model=HTC.Config(backbone=R101),
        schedule=SCHEDULE_20E,
        published=Published(box_ap=44.8, mask_ap=39.6, memory_gb=10.2, fps=5.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/htc/htc_r101_fpn_20e_coco/htc_r101_fpn_20e_coco_20200317-9b41b48f.pth",
        config="htc/htc_r101_fpn_20e_coco.py",
    ),
    row(
        name="htc_x101_32x4d_fpn_16x1_20e_coco",
        model=HTC.Config(backbone=X101_32X4D),
        schedule=SIXTEEN_DEVICES,
        published=Published(box_ap=46.1, mask_ap=40.5, memory_gb=11.4, fps=5.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/htc/htc_x101_32x4d_fpn_16x1_20e_coco/htc_x101_32x4d_fpn_16x1_20e_coco_20200318-de97ae01.pth",
        config="htc/htc_x101-32x4d_fpn_16xb1-20e_coco.py",
    ),
    row(
        name="htc_x101_64x4d_fpn_16x1_20e_coco",
        model=HTC.Config(backbone=X101_64X4D),
        schedule=SIXTEEN_DEVICES,
        published=Published(box_ap=47.0, mask_ap=41.4, memory_gb=14.5, fps=4.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/htc/htc_x101_64x4d_fpn_16x1_20e_coco/htc_x101_64x4d_fpn_16x1_20e_coco_20200318-b181fd7a.pth",
        config="htc/htc_x101-64x4d_fpn_16xb1-20e_coco.py",
    ),
    row(
        name="htc_x101_64x4d_fpn_dconv_c3-c5_mstrain_400_1400_16x1_20e_coco",
        model=HTC.Config(backbone=dcn(X101_64X4D)),
        data=WIDE_RANGE,
        schedule=SIXTEEN_DEVICES,
        published=Published(box_ap=50.4, mask_ap=43.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/htc/htc_x101_64x4d_fpn_dconv_c3-c5_mstrain_400_1400_16x1_20e_coco/htc_x101_64x4d_fpn_dconv_c3-c5_mstrain_400_1400_16x1_20e_coco_20200312-946fd751.pth",
        config="htc/htc_x101-64x4d-dconv-c3-c5_fpn_ms-400-1400-16xb1-20e_coco.py",
    ),
)
