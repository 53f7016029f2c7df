"""Mask R-CNN on FPN (arXiv:1703.06870, arXiv:1612.03144): ResNet and ResNeXt, schedules, fp16."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.detector import Input
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.recipes.columns import (
    BGR,
    BGR_STD,
    COCO_MASKS,
    MASK_BOX_HEAD,
    R50,
    R101,
    RGB,
    SCHEDULE_1X,
    SCHEDULE_2X,
    SCHEDULE_3X,
    SCHEDULE_3X_REPEATED,
    X101_32X4D,
    X101_32X8D,
    X101_64X4D,
    caffe,
    multi_scale,
    multi_scale_repeated,
)
from detzoo.recipes.initial import (
    INIT_R50,
    INIT_R50_CAFFE,
    INIT_R101,
    INIT_R101_CAFFE,
    INIT_X101_32X4D,
    INIT_X101_32X8D,
    INIT_X101_64X4D,
)
from detzoo.recipes.recipe import Published, Recipe, Weights


def mask_rcnn(backbone: ResNet.Config = R50, input: Input = RGB) -> MaskRCNN.Config:
    """The model of every row: they differ in the backbone and its input only."""
    return MaskRCNN.Config(input=input, backbone=backbone, box_head=MASK_BOX_HEAD)


RECIPES = (
    Recipe(
        name="mask_rcnn_r50_caffe_fpn_1x_coco",
        model=mask_rcnn(input=BGR, backbone=caffe(R50)),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        init=INIT_R50_CAFFE,
        published=Published(box_ap=38.0, mask_ap=34.4, memory_gb=4.3),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_caffe_fpn_1x_coco/mask_rcnn_r50_caffe_fpn_1x_coco_bbox_mAP-0.38__segm_mAP-0.344_20200504_231812-0ebd1859.pth",
            sha256="0ebd1859",
        ),
        config="mask_rcnn/mask-rcnn_r50-caffe_fpn_1x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r50_fpn_1x_coco",
        model=mask_rcnn(),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        init=INIT_R50,
        published=Published(box_ap=38.2, mask_ap=34.7, memory_gb=4.4, fps=16.1),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_1x_coco/mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth",
            sha256="d4b0c5d6",
        ),
        config="mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r50_fpn_2x_coco",
        model=mask_rcnn(),
        data=COCO_MASKS,
        schedule=SCHEDULE_2X,
        init=INIT_R50,
        published=Published(box_ap=39.2, mask_ap=35.4),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_2x_coco/mask_rcnn_r50_fpn_2x_coco_bbox_mAP-0.392__segm_mAP-0.354_20200505_003907-3e542a40.pth",
            sha256="3e542a40",
        ),
        config="mask_rcnn/mask-rcnn_r50_fpn_2x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r101_caffe_fpn_1x_coco",
        model=mask_rcnn(input=BGR, backbone=caffe(R101)),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        init=INIT_R101_CAFFE,
        published=Published(box_ap=40.4, mask_ap=36.4),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r101_caffe_fpn_1x_coco/mask_rcnn_r101_caffe_fpn_1x_coco_20200601_095758-805e06c1.pth",
            sha256="805e06c1",
        ),
        config="mask_rcnn/mask-rcnn_r101-caffe_fpn_1x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r101_fpn_1x_coco",
        model=mask_rcnn(backbone=R101),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        init=INIT_R101,
        published=Published(box_ap=40.0, mask_ap=36.1, memory_gb=6.4, fps=13.5),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r101_fpn_1x_coco/mask_rcnn_r101_fpn_1x_coco_20200204-1efe0ed5.pth",
            sha256="1efe0ed5",
        ),
        config="mask_rcnn/mask-rcnn_r101_fpn_1x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r101_fpn_2x_coco",
        model=mask_rcnn(backbone=R101),
        data=COCO_MASKS,
        schedule=SCHEDULE_2X,
        init=INIT_R101,
        published=Published(box_ap=40.8, mask_ap=36.6),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r101_fpn_2x_coco/mask_rcnn_r101_fpn_2x_coco_bbox_mAP-0.408__segm_mAP-0.366_20200505_071027-14b391c7.pth",
            sha256="14b391c7",
        ),
        config="mask_rcnn/mask-rcnn_r101_fpn_2x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_x101_32x4d_fpn_1x_coco",
        model=mask_rcnn(backbone=X101_32X4D),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        init=INIT_X101_32X4D,
        published=Published(box_ap=41.9, mask_ap=37.5, memory_gb=7.6, fps=11.3),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_x101_32x4d_fpn_1x_coco/mask_rcnn_x101_32x4d_fpn_1x_coco_20200205-478d0b67.pth",
            sha256="478d0b67",
        ),
        config="mask_rcnn/mask-rcnn_x101-32x4d_fpn_1x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_x101_32x4d_fpn_2x_coco",
        model=mask_rcnn(backbone=X101_32X4D),
        data=COCO_MASKS,
        schedule=SCHEDULE_2X,
        init=INIT_X101_32X4D,
        published=Published(box_ap=42.2, mask_ap=37.8),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_x101_32x4d_fpn_2x_coco/mask_rcnn_x101_32x4d_fpn_2x_coco_bbox_mAP-0.422__segm_mAP-0.378_20200506_004702-faef898c.pth",
            sha256="faef898c",
        ),
        config="mask_rcnn/mask-rcnn_x101-32x4d_fpn_2x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_x101_64x4d_fpn_1x_coco",
        model=mask_rcnn(backbone=X101_64X4D),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        init=INIT_X101_64X4D,
        published=Published(box_ap=42.8, mask_ap=38.4, memory_gb=10.7, fps=8.0),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_x101_64x4d_fpn_1x_coco/mask_rcnn_x101_64x4d_fpn_1x_coco_20200201-9352eb0d.pth",
            sha256="9352eb0d",
        ),
        config="mask_rcnn/mask-rcnn_x101-64x4d_fpn_1x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_x101_64x4d_fpn_2x_coco",
        model=mask_rcnn(backbone=X101_64X4D),
        data=COCO_MASKS,
        schedule=SCHEDULE_2X,
        init=INIT_X101_64X4D,
        published=Published(box_ap=42.7, mask_ap=38.1),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_x101_64x4d_fpn_2x_coco/mask_rcnn_x101_64x4d_fpn_2x_coco_20200509_224208-39d6f70c.pth",
            sha256="39d6f70c",
        ),
        config="mask_rcnn/mask-rcnn_x101-64x4d_fpn_2x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_x101_32x8d_fpn_1x_coco",
        model=mask_rcnn(input=BGR_STD, backbone=X101_32X8D),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X,
        init=INIT_X101_32X8D,
        published=Published(box_ap=42.8, mask_ap=38.3),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_x101_32x8d_fpn_1x_coco/mask_rcnn_x101_32x8d_fpn_1x_coco_20220630_173841-0aaf329e.pth",
            sha256="0aaf329e",
        ),
        config="mask_rcnn/mask-rcnn_x101-32x8d_fpn_1x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r50_caffe_fpn_mstrain-poly_2x_coco",
        model=mask_rcnn(input=BGR, backbone=caffe(R50)),
        data=multi_scale(COCO_MASKS),
        schedule=SCHEDULE_2X,
        init=INIT_R50_CAFFE,
        published=Published(box_ap=40.3, mask_ap=36.5, memory_gb=4.3),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_caffe_fpn_mstrain-poly_2x_coco/mask_rcnn_r50_caffe_fpn_mstrain-poly_2x_coco_bbox_mAP-0.403__segm_mAP-0.365_20200504_231822-a75c98ce.pth",
            sha256="a75c98ce",
        ),
        config="mask_rcnn/mask-rcnn_r50-caffe_fpn_ms-poly-2x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r50_caffe_fpn_mstrain-poly_3x_coco",
        model=mask_rcnn(input=BGR, backbone=caffe(R50)),
        data=multi_scale(COCO_MASKS),
        schedule=SCHEDULE_3X,
        init=INIT_R50_CAFFE,
        published=Published(box_ap=40.8, mask_ap=37.0, memory_gb=4.3),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_caffe_fpn_mstrain-poly_3x_coco/mask_rcnn_r50_caffe_fpn_mstrain-poly_3x_coco_bbox_mAP-0.408__segm_mAP-0.37_20200504_163245-42aa3d00.pth",
            sha256="42aa3d00",
        ),
        config="mask_rcnn/mask-rcnn_r50-caffe_fpn_ms-poly-3x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_x101_32x8d_fpn_mstrain-poly_1x_coco",
        model=mask_rcnn(input=BGR_STD, backbone=X101_32X8D),
        data=multi_scale(COCO_MASKS),
        schedule=SCHEDULE_1X,
        init=INIT_X101_32X8D,
        published=Published(box_ap=43.6, mask_ap=39.0),
        # a later run, box AP 43.4
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_x101_32x8d_fpn_mstrain-poly_1x_coco/mask_rcnn_x101_32x8d_fpn_mstrain-poly_1x_coco_20220630_170346-b4637974.pth",
            sha256="b4637974",
        ),
        config="mask_rcnn/mask-rcnn_x101-32x8d_fpn_ms-poly-1x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_x101_32x8d_fpn_mstrain-poly_3x_coco",
        model=mask_rcnn(input=BGR_STD, backbone=X101_32X8D),
        data=multi_scale_repeated(COCO_MASKS),
        schedule=SCHEDULE_3X_REPEATED,
        init=INIT_X101_32X8D,
        published=Published(box_ap=44.0, mask_ap=39.3),
        # a later run, box AP 44.3
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_x101_32x8d_fpn_mstrain-poly_3x_coco/mask_rcnn_x101_32x8d_fpn_mstrain-poly_3x_coco_20210607_161042-8bd2c639.pth",
            sha256="8bd2c639",
        ),
        config="mask_rcnn/mask-rcnn_x101-32x8d_fpn_ms-poly-3x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r50_fpn_fp16_1x_coco",
        model=mask_rcnn(),
        data=COCO_MASKS,
        schedule=SCHEDULE_1X.replace(precision="fp16"),
        init=INIT_R50,
        published=Published(box_ap=38.1, mask_ap=34.7, memory_gb=3.6, fps=24.1),
        weights=Weights(
            url="http://download.openmmlab.com/mmdetection/v2.0/fp16/mask_rcnn_r50_fpn_fp16_1x_coco/mask_rcnn_r50_fpn_fp16_1x_coco_20200205-59faf7e4.pth",
            sha256="59faf7e4",
        ),
        config="mask_rcnn/mask-rcnn_r50_fpn_amp-1x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r50_fpn_mstrain-poly_3x_coco",
        model=mask_rcnn(),
        data=multi_scale_repeated(COCO_MASKS),
        schedule=SCHEDULE_3X_REPEATED,
        init=INIT_R50,
        published=Published(box_ap=40.9, mask_ap=37.1, memory_gb=4.1),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_mstrain-poly_3x_coco/mask_rcnn_r50_fpn_mstrain-poly_3x_coco_20210524_201154-21b550bb.pth",
            sha256="21b550bb",
        ),
        config="mask_rcnn/mask-rcnn_r50_fpn_ms-poly-3x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r101_fpn_mstrain-poly_3x_coco",
        model=mask_rcnn(backbone=R101),
        data=multi_scale_repeated(COCO_MASKS),
        schedule=SCHEDULE_3X_REPEATED,
        init=INIT_R101,
        published=Published(box_ap=42.7, mask_ap=38.5, memory_gb=6.1),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r101_fpn_mstrain-poly_3x_coco/mask_rcnn_r101_fpn_mstrain-poly_3x_coco_20210524_200244-5675c317.pth",
            sha256="5675c317",
        ),
        config="mask_rcnn/mask-rcnn_r101_fpn_ms-poly-3x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_r101_caffe_fpn_mstrain-poly_3x_coco",
        model=mask_rcnn(input=BGR, backbone=caffe(R101)),
        data=multi_scale_repeated(COCO_MASKS),
        schedule=SCHEDULE_3X_REPEATED,
        init=INIT_R101_CAFFE,
        published=Published(box_ap=42.9, mask_ap=38.5, memory_gb=5.9),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r101_caffe_fpn_mstrain-poly_3x_coco/mask_rcnn_r101_caffe_fpn_mstrain-poly_3x_coco_20210526_132339-3c33ce02.pth",
            sha256="3c33ce02",
        ),
        config="mask_rcnn/mask-rcnn_r101-caffe_fpn_ms-poly-3x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_x101_32x4d_fpn_mstrain-poly_3x_coco",
        model=mask_rcnn(backbone=X101_32X4D),
        data=multi_scale_repeated(COCO_MASKS),
        schedule=SCHEDULE_3X_REPEATED,
        init=INIT_X101_32X4D,
        published=Published(box_ap=43.6, mask_ap=39.0, memory_gb=7.3),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_x101_32x4d_fpn_mstrain-poly_3x_coco/mask_rcnn_x101_32x4d_fpn_mstrain-poly_3x_coco_20210524_201410-abcd7859.pth",
            sha256="abcd7859",
        ),
        config="mask_rcnn/mask-rcnn_x101-32x4d_fpn_ms-poly-3x_coco.py",
    ),
    Recipe(
        name="mask_rcnn_x101_64x4d_fpn_mstrain-poly_3x_coco",
        model=mask_rcnn(backbone=X101_64X4D),
        data=multi_scale_repeated(COCO_MASKS),
        schedule=SCHEDULE_3X_REPEATED,
        init=INIT_X101_64X4D,
        published=Published(box_ap=44.5, mask_ap=39.7, memory_gb=10.4),
        weights=Weights(
            url="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_x101_64x4d_fpn_mstrain-poly_3x_coco/mask_rcnn_x101_64x4d_fpn_mstrain-poly_3x_coco_20210526_120447-c376f129.pth",
            sha256="c376f129",
        ),
        config="mask_rcnn/mask-rcnn_x101-64x4d_fpn_ms-poly_3x_coco.py",
    ),
)
