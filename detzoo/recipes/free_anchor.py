"""FreeAnchor (arXiv:1909.02466): RetinaNet that learns from bags of anchors."""

from __future__ import annotations

from detzoo.blocks.free_anchor import FreeAnchor
from detzoo.blocks.losses import BoxLoss
from detzoo.methods.retinanet import RetinaNet
from detzoo.recipes.columns import DENSE_1X_CLIPPED, R101, X101_32X4D, row
from detzoo.recipes.recipe import Published

FREE_ANCHOR = RetinaNet.Config(
    head=RetinaNet.Head(
        stds=(0.1, 0.1, 0.2, 0.2),
        free_anchor=FreeAnchor(),
        box_loss=BoxLoss(kind="smooth_l1", beta=0.11, weight=0.75),
    )
)

RECIPES = (
    row(
        name="retinanet_free_anchor_r50_fpn_1x_coco",
        model=FREE_ANCHOR,
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=38.7, memory_gb=4.9, fps=18.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/free_anchor/retinanet_free_anchor_r50_fpn_1x_coco/retinanet_free_anchor_r50_fpn_1x_coco_20200130-0f67375f.pth",
        config="free_anchor/freeanchor_r50_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_free_anchor_r101_fpn_1x_coco",
        model=FREE_ANCHOR.replace(backbone=R101),
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=40.3, memory_gb=6.8, fps=14.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/free_anchor/retinanet_free_anchor_r101_fpn_1x_coco/retinanet_free_anchor_r101_fpn_1x_coco_20200130-358324e6.pth",
        config="free_anchor/freeanchor_r101_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_free_anchor_x101_32x4d_fpn_1x_coco",
        model=FREE_ANCHOR.replace(backbone=X101_32X4D),
        schedule=DENSE_1X_CLIPPED,
        published=Published(box_ap=41.9, memory_gb=8.1, fps=11.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/free_anchor/retinanet_free_anchor_x101_32x4d_fpn_1x_coco/retinanet_free_anchor_x101_32x4d_fpn_1x_coco_20200130-d4846968.pth",
        config="free_anchor/freeanchor_x101-32x4d_fpn_1x_coco.py",
    ),
)
