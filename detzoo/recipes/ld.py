"""Localization Distillation (arXiv:2102.12252): GFL on ResNet of four depths, taught by the published one on R-101."""

from __future__ import annotations

from detzoo.methods.ld import LD, Distillation
from detzoo.recipes.columns import COCO, R34, R50, R101
from detzoo.recipes.gfl import GFL_1X, GFL_2X, GFL_SCALES
from detzoo.recipes.initial import INIT_R18, INIT_R34, INIT_R50, INIT_R101
from detzoo.recipes.recipe import Published, row

RECIPES = (
    row(
        name="ld_r18_gflv1_r101_fpn_coco_1x",
        model=LD.Config(),
        data=COCO,
        schedule=GFL_1X,
        init=INIT_R18,
        published=Published(box_ap=36.5),
        config="ld/ld_r18-gflv1-r101_fpn_1x_coco.py",
    ),
    row(
        name="ld_r34_gflv1_r101_fpn_coco_1x",
        model=LD.Config(backbone=R34),
        data=COCO,
        schedule=GFL_1X,
        init=INIT_R34,
        published=Published(box_ap=39.8),
        config="ld/ld_r34-gflv1-r101_fpn_1x_coco.py",
    ),
    row(
        name="ld_r50_gflv1_r101_fpn_coco_1x",
        model=LD.Config(backbone=R50),
        data=COCO,
        schedule=GFL_1X,
        init=INIT_R50,
        published=Published(box_ap=41.1),
        config="ld/ld_r50-gflv1-r101_fpn_1x_coco.py",
    ),
    row(
        name="ld_r101_gflv1_r101dcn_fpn_coco_1x",
        model=LD.Config(backbone=R101, distillation=Distillation(teacher="gfl_r101_fpn_dconv_c3-c5_mstrain_2x_coco")),
        data=GFL_SCALES,
        schedule=GFL_2X,
        init=INIT_R101,
        published=Published(box_ap=45.4),
        config="ld/ld_r101-gflv1-r101-dcn_fpn_2x_coco.py",
    ),
)
