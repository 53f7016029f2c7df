"""Faster and Mask R-CNN without a pyramid: on C4 with the last stage on every RoI, and on a dilated C5 (DC5)."""

from __future__ import annotations

from detzoo.blocks.anchors import Anchors
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.necks.no_neck import NoNeck
from detzoo.recipes.columns import BGR, COCO, R50, SCHEDULE_1X, SCHEDULE_3X, caffe, multi_scale, row
from detzoo.recipes.initial import INIT_R50_CAFFE
from detzoo.recipes.recipe import Published

C4 = caffe(R50).replace(strides=(1, 2, 2), dilations=(1, 1, 1), out_stages=(3,))
DC5 = caffe(R50).replace(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), out_stages=(4,))
RPN_C4 = RPN.Config(
    channels=1024,
    anchors=Anchors.Config(scales=(2.0, 4.0, 8.0, 16.0, 32.0)),
    train_candidates=12000,
    train_proposals=2000,
    candidates=6000,
)
RPN_DC5 = RPN_C4.replace(channels=2048, border=0.0)
BOX_HEAD_C4 = BoxHead.Config(size=14, fcs=0)  # 7 bins are left after the stage, and averaged

FASTER_C4 = FasterRCNN.Config(
    input=BGR, backbone=C4, neck=NoNeck.Config(), rpn=RPN_C4, box_head=BOX_HEAD_C4, roi_levels=1, roi_stage=True
)
FASTER_DC5 = FasterRCNN.Config(input=BGR, backbone=DC5, neck=NoNeck.Config(), rpn=RPN_DC5, roi_levels=1)
MASK_C4 = MaskRCNN.Config(
    input=BGR,
    backbone=C4,
    neck=NoNeck.Config(),
    rpn=RPN_C4.replace(border=0.0),
    box_head=BOX_HEAD_C4,
    mask_head=MaskHead.Config(size=7, convs=0),
    roi_levels=1,
    roi_stage=True,
)
# the stage on every RoI starts from the same file as those before it
INIT_C4 = INIT_R50_CAFFE.replace(prefixes=("backbone.", "roi_head.shared_head."))

RECIPES = (
    row(
        name="faster_rcnn_r50_caffe_c4_1x_coco",
        model=FASTER_C4,
        schedule=SCHEDULE_1X,
        init=INIT_C4,
        published=Published(box_ap=35.6),
        weights="https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_caffe_c4_1x_coco/faster_rcnn_r50_caffe_c4_1x_coco_20220316_150152-3f885b85.pth",
        config="faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_caffe_c4_mstrain_1x_coco",
        model=FASTER_C4,
        data=multi_scale(COCO),
        schedule=SCHEDULE_1X,
        init=INIT_C4,
        published=Published(box_ap=35.9),
        weights="https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_caffe_c4_mstrain_1x_coco/faster_rcnn_r50_caffe_c4_mstrain_1x_coco_20220316_150527-db276fed.pth",
        config="faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_caffe_dc5_1x_coco",
        model=FASTER_DC5,
        schedule=SCHEDULE_1X,
        published=Published(box_ap=37.2),
        weights="https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_caffe_dc5_1x_coco/faster_rcnn_r50_caffe_dc5_1x_coco_20201030_151909-531f0f43.pth",
        config="faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_caffe_dc5_mstrain_1x_coco",
        model=FASTER_DC5,
        data=multi_scale(COCO),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=37.4),
        weights="https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_caffe_dc5_mstrain_1x_coco/faster_rcnn_r50_caffe_dc5_mstrain_1x_coco_20201028_233851-b33d21b9.pth",
        config="faster_rcnn/faster-rcnn_r50-caffe-dc5_ms-1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_caffe_dc5_mstrain_3x_coco",
        model=FASTER_DC5,
        data=multi_scale(COCO),
        schedule=SCHEDULE_3X,
        published=Published(box_ap=38.7),
        weights="https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_caffe_dc5_mstrain_3x_coco/faster_rcnn_r50_caffe_dc5_mstrain_3x_coco_20201028_002107-34a53b2c.pth",
        config="faster_rcnn/faster-rcnn_r50-caffe-dc5_ms-3x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_caffe_c4_1x_coco",
        model=MASK_C4,
        schedule=SCHEDULE_1X,
        init=INIT_C4,
        config="mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py",
    ),
)
