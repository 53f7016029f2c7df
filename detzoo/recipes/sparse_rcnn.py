"""Sparse R-CNN (arXiv:2011.12450) with 100 and 300 proposals."""

from __future__ import annotations

from detzoo.methods.sparse_rcnn import SparseRCNN
from detzoo.recipes.columns import COCO, DETR_AUGMENT, DETR_SIZES, R101, SCHEDULE_1X, row
from detzoo.recipes.recipe import Published

MANY = SparseRCNN.Config(queries=300, detections=300)
SIZES = COCO.replace(sizes=DETR_SIZES)
SIZES_AND_CROPS = SIZES.replace(augment=DETR_AUGMENT)
SPARSE_1X = SCHEDULE_1X.replace(optimizer="adamw", lr=2.5e-5, clip_norm=1.0)
SPARSE_3X = SPARSE_1X.replace(epochs=36, milestones=(27, 33))

RECIPES = (
    row(
        name="sparse_rcnn_r50_fpn_1x_coco",
        model=SparseRCNN.Config(),
        schedule=SPARSE_1X,
        published=Published(box_ap=37.9),
        weights="https://download.openmmlab.com/mmdetection/v2.0/sparse_rcnn/sparse_rcnn_r50_fpn_1x_coco/sparse_rcnn_r50_fpn_1x_coco_20201222_214453-dc79b137.pth",
        config="sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py",
    ),
    row(
        name="sparse_rcnn_r50_fpn_mstrain_480-800_3x_coco",
        model=SparseRCNN.Config(),
        data=SIZES,
        schedule=SPARSE_3X,
        published=Published(box_ap=42.8),
        weights="https://download.openmmlab.com/mmdetection/v2.0/sparse_rcnn/sparse_rcnn_r50_fpn_mstrain_480-800_3x_coco/sparse_rcnn_r50_fpn_mstrain_480-800_3x_coco_20201218_154234-7bc5c054.pth",
        config="sparse_rcnn/sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py",
    ),
    row(
        name="sparse_rcnn_r50_fpn_300_proposals_crop_mstrain_480-800_3x_coco",
        model=MANY,
        data=SIZES_AND_CROPS,
        schedule=SPARSE_3X,
        published=Published(box_ap=45.0),
        weights="https://download.openmmlab.com/mmdetection/v2.0/sparse_rcnn/sparse_rcnn_r50_fpn_300_proposals_crop_mstrain_480-800_3x_coco/sparse_rcnn_r50_fpn_300_proposals_crop_mstrain_480-800_3x_coco_20201223_024605-9fe92701.pth",
        config="sparse_rcnn/sparse-rcnn_r50_fpn_300-proposals_crop-ms-480-800-3x_coco.py",
    ),
    row(
        name="sparse_rcnn_r101_fpn_mstrain_480-800_3x_coco",
        model=SparseRCNN.Config(backbone=R101),
        data=SIZES,
        schedule=SPARSE_3X,
        published=Published(box_ap=44.2),
        weights="https://download.openmmlab.com/mmdetection/v2.0/sparse_rcnn/sparse_rcnn_r101_fpn_mstrain_480-800_3x_coco/sparse_rcnn_r101_fpn_mstrain_480-800_3x_coco_20201223_121552-6c46c9d6.pth",
        config="sparse_rcnn/sparse-rcnn_r101_fpn_ms-480-800-3x_coco.py",
    ),
    row(
        name="sparse_rcnn_r101_fpn_300_proposals_crop_mstrain_480-800_3x_coco",
        model=MANY.replace(backbone=R101),
        data=SIZES_AND_CROPS,
        schedule=SPARSE_3X,
        published=Published(box_ap=46.2),
        weights="https://download.openmmlab.com/mmdetection/v2.0/sparse_rcnn/sparse_rcnn_r101_fpn_300_proposals_crop_mstrain_480-800_3x_coco/sparse_rcnn_r101_fpn_300_proposals_crop_mstrain_480-800_3x_coco_20201223_023452-c23c3564.pth",
        config="sparse_rcnn/sparse-rcnn_r101_fpn_300-proposals_crop-ms-480-800-3x_coco.py",
    ),
)
