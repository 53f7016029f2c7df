"""Mask Scoring R-CNN (arXiv:1903.00241)."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.detector import Input
from detzoo.methods.mask_scoring_rcnn import MaskScoringRCNN
from detzoo.recipes.columns import (
    BGR,
    MASK_BOX_HEAD,
    R50,
    R101,
    RGB,
    SCHEDULE_1X,
    SCHEDULE_2X,
    X101_32X4D,
    X101_64X4D,
    caffe,
    row,
)
from detzoo.recipes.recipe import Published


def mask_scoring(backbone: ResNet.Config, input: Input = RGB) -> MaskScoringRCNN.Config:
    """The model of every row: they differ in the backbone and its input only."""
    return MaskScoringRCNN.Config(input=input, backbone=backbone, box_head=MASK_BOX_HEAD)


RECIPES = (
    row(
        name="ms_rcnn_r50_caffe_fpn_1x_coco",
        model=mask_scoring(caffe(R50), BGR),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=38.2, mask_ap=36.0, memory_gb=4.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ms_rcnn/ms_rcnn_r50_caffe_fpn_1x_coco/ms_rcnn_r50_caffe_fpn_1x_coco_20200702_180848-61c9355e.pth",
        config="ms_rcnn/ms-rcnn_r50-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ms_rcnn_r50_caffe_fpn_2x_coco",
        model=mask_scoring(caffe(R50), BGR),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=38.8, mask_ap=36.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ms_rcnn/ms_rcnn_r50_caffe_fpn_2x_coco/ms_rcnn_r50_caffe_fpn_2x_coco_bbox_mAP-0.388__segm_mAP-0.363_20200506_004738-ee87b137.pth",
        config="ms_rcnn/ms-rcnn_r50-caffe_fpn_2x_coco.py",
    ),
    row(
        name="ms_rcnn_r101_caffe_fpn_1x_coco",
        model=mask_scoring(caffe(R101), BGR),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=40.4, mask_ap=37.6, memory_gb=6.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ms_rcnn/ms_rcnn_r101_caffe_fpn_1x_coco/ms_rcnn_r101_caffe_fpn_1x_coco_bbox_mAP-0.404__segm_mAP-0.376_20200506_004755-b9b12a37.pth",
        config="ms_rcnn/ms-rcnn_r101-caffe_fpn_1x_coco.py",
    ),
    row(
        name="ms_rcnn_r101_caffe_fpn_2x_coco",
        model=mask_scoring(caffe(R101), BGR),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=41.1, mask_ap=38.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ms_rcnn/ms_rcnn_r101_caffe_fpn_2x_coco/ms_rcnn_r101_caffe_fpn_2x_coco_bbox_mAP-0.411__segm_mAP-0.381_20200506_011134-5f3cc74f.pth",
        config="ms_rcnn/ms-rcnn_r101-caffe_fpn_2x_coco.py",
    ),
    row(
        name="ms_rcnn_x101_32x4d_fpn_1x_coco",
        model=mask_scoring(X101_32X4D),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.8, mask_ap=38.7, memory_gb=7.9, fps=11.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ms_rcnn/ms_rcnn_x101_32x4d_fpn_1x_coco/ms_rcnn_x101_32x4d_fpn_1x_coco_20200206-81fd1740.pth",
        config="ms_rcnn/ms-rcnn_x101-32x4d_fpn_1x_coco.py",
    ),
    row(
        name="ms_rcnn_x101_64x4d_fpn_1x_coco",
        model=mask_scoring(X101_64X4D),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=43.0, mask_ap=39.5, memory_gb=11.0, fps=8.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ms_rcnn/ms_rcnn_x101_64x4d_fpn_1x_coco/ms_rcnn_x101_64x4d_fpn_1x_coco_20200206-86ba88d2.pth",
        config="ms_rcnn/ms-rcnn_x101-64x4d_fpn_1x_coco.py",
    ),
    row(
        name="ms_rcnn_x101_64x4d_fpn_2x_coco",
        model=mask_scoring(X101_64X4D),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=42.6, mask_ap=39.5, memory_gb=11.0, fps=8.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ms_rcnn/ms_rcnn_x101_64x4d_fpn_2x_coco/ms_rcnn_x101_64x4d_fpn_2x_coco_20200308-02a445e2.pth",
        config="ms_rcnn/ms-rcnn_x101-64x4d_fpn_2x_coco.py",
    ),
)
