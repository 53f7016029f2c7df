"""ATSS (arXiv:1912.02424) on FPN: one anchor per cell, and for each object a threshold of its own."""

from __future__ import annotations

from detzoo.methods.atss import ATSS
from detzoo.recipes.columns import DENSE_1X, R101, row
from detzoo.recipes.recipe import Published

RECIPES = (
    row(
        name="atss_r50_fpn_1x_coco",
        model=ATSS.Config(),
        schedule=DENSE_1X,
        published=Published(box_ap=39.4, memory_gb=3.7, fps=19.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/atss/atss_r50_fpn_1x_coco/atss_r50_fpn_1x_coco_20200209-985f7bd0.pth",
        config="atss/atss_r50_fpn_1x_coco.py",
    ),
    row(
        name="atss_r101_fpn_1x_coco",
        model=ATSS.Config(backbone=R101),
        schedule=DENSE_1X,
        published=Published(box_ap=41.5, memory_gb=5.6, fps=12.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/atss/atss_r101_fpn_1x_coco/atss_r101_fpn_1x_20200825-dfcadd6f.pth",
        config="atss/atss_r101_fpn_1x_coco.py",
    ),
)
