"""RetinaNet on FPN (arXiv:1708.02002): ResNet and ResNeXt, schedules, fp16."""

from __future__ import annotations

from detzoo.methods.retinanet import RetinaNet
from detzoo.recipes.columns import (
    BGR,
    COCO,
    R18,
    R50,
    R101,
    SCHEDULE_1X,
    SCHEDULE_2X,
    SCHEDULE_3X,
    SCHEDULE_3X_REPEATED,
    X101_32X4D,
    X101_64X4D,
    caffe,
    multi_scale,
    multi_scale_repeated,
    row,
)
from detzoo.recipes.recipe import Published

RETINANET_1X = SCHEDULE_1X.replace(lr=0.01)
RETINANET_2X = SCHEDULE_2X.replace(lr=0.01)
RETINANET_3X = SCHEDULE_3X.replace(lr=0.01)
RETINANET_3X_REPEATED = SCHEDULE_3X_REPEATED.replace(lr=0.01)

RECIPES = (
    row(
        name="retinanet_r50_caffe_fpn_1x_coco",
        model=RetinaNet.Config(input=BGR, backbone=caffe(R50)),
        schedule=RETINANET_1X,
        published=Published(box_ap=36.3, memory_gb=3.5, fps=18.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_caffe_fpn_1x_coco/retinanet_r50_caffe_fpn_1x_coco_20200531-f11027c5.pth",
        config="retinanet/retinanet_r50-caffe_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_r50_fpn_1x_coco",
        model=RetinaNet.Config(),
        schedule=RETINANET_1X,
        published=Published(box_ap=36.5, memory_gb=3.8, fps=19.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_fpn_1x_coco/retinanet_r50_fpn_1x_coco_20200130-c2398f9e.pth",
        config="retinanet/retinanet_r50_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_r50_fpn_2x_coco",
        model=RetinaNet.Config(),
        schedule=RETINANET_2X,
        published=Published(box_ap=37.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_fpn_2x_coco/retinanet_r50_fpn_2x_coco_20200131-fdb43119.pth",
        config="retinanet/retinanet_r50_fpn_2x_coco.py",
    ),
    row(
        name="retinanet_r101_caffe_fpn_1x_coco",
        model=RetinaNet.Config(input=BGR, backbone=caffe(R101)),
        schedule=RETINANET_1X,
        published=Published(box_ap=38.5, memory_gb=5.5, fps=14.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_caffe_fpn_1x_coco/retinanet_r101_caffe_fpn_1x_coco_20200531-b428fa0f.pth",
        config="retinanet/retinanet_r101-caffe_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_r101_fpn_1x_coco",
        model=RetinaNet.Config(backbone=R101),
        schedule=RETINANET_1X,
        published=Published(box_ap=38.5, memory_gb=5.7, fps=15.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_fpn_1x_coco/retinanet_r101_fpn_1x_coco_20200130-7a93545f.pth",
        config="retinanet/retinanet_r101_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_r101_fpn_2x_coco",
        model=RetinaNet.Config(backbone=R101),
        schedule=RETINANET_2X,
        published=Published(box_ap=38.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_fpn_2x_coco/retinanet_r101_fpn_2x_coco_20200131-5560aee8.pth",
        config="retinanet/retinanet_r101_fpn_2x_coco.py",
    ),
    row(
        name="retinanet_x101_32x4d_fpn_1x_coco",
        model=RetinaNet.Config(backbone=X101_32X4D),
        schedule=RETINANET_1X,
        published=Published(box_ap=39.9, memory_gb=7.0, fps=12.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_32x4d_fpn_1x_coco/retinanet_x101_32x4d_fpn_1x_coco_20200130-5c8b7ec4.pth",
        config="retinanet/retinanet_x101-32x4d_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_x101_32x4d_fpn_2x_coco",
        model=RetinaNet.Config(backbone=X101_32X4D),
        schedule=RETINANET_2X,
        published=Published(box_ap=40.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_32x4d_fpn_2x_coco/retinanet_x101_32x4d_fpn_2x_coco_20200131-237fc5e1.pth",
        config="retinanet/retinanet_x101-32x4d_fpn_2x_coco.py",
    ),
    row(
        name="retinanet_x101_64x4d_fpn_1x_coco",
        model=RetinaNet.Config(backbone=X101_64X4D),
        schedule=RETINANET_1X,
        published=Published(box_ap=41.0, memory_gb=10.0, fps=8.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_64x4d_fpn_1x_coco/retinanet_x101_64x4d_fpn_1x_coco_20200130-366f5af1.pth",
        config="retinanet/retinanet_x101-64x4d_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_x101_64x4d_fpn_2x_coco",
        model=RetinaNet.Config(backbone=X101_64X4D),
        schedule=RETINANET_2X,
        published=Published(box_ap=40.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_64x4d_fpn_2x_coco/retinanet_x101_64x4d_fpn_2x_coco_20200131-bca068ab.pth",
        config="retinanet/retinanet_x101-64x4d_fpn_2x_coco.py",
    ),
    row(
        name="retinanet_r50_fpn_fp16_1x_coco",
        model=RetinaNet.Config(),
        schedule=RETINANET_1X.replace(precision="fp16"),
        published=Published(box_ap=36.4, memory_gb=2.8, fps=31.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fp16/retinanet_r50_fpn_fp16_1x_coco/retinanet_r50_fpn_fp16_1x_coco_20200702-0dbfb212.pth",
        config="retinanet/retinanet_r50_fpn_amp-1x_coco.py",
    ),
    row(
        name="retinanet_r18_fpn_1x_coco",
        model=RetinaNet.Config(backbone=R18),
        schedule=RETINANET_1X,
        published=Published(box_ap=31.7, memory_gb=1.7),
        weights="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r18_fpn_1x_coco/retinanet_r18_fpn_1x_coco_20220407_171055-614fd399.pth",
        config="retinanet/retinanet_r18_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_r18_fpn_1x8_1x_coco",
        model=RetinaNet.Config(backbone=R18),
        # a single device, as a comment of the published file says; its auto_scale_lr is inherited, and off
        schedule=RETINANET_1X.replace(lr=0.005, batch=8, base_batch=8),
        published=Published(box_ap=31.7, memory_gb=5.0),
        weights="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r18_fpn_1x8_1x_coco/retinanet_r18_fpn_1x8_1x_coco_20220407_171255-4ea310d7.pth",
        config="retinanet/retinanet_r18_fpn_1xb8-1x_coco.py",
    ),
    row(
        name="retinanet_r50_fpn_mstrain_3x_coco",
        model=RetinaNet.Config(),
        data=multi_scale_repeated(COCO),
        schedule=RETINANET_3X_REPEATED,
        published=Published(box_ap=39.5),
        weights="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_fpn_mstrain_3x_coco/retinanet_r50_fpn_mstrain_3x_coco_20210718_220633-88476508.pth",
        config="retinanet/retinanet_r50_fpn_ms-640-800-3x_coco.py",
    ),
    row(
        name="retinanet_r101_caffe_fpn_mstrain_3x_coco",
        model=RetinaNet.Config(input=BGR, backbone=caffe(R101)),
        data=multi_scale(COCO),
        schedule=RETINANET_3X,
        published=Published(box_ap=40.7),
        weights="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_caffe_fpn_mstrain_3x_coco/retinanet_r101_caffe_fpn_mstrain_3x_coco_20210721_063439-88a8a944.pth",
        config="retinanet/retinanet_r101-caffe_fpn_ms-3x_coco.py",
    ),
    row(
        name="retinanet_r101_fpn_mstrain_3x_coco",
        model=RetinaNet.Config(backbone=R101),
        data=multi_scale_repeated(COCO),
        schedule=RETINANET_3X_REPEATED,
        published=Published(box_ap=41),
        weights="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_fpn_mstrain_3x_coco/retinanet_r101_fpn_mstrain_3x_coco_20210720_214650-7ee888e0.pth",
        config="retinanet/retinanet_r101_fpn_ms-640-800-3x_coco.py",
    ),
    row(
        name="retinanet_x101_64x4d_fpn_mstrain_3x_coco",
        model=RetinaNet.Config(backbone=X101_64X4D),
        data=multi_scale_repeated(COCO),
        schedule=RETINANET_3X_REPEATED,
        published=Published(box_ap=41.6),
        weights="https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_64x4d_fpn_mstrain_3x_coco/retinanet_x101_64x4d_fpn_mstrain_3x_coco_20210719_051838-022c2187.pth",
        config="retinanet/retinanet_x101-64x4d_fpn_ms-640-800-3x_coco.py",
    ),
)
