"""LVIS 0.5 and 1 (arXiv:1908.03195): 1230 and 1203 classes on the images of COCO, most of them rare."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.recipes.classes import LVIS_V05_CLASSES, LVIS_V1_CLASSES
from detzoo.recipes.columns import (
    MASK_BOX_HEAD,
    R50,
    R101,
    SCHEDULE_1X,
    SCHEDULE_2X,
    X101_32X4D,
    X101_64X4D,
    multi_scale,
    row,
)
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Data, Split

LVIS_V05 = multi_scale(
    Data(
        root="data/lvis_v0.5",
        train=(Split(annotations="annotations/lvis_v0.5_train.json", images="train2017"),),
        val=(Split(annotations="annotations/lvis_v0.5_val.json", images="val2017"),),
        classes=LVIS_V05_CLASSES,
        masks=True,
        oversample=1e-3,
        metric="lvis",
    )
)
# its halves do not follow COCO's, so that the folder of an image stands in its name
LVIS_V1 = LVIS_V05.replace(
    root="data/lvis_v1",
    train=(Split(annotations="annotations/lvis_v1_train.json"),),
    val=(Split(annotations="annotations/lvis_v1_val.json"),),
    classes=LVIS_V1_CLASSES,
)


def mask_rcnn(backbone: ResNet.Config) -> MaskRCNN.Config:
    """The model of every row: so many classes leave little score for each."""
    head = MASK_BOX_HEAD.replace(threshold=1e-4, detections=300)
    return MaskRCNN.Config(backbone=backbone, box_head=head)


RECIPES = (
    row(
        name="mask_rcnn_r50_fpn_sample1e-3_mstrain_2x_lvis_v0.5",
        model=mask_rcnn(R50),
        data=LVIS_V05,
        schedule=SCHEDULE_2X,
        published=Published(box_ap=26.1, mask_ap=25.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/lvis/mask_rcnn_r50_fpn_sample1e-3_mstrain_2x_lvis/mask_rcnn_r50_fpn_sample1e-3_mstrain_2x_lvis-dbd06831.pth",
        config="lvis/mask-rcnn_r50_fpn_sample1e-3_ms-2x_lvis-v0.5.py",
    ),
    row(
        name="mask_rcnn_r101_fpn_sample1e-3_mstrain_2x_lvis_v0.5",
        model=mask_rcnn(R101),
        data=LVIS_V05,
        schedule=SCHEDULE_2X,
        published=Published(box_ap=27.1, mask_ap=27.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/lvis/mask_rcnn_r101_fpn_sample1e-3_mstrain_2x_lvis/mask_rcnn_r101_fpn_sample1e-3_mstrain_2x_lvis-54582ee2.pth",
        config="lvis/mask-rcnn_r101_fpn_sample1e-3_ms-2x_lvis-v0.5.py",
    ),
    row(
        name="mask_rcnn_x101_32x4d_fpn_sample1e-3_mstrain_2x_lvis_v0.5",
        model=mask_rcnn(X101_32X4D),
        data=LVIS_V05,
        schedule=SCHEDULE_2X,
        published=Published(box_ap=26.7, mask_ap=26.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/lvis/mask_rcnn_x101_32x4d_fpn_sample1e-3_mstrain_2x_lvis/mask_rcnn_x101_32x4d_fpn_sample1e-3_mstrain_2x_lvis-3cf55ea2.pth",
        config="lvis/mask-rcnn_x101-32x4d_fpn_sample1e-3_ms-2x_lvis-v0.5.py",
    ),
    row(
        name="mask_rcnn_x101_64x4d_fpn_sample1e-3_mstrain_2x_lvis_v0.5",
        model=mask_rcnn(X101_64X4D),
        data=LVIS_V05,
        schedule=SCHEDULE_2X,
        published=Published(box_ap=26.4, mask_ap=26.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/lvis/mask_rcnn_x101_64x4d_fpn_sample1e-3_mstrain_2x_lvis/mask_rcnn_x101_64x4d_fpn_sample1e-3_mstrain_2x_lvis-1c99a5ad.pth",
        config="lvis/mask-rcnn_x101-64x4d_fpn_sample1e-3_ms-2x_lvis-v0.5.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_sample1e-3_mstrain_1x_lvis_v1",
        model=mask_rcnn(R50),
        data=LVIS_V1,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=22.5, mask_ap=21.7, memory_gb=9.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/lvis/mask_rcnn_r50_fpn_sample1e-3_mstrain_1x_lvis_v1/mask_rcnn_r50_fpn_sample1e-3_mstrain_1x_lvis_v1-aa78ac3d.pth",
        config="lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py",
    ),
    row(
        name="mask_rcnn_r101_fpn_sample1e-3_mstrain_1x_lvis_v1",
        model=mask_rcnn(R101),
        data=LVIS_V1,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=24.6, mask_ap=23.6, memory_gb=10.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/lvis/mask_rcnn_r101_fpn_sample1e-3_mstrain_1x_lvis_v1/mask_rcnn_r101_fpn_sample1e-3_mstrain_1x_lvis_v1-ec55ce32.pth",
        config="lvis/mask-rcnn_r101_fpn_sample1e-3_ms-1x_lvis-v1.py",
    ),
    row(
        name="mask_rcnn_x101_32x4d_fpn_sample1e-3_mstrain_1x_lvis_v1",
        model=mask_rcnn(X101_32X4D),
        data=LVIS_V1,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=26.7, mask_ap=25.5, memory_gb=11.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/lvis/mask_rcnn_x101_32x4d_fpn_sample1e-3_mstrain_1x_lvis_v1/mask_rcnn_x101_32x4d_fpn_sample1e-3_mstrain_1x_lvis_v1-ebbc5c81.pth",
        config="lvis/mask-rcnn_x101-32x4d_fpn_sample1e-3_ms-1x_lvis-v1.py",
    ),
    row(
        name="mask_rcnn_x101_64x4d_fpn_sample1e-3_mstrain_1x_lvis_v1",
        model=mask_rcnn(X101_64X4D),
        data=LVIS_V1,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=27.2, mask_ap=25.8, memory_gb=14.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/lvis/mask_rcnn_x101_64x4d_fpn_sample1e-3_mstrain_1x_lvis_v1/mask_rcnn_x101_64x4d_fpn_sample1e-3_mstrain_1x_lvis_v1-43d9edfe.pth",
        config="lvis/mask-rcnn_x101-64x4d_fpn_sample1e-3_ms-1x_lvis-v1.py",
    ),
)
