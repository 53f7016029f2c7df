"""FoveaBox (arXiv:1904.03797), plain and aligned."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.methods.foveabox import FoveaBox
from detzoo.recipes.columns import COCO, DENSE_1X, DENSE_2X, R50, R101, row
from detzoo.recipes.recipe import Published

TWO_SIZES = COCO.replace(sizes=((640, 1333), (800, 1333)))


def aligned(backbone: ResNet.Config = R50) -> FoveaBox.Config:
    """FoveaBox with aligned features and group normalization in the head."""
    return FoveaBox.Config(backbone=backbone, head=FoveaBox.Head(norm="gn", align=True))


RECIPES = (
    row(
        name="fovea_r50_fpn_4x4_1x_coco",
        model=FoveaBox.Config(),
        schedule=DENSE_1X,
        published=Published(box_ap=36.5, memory_gb=5.6, fps=24.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/foveabox/fovea_r50_fpn_4x4_1x_coco/fovea_r50_fpn_4x4_1x_coco_20200219-ee4d5303.pth",
        config="foveabox/fovea_r50_fpn_4xb4-1x_coco.py",
    ),
    row(
        name="fovea_r50_fpn_4x4_2x_coco",
        model=FoveaBox.Config(),
        schedule=DENSE_2X,
        published=Published(box_ap=37.2, memory_gb=5.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/foveabox/fovea_r50_fpn_4x4_2x_coco/fovea_r50_fpn_4x4_2x_coco_20200203-2df792b1.pth",
        config="foveabox/fovea_r50_fpn_4xb4-2x_coco.py",
    ),
    row(
        name="fovea_align_r50_fpn_gn-head_4x4_2x_coco",
        model=aligned(),
        schedule=DENSE_2X.replace(clip_norm=35.0),
        published=Published(box_ap=37.9, memory_gb=8.1, fps=19.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/foveabox/fovea_align_r50_fpn_gn-head_4x4_2x_coco/fovea_align_r50_fpn_gn-head_4x4_2x_coco_20200203-8987880d.pth",
        config="foveabox/fovea_r50_fpn_gn-head-align_4xb4-2x_coco.py",
    ),
    row(
        name="fovea_align_r50_fpn_gn-head_mstrain_640-800_4x4_2x_coco",
        model=aligned(),
        data=TWO_SIZES,
        schedule=DENSE_2X,
        published=Published(box_ap=40.4, memory_gb=8.1, fps=18.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/foveabox/fovea_align_r50_fpn_gn-head_mstrain_640-800_4x4_2x_coco/fovea_align_r50_fpn_gn-head_mstrain_640-800_4x4_2x_coco_20200205-85ce26cb.pth",
        config="foveabox/fovea_r50_fpn_gn-head-align_ms-640-800-4xb4-2x_coco.py",
    ),
    row(
        name="fovea_r101_fpn_4x4_1x_coco",
        model=FoveaBox.Config(backbone=R101),
        schedule=DENSE_1X,
        published=Published(box_ap=38.6, memory_gb=9.2, fps=17.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/foveabox/fovea_r101_fpn_4x4_1x_coco/fovea_r101_fpn_4x4_1x_coco_20200219-05e38f1c.pth",
        config="foveabox/fovea_r101_fpn_4xb4-1x_coco.py",
    ),
    row(
        name="fovea_r101_fpn_4x4_2x_coco",
        model=FoveaBox.Config(backbone=R101),
        schedule=DENSE_2X,
        published=Published(box_ap=40.0, memory_gb=11.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/foveabox/fovea_r101_fpn_4x4_2x_coco/fovea_r101_fpn_4x4_2x_coco_20200208-02320ea4.pth",
        config="foveabox/fovea_r101_fpn_4xb4-2x_coco.py",
    ),
    row(
        name="fovea_align_r101_fpn_gn-head_4x4_2x_coco",
        model=aligned(R101),
        schedule=DENSE_2X,
        published=Published(box_ap=40.0, memory_gb=11.7, fps=14.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/foveabox/fovea_align_r101_fpn_gn-head_4x4_2x_coco/fovea_align_r101_fpn_gn-head_4x4_2x_coco_20200208-c39a027a.pth",
        config="foveabox/fovea_r101_fpn_gn-head-align_4xb4-2x_coco.py",
    ),
    row(
        name="fovea_align_r101_fpn_gn-head_mstrain_640-800_4x4_2x_coco",
        model=aligned(R101),
        data=TWO_SIZES,
        schedule=DENSE_2X,
        published=Published(box_ap=42.0, memory_gb=11.7, fps=14.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/foveabox/fovea_align_r101_fpn_gn-head_mstrain_640-800_4x4_2x_coco/fovea_align_r101_fpn_gn-head_mstrain_640-800_4x4_2x_coco_20200208-649c5eb6.pth",
        config="foveabox/fovea_r101_fpn_gn-head-align_ms-640-800-4xb4-2x_coco.py",
    ),
)
