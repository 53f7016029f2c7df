"""Localization Distillation (arXiv:2102.12252): GFL on ResNet of four depths, taught by the published one on R-101.

The weights are of a later training than the table's numbers: their own are 36.5, 39.9, 41.0 and 45.5.
"""

from __future__ import annotations

from detzoo.methods.ld import LD, Distillation
from detzoo.recipes.columns import DENSE_1X, DENSE_2X, R34, R50, R101, row
from detzoo.recipes.gfl import GFL_SCALES
from detzoo.recipes.recipe import Published

RECIPES = (
    row(
        name="ld_r18_gflv1_r101_fpn_coco_1x",
        model=LD.Config(),
        schedule=DENSE_1X,
        published=Published(box_ap=36.5),
        weights="https://download.openmmlab.com/mmdetection/v2.0/ld/ld_r18_gflv1_r101_fpn_coco_1x/ld_r18_gflv1_r101_fpn_coco_1x_20220702_062206-330e6332.pth",
        config="ld/ld_r18-gflv1-r101_fpn_1x_coco.py",
    ),
    row(
        name="ld_r34_gflv1_r101_fpn_coco_1x",
        model=LD.Config(backbone=R34),
        schedule=DENSE_1X,
        published=Published(box_ap=39.8),
        weights="https://download.openmmlab.com/mmdetection/v2.0/ld/ld_r34_gflv1_r101_fpn_coco_1x/ld_r34_gflv1_r101_fpn_coco_1x_20220630_134007-9bc69413.pth",
        config="ld/ld_r34-gflv1-r101_fpn_1x_coco.py",
    ),
    row(
        name="ld_r50_gflv1_r101_fpn_coco_1x",
        model=LD.Config(backbone=R50),
        schedule=DENSE_1X,
        published=Published(box_ap=41.1),
        weights="https://download.openmmlab.com/mmdetection/v2.0/ld/ld_r50_gflv1_r101_fpn_coco_1x/ld_r50_gflv1_r101_fpn_coco_1x_20220629_145355-8dc5bad8.pth",
        config="ld/ld_r50-gflv1-r101_fpn_1x_coco.py",
    ),
    row(
        name="ld_r101_gflv1_r101dcn_fpn_coco_1x",
        model=LD.Config(backbone=R101, distillation=Distillation(teacher="gfl_r101_fpn_dconv_c3-c5_mstrain_2x_coco")),
        data=GFL_SCALES,
        schedule=DENSE_2X,
        published=Published(box_ap=45.4),
        weights="https://download.openmmlab.com/mmdetection/v2.0/ld/ld_r101_gflv1_r101dcn_fpn_coco_2x/ld_r101_gflv1_r101dcn_fpn_coco_2x_20220629_185920-9e658426.pth",
        config="ld/ld_r101-gflv1-r101-dcn_fpn_2x_coco.py",
    ),
)
