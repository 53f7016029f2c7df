"""FSAF (arXiv:1903.00621): the branch without anchors."""

from __future__ import annotations

from detzoo.methods.fsaf import FSAF
from detzoo.recipes.columns import DENSE_1X, R101, X101_64X4D, row
from detzoo.recipes.recipe import Published

FSAF_1X = DENSE_1X.replace(clip_norm=10.0)

RECIPES = (
    row(
        name="fsaf_r50_fpn_1x_coco",
        model=FSAF.Config(),
        schedule=FSAF_1X,
        published=Published(box_ap=37.4, memory_gb=3.15, fps=13.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fsaf/fsaf_r50_fpn_1x_coco/fsaf_r50_fpn_1x_coco-94ccc51f.pth",
        config="fsaf/fsaf_r50_fpn_1x_coco.py",
    ),
    row(
        name="fsaf_r101_fpn_1x_coco",
        model=FSAF.Config(backbone=R101),
        schedule=FSAF_1X,
        published=Published(box_ap=39.3, memory_gb=5.08, fps=10.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fsaf/fsaf_r101_fpn_1x_coco/fsaf_r101_fpn_1x_coco-9e71098f.pth",
        config="fsaf/fsaf_r101_fpn_1x_coco.py",
    ),
    row(
        name="fsaf_x101_64x4d_fpn_1x_coco",
        model=FSAF.Config(backbone=X101_64X4D),
        schedule=FSAF_1X,
        published=Published(box_ap=42.4, memory_gb=9.38, fps=5.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fsaf/fsaf_x101_64x4d_fpn_1x_coco/fsaf_x101_64x4d_fpn_1x_coco-e3f6e6fd.pth",
        config="fsaf/fsaf_x101-64x4d_fpn_1x_coco.py",
    ),
    row(
        name="fsaf_pscale0.2_nscale0.5_r50_fpn_1x_coco",
        # the config of this row was not published: it stands beside the nearest, and its name says what it changes
        model=FSAF.Config(head=FSAF.Head(middle=0.2, near=0.5)),
        schedule=FSAF_1X,
        published=Published(box_ap=36.0, memory_gb=3.15, fps=12.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fsaf/fsaf_pscale0.2_nscale0.5_r50_fpn_1x_coco/fsaf_pscale0.2_nscale0.5_r50_fpn_1x_coco_20200715-b555b0e0.pth",
        config="fsaf/fsaf_r50_fpn_1x_coco.py",
    ),
)
