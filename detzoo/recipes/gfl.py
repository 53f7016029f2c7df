"""GFL (arXiv:2006.04388): ResNet and ResNeXt, some with deformable convolution; short schedules and long ones."""

from __future__ import annotations

from detzoo.methods.gfl import GFL
from detzoo.recipes.columns import COCO, DENSE_1X, DENSE_2X, R18, R34, R101, X101_32X4D, dcn, multi_scale_range, row
from detzoo.recipes.recipe import Published

GFL_SCALES = multi_scale_range(COCO, 480)

RECIPES = (
    row(
        name="gfl_r50_fpn_1x_coco",
        model=GFL.Config(),
        schedule=DENSE_1X,
        published=Published(box_ap=40.2, fps=19.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_r50_fpn_1x_coco/gfl_r50_fpn_1x_coco_20200629_121244-25944287.pth",
        config="gfl/gfl_r50_fpn_1x_coco.py",
    ),
    row(
        name="gfl_r50_fpn_mstrain_2x_coco",
        model=GFL.Config(),
        data=GFL_SCALES,
        schedule=DENSE_2X,
        published=Published(box_ap=42.9, fps=19.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_r50_fpn_mstrain_2x_coco/gfl_r50_fpn_mstrain_2x_coco_20200629_213802-37bb1edc.pth",
        config="gfl/gfl_r50_fpn_ms-2x_coco.py",
    ),
    row(
        name="gfl_r101_fpn_mstrain_2x_coco",
        model=GFL.Config(backbone=R101),
        data=GFL_SCALES,
        schedule=DENSE_2X,
        published=Published(box_ap=44.7, fps=14.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_r101_fpn_mstrain_2x_coco/gfl_r101_fpn_mstrain_2x_coco_20200629_200126-dd12f847.pth",
        config="gfl/gfl_r101_fpn_ms-2x_coco.py",
    ),
    row(
        name="gfl_r101_fpn_dconv_c3-c5_mstrain_2x_coco",
        model=GFL.Config(backbone=dcn(R101)),
        data=GFL_SCALES,
        schedule=DENSE_2X,
        published=Published(box_ap=47.1, fps=12.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_r101_fpn_dconv_c3-c5_mstrain_2x_coco/gfl_r101_fpn_dconv_c3-c5_mstrain_2x_coco_20200630_102002-134b07df.pth",
        config="gfl/gfl_r101-dconv-c3-c5_fpn_ms-2x_coco.py",
    ),
    row(
        name="gfl_x101_32x4d_fpn_mstrain_2x_coco",
        model=GFL.Config(backbone=X101_32X4D),
        data=GFL_SCALES,
        schedule=DENSE_2X,
        published=Published(box_ap=45.9, fps=12.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_x101_32x4d_fpn_mstrain_2x_coco/gfl_x101_32x4d_fpn_mstrain_2x_coco_20200630_102002-50c1ffdb.pth",
        config="gfl/gfl_x101-32x4d_fpn_ms-2x_coco.py",
    ),
    row(
        name="gfl_x101_32x4d_fpn_dconv_c4-c5_mstrain_2x_coco",
        model=GFL.Config(backbone=dcn(X101_32X4D).replace(deform_stages=(3, 4))),
        data=GFL_SCALES,
        schedule=DENSE_2X,
        published=Published(box_ap=48.1, fps=10.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_x101_32x4d_fpn_dconv_c4-c5_mstrain_2x_coco/gfl_x101_32x4d_fpn_dconv_c4-c5_mstrain_2x_coco_20200630_102002-14a2bf25.pth",
        config="gfl/gfl_x101-32x4d-dconv-c4-c5_fpn_ms-2x_coco.py",
    ),
    # students of localization distillation without a teacher, of which no config was published
    row(
        name="gfl_r18_fpn_1x_coco",
        model=GFL.Config(backbone=R18),
        schedule=DENSE_1X,
        published=Published(box_ap=35.8),
        config=None,
    ),
    row(
        name="gfl_r34_fpn_1x_coco",
        model=GFL.Config(backbone=R34),
        schedule=DENSE_1X,
        published=Published(box_ap=38.9),
        config=None,
    ),
)
