"""Region proposal networks on FPN (arXiv:1506.01497, arXiv:1612.03144); published is the recall of 1000 proposals."""

from __future__ import annotations

from detzoo.methods.rpn import RPNDetector
from detzoo.recipes.columns import BGR, COCO, R50, R101, SCHEDULE_1X, SCHEDULE_2X, X101_32X4D, X101_64X4D, caffe, row
from detzoo.recipes.recipe import Published

COCO_RECALL = COCO.replace(metric="proposals")

RECIPES = (
    row(
        name="rpn_r50_caffe_fpn_1x_coco",
        model=RPNDetector.Config(input=BGR, backbone=caffe(R50)),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X,
        published=Published(ar1000=58.7, memory_gb=3.5, fps=22.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/rpn/rpn_r50_caffe_fpn_1x_coco/rpn_r50_caffe_fpn_1x_coco_20200531-5b903a37.pth",
        config="rpn/rpn_r50-caffe_fpn_1x_coco.py",
    ),
    row(
        name="rpn_r50_fpn_1x_coco",
        model=RPNDetector.Config(),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X,
        published=Published(ar1000=58.2, memory_gb=3.8, fps=22.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/rpn/rpn_r50_fpn_1x_coco/rpn_r50_fpn_1x_coco_20200218-5525fa2e.pth",
        config="rpn/rpn_r50_fpn_1x_coco.py",
    ),
    row(
        name="rpn_r50_fpn_2x_coco",
        model=RPNDetector.Config(),
        data=COCO_RECALL,
        schedule=SCHEDULE_2X,
        published=Published(ar1000=58.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/rpn/rpn_r50_fpn_2x_coco/rpn_r50_fpn_2x_coco_20200131-0728c9b3.pth",
        config="rpn/rpn_r50_fpn_2x_coco.py",
    ),
    row(
        name="rpn_r101_caffe_fpn_1x_coco",
        model=RPNDetector.Config(input=BGR, backbone=caffe(R101)),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X,
        published=Published(ar1000=60.0, memory_gb=5.4, fps=17.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/rpn/rpn_r101_caffe_fpn_1x_coco/rpn_r101_caffe_fpn_1x_coco_20200531-0629a2e2.pth",
        config="rpn/rpn_r101-caffe_fpn_1x_coco.py",
    ),
    row(
        name="rpn_r101_fpn_1x_coco",
        model=RPNDetector.Config(backbone=R101),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X,
        published=Published(ar1000=59.7, memory_gb=5.8, fps=16.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/rpn/rpn_r101_fpn_1x_coco/rpn_r101_fpn_1x_coco_20200131-2ace2249.pth",
        config="rpn/rpn_r101_fpn_1x_coco.py",
    ),
    row(
        name="rpn_r101_fpn_2x_coco",
        model=RPNDetector.Config(backbone=R101),
        data=COCO_RECALL,
        schedule=SCHEDULE_2X,
        published=Published(ar1000=60.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/rpn/rpn_r101_fpn_2x_coco/rpn_r101_fpn_2x_coco_20200131-24e3db1a.pth",
        config="rpn/rpn_r101_fpn_2x_coco.py",
    ),
    row(
        name="rpn_x101_32x4d_fpn_1x_coco",
        model=RPNDetector.Config(backbone=X101_32X4D),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X,
        published=Published(ar1000=60.6, memory_gb=7.0, fps=13.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/rpn/rpn_x101_32x4d_fpn_1x_coco/rpn_x101_32x4d_fpn_1x_coco_20200219-b02646c6.pth",
        config="rpn/rpn_x101-32x4d_fpn_1x_coco.py",
    ),
    row(
        name="rpn_x101_32x4d_fpn_2x_coco",
        model=RPNDetector.Config(backbone=X101_32X4D),
        data=COCO_RECALL,
        schedule=SCHEDULE_2X,
        published=Published(ar1000=61.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/rpn/rpn_x101_32x4d_fpn_2x_coco/rpn_x101_32x4d_fpn_2x_coco_20200208-d22bd0bb.pth",
        config="rpn/rpn_x101-32x4d_fpn_2x_coco.py",
    ),
    row(
        name="rpn_x101_64x4d_fpn_1x_coco",
        model=RPNDetector.Config(backbone=X101_64X4D),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X,
        published=Published(ar1000=61.0, memory_gb=10.1, fps=9.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/rpn/rpn_x101_64x4d_fpn_1x_coco/rpn_x101_64x4d_fpn_1x_coco_20200208-cde6f7dd.pth",
        config="rpn/rpn_x101-64x4d_fpn_1x_coco.py",
    ),
    row(
        name="rpn_x101_64x4d_fpn_2x_coco",
        model=RPNDetector.Config(backbone=X101_64X4D),
        data=COCO_RECALL,
        schedule=SCHEDULE_2X,
        published=Published(ar1000=61.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/rpn/rpn_x101_64x4d_fpn_2x_coco/rpn_x101_64x4d_fpn_2x_coco_20200208-c65f524f.pth",
        config="rpn/rpn_x101-64x4d_fpn_2x_coco.py",
    ),
)
