"""Group Normalization (arXiv:1803.08494): Mask R-CNN with GN in the backbone, the pyramid and the heads."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.detector import Input
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.recipes.columns import (
    BGR,
    GN_FPN,
    GN_MASK_BOX_HEAD,
    GN_MASK_HEAD,
    R50,
    R101,
    RGB,
    SCHEDULE_2X,
    SCHEDULE_3X,
    gn,
    row,
)
from detzoo.recipes.initial import INIT_R50_GN_CONTRIB
from detzoo.recipes.recipe import Published


def mask_rcnn_gn(backbone: ResNet.Config, input: Input = BGR) -> MaskRCNN.Config:
    """The model of every row; ``RGB`` input where the backbone came from a contributor and not from Detectron."""
    return MaskRCNN.Config(
        input=input, backbone=gn(backbone), neck=GN_FPN, box_head=GN_MASK_BOX_HEAD, mask_head=GN_MASK_HEAD
    )


RECIPES = (
    row(
        name="mask_rcnn_r50_fpn_gn-all_2x_coco",
        model=mask_rcnn_gn(R50),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=40.2, mask_ap=36.4, memory_gb=7.1, fps=11.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn/mask_rcnn_r50_fpn_gn-all_2x_coco/mask_rcnn_r50_fpn_gn-all_2x_coco_20200206-8eee02a6.pth",
        config="gn/mask-rcnn_r50_fpn_gn-all_2x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_gn-all_3x_coco",
        model=mask_rcnn_gn(R50),
        schedule=SCHEDULE_3X,
        published=Published(box_ap=40.5, mask_ap=36.7, memory_gb=7.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn/mask_rcnn_r50_fpn_gn-all_3x_coco/mask_rcnn_r50_fpn_gn-all_3x_coco_20200214-8b23b1e5.pth",
        config="gn/mask-rcnn_r50_fpn_gn-all_3x_coco.py",
    ),
    row(
        name="mask_rcnn_r101_fpn_gn-all_2x_coco",
        model=mask_rcnn_gn(R101),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=41.9, mask_ap=37.6, memory_gb=9.9, fps=9.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn/mask_rcnn_r101_fpn_gn-all_2x_coco/mask_rcnn_r101_fpn_gn-all_2x_coco_20200205-d96b1b50.pth",
        config="gn/mask-rcnn_r101_fpn_gn-all_2x_coco.py",
    ),
    row(
        name="mask_rcnn_r101_fpn_gn-all_3x_coco",
        model=mask_rcnn_gn(R101),
        schedule=SCHEDULE_3X,
        published=Published(box_ap=42.1, mask_ap=38.0, memory_gb=9.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn/mask_rcnn_r101_fpn_gn-all_3x_coco/mask_rcnn_r101_fpn_gn-all_3x_coco_20200513_181609-0df864f4.pth",
        config="gn/mask-rcnn_r101_fpn_gn-all_3x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_gn-all_contrib_2x_coco",
        model=mask_rcnn_gn(R50, RGB),
        schedule=SCHEDULE_2X,
        init=INIT_R50_GN_CONTRIB,
        published=Published(box_ap=40.0, mask_ap=36.1, memory_gb=7.1, fps=10.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn/mask_rcnn_r50_fpn_gn-all_contrib_2x_coco/mask_rcnn_r50_fpn_gn-all_contrib_2x_coco_20200207-20d3e849.pth",
        config="gn/mask-rcnn_r50-contrib_fpn_gn-all_2x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_gn-all_contrib_3x_coco",
        model=mask_rcnn_gn(R50, RGB),
        schedule=SCHEDULE_3X,
        init=INIT_R50_GN_CONTRIB,
        published=Published(box_ap=40.1, mask_ap=36.2, memory_gb=7.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn/mask_rcnn_r50_fpn_gn-all_contrib_3x_coco/mask_rcnn_r50_fpn_gn-all_contrib_3x_coco_20200225-542aefbc.pth",
        config="gn/mask-rcnn_r50-contrib_fpn_gn-all_3x_coco.py",
    ),
)
