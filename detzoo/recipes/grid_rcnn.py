"""Grid R-CNN (arXiv:1811.12030), and on RoIs pooled from all levels (GRoIE, arXiv:2004.13665)."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.cascade import CASCADE_RPN
from detzoo.blocks.groie import GRoIE
from detzoo.blocks.roi_heads import BoxHead
from detzoo.methods.grid_rcnn import GridHead, GridRCNN
from detzoo.recipes.columns import MASK_BOX_HEAD, R50, R101, SCHEDULE_1X, X101_32X4D, X101_64X4D, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Schedule

GRID_BOX_HEAD = BoxHead.Config(refines=False, threshold=0.03, nms=0.3, match=MASK_BOX_HEAD.match)
SCHEDULE_25E = Schedule(epochs=25, milestones=(17, 23), lr=0.02, warmup_steps=3665, warmup_start=1 / 80)


def grid_rcnn(backbone: ResNet.Config) -> GridRCNN.Config:
    """The model of every row but the last: they differ in the backbone only."""
    grid_head = GridHead.Config(clips=False)
    return GridRCNN.Config(backbone=backbone, rpn=CASCADE_RPN, box_head=GRID_BOX_HEAD, grid_head=grid_head)


RECIPES = (
    row(
        name="grid_rcnn_r50_fpn_gn-head_1x_coco",
        model=grid_rcnn(R50),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=39.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/groie/grid_rcnn_r50_fpn_gn-head_1x_coco/grid_rcnn_r50_fpn_gn-head_1x_coco_20200605_202059-64f00ee8.pth",
        config="grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco.py",
    ),
    row(
        name="grid_rcnn_r50_fpn_gn-head_2x_coco",
        model=grid_rcnn(R50),
        schedule=SCHEDULE_25E,
        published=Published(box_ap=40.4, memory_gb=5.1, fps=15.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/grid_rcnn/grid_rcnn_r50_fpn_gn-head_2x_coco/grid_rcnn_r50_fpn_gn-head_2x_coco_20200130-6cca8223.pth",
        config="grid_rcnn/grid-rcnn_r50_fpn_gn-head_2x_coco.py",
    ),
    row(
        name="grid_rcnn_r101_fpn_gn-head_2x_coco",
        model=grid_rcnn(R101),
        schedule=SCHEDULE_25E,
        published=Published(box_ap=41.5, memory_gb=7.0, fps=12.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/grid_rcnn/grid_rcnn_r101_fpn_gn-head_2x_coco/grid_rcnn_r101_fpn_gn-head_2x_coco_20200309-d6eca030.pth",
        config="grid_rcnn/grid-rcnn_r101_fpn_gn-head_2x_coco.py",
    ),
    row(
        name="grid_rcnn_x101_32x4d_fpn_gn-head_2x_coco",
        model=grid_rcnn(X101_32X4D),
        schedule=SCHEDULE_25E,
        published=Published(box_ap=42.9, memory_gb=8.3, fps=10.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/grid_rcnn/grid_rcnn_x101_32x4d_fpn_gn-head_2x_coco/grid_rcnn_x101_32x4d_fpn_gn-head_2x_coco_20200130-d8f0e3ff.pth",
        config="grid_rcnn/grid-rcnn_x101-32x4d_fpn_gn-head_2x_coco.py",
    ),
    row(
        name="grid_rcnn_x101_64x4d_fpn_gn-head_2x_coco",
        model=grid_rcnn(X101_64X4D),
        schedule=SCHEDULE_25E,
        published=Published(box_ap=43.0, memory_gb=11.3, fps=7.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/grid_rcnn/grid_rcnn_x101_64x4d_fpn_gn-head_2x_coco/grid_rcnn_x101_64x4d_fpn_gn-head_2x_coco_20200204-ec76a754.pth",
        config="grid_rcnn/grid-rcnn_x101-64x4d_fpn_gn-head_2x_coco.py",
    ),
    row(
        name="grid_rcnn_r50_fpn_gn-head_groie_1x_coco",
        model=grid_rcnn(R50).replace(
            box_head=GRID_BOX_HEAD.replace(extractor=GRoIE.Config(), sampling=2),
            grid_head=GridHead.Config(extractor=GRoIE.Config(), sampling=2, clips=False),
        ),
        schedule=SCHEDULE_1X,
        config="groie/grid-rcnn_r50_fpn_gn-head-groie_1x_coco.py",
    ),
)
