"""Cascade RPN (arXiv:1909.06720): proposals, Fast R-CNN on these, and Faster R-CNN; of proposals the recall of 1000."""

from __future__ import annotations

from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.cascade_rpn import CascadeRPN
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.roi_heads import BoxHead
from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.rpn import RPNDetector
from detzoo.recipes.columns import BGR, COCO, R50, SCHEDULE_1X_CLIPPED, caffe, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.rpn import COCO_RECALL

CASCADE_BOX_HEAD = BoxHead.Config(
    stds=(0.04, 0.04, 0.08, 0.08),
    class_weight=1.5,
    box_loss=BoxLoss(kind="smooth_l1"),
    match=MatchConfig(positive=0.65, negative=0.65),
    samples=256,
    threshold=0.001,
)
# given the proposals of the first row; `detzoo.recipes.fast_rcnn` says how the files are written
COCO_PROPOSALS = COCO.replace(
    train=(COCO.train[0].replace(proposals="proposals/crpn_r50_caffe_fpn_1x_train2017.safetensors"),),
    val=(COCO.val[0].replace(proposals="proposals/crpn_r50_caffe_fpn_1x_val2017.safetensors"),),
)

RECIPES = (
    row(
        name="crpn_r50_caffe_fpn_1x_coco",
        model=RPNDetector.Config(
            input=BGR,
            backbone=caffe(R50),
            rpn=CascadeRPN.Config(candidates=2000, train_proposals=2000, proposals=2000),
        ),
        data=COCO_RECALL,
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(ar1000=72.0),
        weights="https://drive.google.com/file/d/1qxVdOnCgK-ee7_z0x6mvAir_glMu2Ihi/view?usp=sharing",
        config="cascade_rpn/cascade-rpn_r50-caffe_fpn_1x_coco.py",
    ),
    row(
        name="crpn_fast_rcnn_r50_caffe_fpn_1x_coco",
        model=FastRCNN.Config(input=BGR, backbone=caffe(R50), box_head=CASCADE_BOX_HEAD),
        data=COCO_PROPOSALS,
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(box_ap=39.9),
        weights="https://download.openmmlab.com/mmdetection/v2.0/cascade_rpn/crpn_fast_rcnn_r50_caffe_fpn_1x_coco/crpn_fast_rcnn_r50_caffe_fpn_1x_coco-cb486e66.pth",
        config="cascade_rpn/cascade-rpn_fast-rcnn_r50-caffe_fpn_1x_coco.py",
    ),
    row(
        name="crpn_faster_rcnn_r50_caffe_fpn_1x_coco",
        model=FasterRCNN.Config(
            input=BGR,
            backbone=caffe(R50),
            rpn=CascadeRPN.Config(
                first_loss=BoxLoss(kind="linear_iou", weight=7.0),
                class_weight=0.7,
                box_loss=BoxLoss(kind="linear_iou", weight=7.0),
                train_proposals=300,
                proposals=300,
            ),
            box_head=CASCADE_BOX_HEAD,
        ),
        schedule=SCHEDULE_1X_CLIPPED,
        published=Published(box_ap=40.4),
        weights="https://download.openmmlab.com/mmdetection/v2.0/cascade_rpn/crpn_faster_rcnn_r50_caffe_fpn_1x_coco/crpn_faster_rcnn_r50_caffe_fpn_1x_coco-c8283cca.pth",
        config="cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py",
    ),
)
