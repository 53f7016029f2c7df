"""GHM (arXiv:1811.05181): RetinaNet that learns with harmonized gradients."""

from __future__ import annotations

from detzoo.blocks.gradient_harmonizing import GHMC, GHMR
from detzoo.methods.retinanet import RetinaNet
from detzoo.recipes.columns import DENSE_1X_CLIPPED, R101, X101_32X4D, X101_64X4D, row
from detzoo.recipes.recipe import Published

GHM = RetinaNet.Config(head=RetinaNet.Head(ghm_c=GHMC.Config(), ghm_r=GHMR.Config()))

RECIPES = (
    row(
        name="retinanet_ghm_r50_fpn_1x_coco",
        model=GHM,
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=37.0, memory_gb=4.0, fps=3.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ghm/retinanet_ghm_r50_fpn_1x_coco/retinanet_ghm_r50_fpn_1x_coco_20200130-a437fda3.pth",
        config="ghm/retinanet_r50_fpn_ghm-1x_coco.py",
    ),
    row(
        name="retinanet_ghm_r101_fpn_1x_coco",
        model=GHM.replace(backbone=R101),
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=39.1, memory_gb=6.0, fps=4.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ghm/retinanet_ghm_r101_fpn_1x_coco/retinanet_ghm_r101_fpn_1x_coco_20200130-c148ee8f.pth",
        config="ghm/retinanet_r101_fpn_ghm-1x_coco.py",
    ),
    row(
        name="retinanet_ghm_x101_32x4d_fpn_1x_coco",
        model=GHM.replace(backbone=X101_32X4D),
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=40.7, memory_gb=7.2, fps=5.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ghm/retinanet_ghm_x101_32x4d_fpn_1x_coco/retinanet_ghm_x101_32x4d_fpn_1x_coco_20200131-e4333bd0.pth",
        config="ghm/retinanet_x101-32x4d_fpn_ghm-1x_coco.py",
    ),
    row(
        name="retinanet_ghm_x101_64x4d_fpn_1x_coco",
        model=GHM.replace(backbone=X101_64X4D),
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=41.4, memory_gb=10.3, fps=5.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ghm/retinanet_ghm_x101_64x4d_fpn_1x_coco/retinanet_ghm_x101_64x4d_fpn_1x_coco_20200131-dd381cef.pth",
        config="ghm/retinanet_x101-64x4d_fpn_ghm-1x_coco.py",
    ),
)
