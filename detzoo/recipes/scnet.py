"""SCNet on FPN (arXiv:2012.10150): ResNet and ResNeXt.

The tables also print AP with test-time augmentation, in five sizes and mirrored; `evaluate(..., tta="published")` does
so.
"""

from __future__ import annotations

from detzoo.methods.scnet import SCNet
from detzoo.recipes.columns import R50, R101, SCHEDULE_1X, SCHEDULE_20E, X101_64X4D, row
from detzoo.recipes.recipe import Published
from detzoo.tta import TTA

VIEWS = TTA(scales=((600, 900), (800, 1200), (1000, 1500), (1200, 1800), (1400, 2100)))

RECIPES = (
    row(
        name="scnet_r50_fpn_1x_coco",
        model=SCNet.Config(backbone=R50),
        schedule=SCHEDULE_1X,
        published=Published(
            box_ap=43.5, mask_ap=39.2, memory_gb=7.0, fps=6.2, tta=VIEWS, tta_box_ap=44.8, tta_mask_ap=40.9
        ),
        weights="https://download.openmmlab.com/mmdetection/v2.0/scnet/scnet_r50_fpn_1x_coco/scnet_r50_fpn_1x_coco-c3f09857.pth",
        config="scnet/scnet_r50_fpn_1x_coco.py",
    ),
    row(
        name="scnet_r50_fpn_20e_coco",
        model=SCNet.Config(backbone=R50),
        schedule=SCHEDULE_20E,
        published=Published(
            box_ap=44.5, mask_ap=40.0, memory_gb=7.0, fps=6.2, tta=VIEWS, tta_box_ap=45.8, tta_mask_ap=41.5
        ),
        weights="https://download.openmmlab.com/mmdetection/v2.0/scnet/scnet_r50_fpn_20e_coco/scnet_r50_fpn_20e_coco-a569f645.pth",
        config="scnet/scnet_r50_fpn_20e_coco.py",
    ),
    row(
        name="scnet_r101_fpn_20e_coco",
        model=SCNet.Config(backbone=R101),
        schedule=SCHEDULE_20E,
        published=Published(
            box_ap=45.8, mask_ap=40.9, memory_gb=8.9, fps=5.8, tta=VIEWS, tta_box_ap=47.3, tta_mask_ap=42.7
        ),
        weights="https://download.openmmlab.com/mmdetection/v2.0/scnet/scnet_r101_fpn_20e_coco/scnet_r101_fpn_20e_coco-294e312c.pth",
        config="scnet/scnet_r101_fpn_20e_coco.py",
    ),
    row(
        name="scnet_x101_64x4d_fpn_20e_coco",
        model=SCNet.Config(backbone=X101_64X4D),
        schedule=SCHEDULE_20E,
        published=Published(
            box_ap=47.5, mask_ap=42.3, memory_gb=13.2, fps=4.9, tta=VIEWS, tta_box_ap=48.9, tta_mask_ap=44.0
        ),
        weights="https://download.openmmlab.com/mmdetection/v2.0/scnet/scnet_x101_64x4d_fpn_20e_coco/scnet_x101_64x4d_fpn_20e_coco-fb09dec9.pth",
        config="scnet/scnet_x101-64x4d_fpn_20e_coco.py",
    ),
)
