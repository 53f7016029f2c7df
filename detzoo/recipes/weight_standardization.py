"""Weight Standardization (arXiv:1903.10520) with group normalization in the backbone, the pyramid and the heads."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.recipes.columns import (
    GN_BOX_HEAD,
    GN_FPN,
    GN_MASK_BOX_HEAD,
    GN_MASK_HEAD,
    R50,
    R101,
    SCHEDULE_1X,
    SCHEDULE_2X,
    X50_32X4D,
    X101_32X4D,
    gn,
    row,
)
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Schedule

SCHEDULE_20_23_24E = Schedule(epochs=24, milestones=(20, 23), lr=0.02)


def faster_rcnn_ws(backbone: ResNet.Config) -> FasterRCNN.Config:
    """Faster R-CNN of standardized convolutions."""
    return FasterRCNN.Config(
        backbone=gn(backbone).replace(standardize=True),
        neck=GN_FPN.replace(standardize=True),
        box_head=GN_BOX_HEAD.replace(standardize=True),
    )


def mask_rcnn_ws(backbone: ResNet.Config) -> MaskRCNN.Config:
    """Mask R-CNN of standardized convolutions."""
    return MaskRCNN.Config(
        backbone=gn(backbone).replace(standardize=True),
        neck=GN_FPN.replace(standardize=True),
        box_head=GN_MASK_BOX_HEAD.replace(standardize=True),
        mask_head=GN_MASK_HEAD.replace(standardize=True),
    )


RECIPES = (
    row(
        name="faster_rcnn_r50_fpn_gn_ws-all_1x_coco",
        model=faster_rcnn_ws(R50),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=39.7, memory_gb=5.9, fps=11.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/faster_rcnn_r50_fpn_gn_ws-all_1x_coco/faster_rcnn_r50_fpn_gn_ws-all_1x_coco_20200130-613d9fe2.pth",
        config="gn+ws/faster-rcnn_r50_fpn_gn-ws-all_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r101_fpn_gn_ws-all_1x_coco",
        model=faster_rcnn_ws(R101),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.7, memory_gb=8.9, fps=9.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/faster_rcnn_r101_fpn_gn_ws-all_1x_coco/faster_rcnn_r101_fpn_gn_ws-all_1x_coco_20200205-a93b0d75.pth",
        config="gn+ws/faster-rcnn_r101_fpn_gn-ws-all_1x_coco.py",
    ),
    row(
        name="faster_rcnn_x50_32x4d_fpn_gn_ws-all_1x_coco",
        model=faster_rcnn_ws(X50_32X4D),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=40.7, memory_gb=7.0, fps=10.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/faster_rcnn_x50_32x4d_fpn_gn_ws-all_1x_coco/faster_rcnn_x50_32x4d_fpn_gn_ws-all_1x_coco_20200203-839c5d9d.pth",
        config="gn+ws/faster-rcnn_x50-32x4d_fpn_gn-ws-all_1x_coco.py",
    ),
    row(
        name="faster_rcnn_x101_32x4d_fpn_gn_ws-all_1x_coco",
        model=faster_rcnn_ws(X101_32X4D),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=42.1, memory_gb=10.8, fps=7.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/faster_rcnn_x101_32x4d_fpn_gn_ws-all_1x_coco/faster_rcnn_x101_32x4d_fpn_gn_ws-all_1x_coco_20200212-27da1bc2.pth",
        config="gn+ws/faster-rcnn_x101-32x4d_fpn_gn-ws-all_1x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_gn_ws-all_2x_coco",
        model=mask_rcnn_ws(R50),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=40.6, mask_ap=36.6, memory_gb=7.3, fps=10.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/mask_rcnn_r50_fpn_gn_ws-all_2x_coco/mask_rcnn_r50_fpn_gn_ws-all_2x_coco_20200226-16acb762.pth",
        config="gn+ws/mask-rcnn_r50_fpn_gn-ws-all_2x_coco.py",
    ),
    row(
        name="mask_rcnn_r101_fpn_gn_ws-all_2x_coco",
        model=mask_rcnn_ws(R101),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=42.0, mask_ap=37.7, memory_gb=10.3, fps=8.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/mask_rcnn_r101_fpn_gn_ws-all_2x_coco/mask_rcnn_r101_fpn_gn_ws-all_2x_coco_20200212-ea357cd9.pth",
        config="gn+ws/mask-rcnn_r101_fpn_gn-ws-all_2x_coco.py",
    ),
    row(
        name="mask_rcnn_x50_32x4d_fpn_gn_ws-all_2x_coco",
        model=mask_rcnn_ws(X50_32X4D),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=41.1, mask_ap=37.0, memory_gb=8.4, fps=9.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/mask_rcnn_x50_32x4d_fpn_gn_ws-all_2x_coco/mask_rcnn_x50_32x4d_fpn_gn_ws-all_2x_coco_20200216-649fdb6f.pth",
        config="gn+ws/mask-rcnn_x50-32x4d_fpn_gn-ws-all_2x_coco.py",
    ),
    row(
        name="mask_rcnn_x101_32x4d_fpn_gn_ws-all_2x_coco",
        model=mask_rcnn_ws(X101_32X4D),
        schedule=SCHEDULE_2X,
        published=Published(box_ap=42.1, mask_ap=37.9, memory_gb=12.2, fps=7.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/mask_rcnn_x101_32x4d_fpn_gn_ws-all_2x_coco/mask_rcnn_x101_32x4d_fpn_gn_ws-all_2x_coco_20200319-33fb95b5.pth",
        config="gn+ws/mask-rcnn_x101-32x4d_fpn_gn-ws-all_2x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_gn_ws-all_20_23_24e_coco",
        model=mask_rcnn_ws(R50),
        schedule=SCHEDULE_20_23_24E,
        published=Published(box_ap=41.1, mask_ap=37.1, memory_gb=7.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/mask_rcnn_r50_fpn_gn_ws-all_20_23_24e_coco/mask_rcnn_r50_fpn_gn_ws-all_20_23_24e_coco_20200213-487d1283.pth",
        config="gn+ws/mask-rcnn_r50_fpn_gn-ws-all_20-23-24e_coco.py",
    ),
    row(
        name="mask_rcnn_r101_fpn_gn_ws-all_20_23_24e_coco",
        model=mask_rcnn_ws(R101),
        schedule=SCHEDULE_20_23_24E,
        published=Published(box_ap=43.1, mask_ap=38.6, memory_gb=10.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/mask_rcnn_r101_fpn_gn_ws-all_20_23_24e_coco/mask_rcnn_r101_fpn_gn_ws-all_20_23_24e_coco_20200213-57b5a50f.pth",
        config="gn+ws/mask-rcnn_r101_fpn_gn-ws-all_20-23-24e_coco.py",
    ),
    row(
        name="mask_rcnn_x50_32x4d_fpn_gn_ws-all_20_23_24e_coco",
        model=mask_rcnn_ws(X50_32X4D),
        schedule=SCHEDULE_20_23_24E,
        published=Published(box_ap=42.1, mask_ap=38.0, memory_gb=8.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/mask_rcnn_x50_32x4d_fpn_gn_ws-all_20_23_24e_coco/mask_rcnn_x50_32x4d_fpn_gn_ws-all_20_23_24e_coco_20200226-969bcb2c.pth",
        config="gn+ws/mask-rcnn_x50-32x4d_fpn_gn-ws-all_20-23-24e_coco.py",
    ),
    row(
        name="mask_rcnn_x101_32x4d_fpn_gn_ws-all_20_23_24e_coco",
        model=mask_rcnn_ws(X101_32X4D),
        schedule=SCHEDULE_20_23_24E,
        published=Published(box_ap=42.7, mask_ap=38.5, memory_gb=12.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/gn%2Bws/mask_rcnn_x101_32x4d_fpn_gn_ws-all_20_23_24e_coco/mask_rcnn_x101_32x4d_fpn_gn_ws-all_20_23_24e_coco_20200316-e6cd35ef.pth",
        config="gn+ws/mask-rcnn_x101-32x4d_fpn_gn-ws-all_20-23-24e_coco.py",
    ),
)
