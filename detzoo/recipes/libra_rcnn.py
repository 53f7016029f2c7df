"""Libra R-CNN (arXiv:1904.02701): balanced pyramid, draws and box loss, on Fast R-CNN, Faster R-CNN and RetinaNet."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.balanced_sampling import Balance
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.rpn import RPN
from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.necks.bfp import BFP
from detzoo.necks.fpn import FPN
from detzoo.recipes.columns import DENSE_1X, R50, R101, SCHEDULE_1X, X101_64X4D, row
from detzoo.recipes.fast_rcnn import COCO_PROPOSALS
from detzoo.recipes.recipe import Published

LIBRA_BOX_HEAD = BoxHead.Config(balance=Balance(), box_loss=BoxLoss(kind="balanced_l1"))


def libra_faster_rcnn(backbone: ResNet.Config) -> FasterRCNN.Config:
    """Faster R-CNN with this backbone."""
    rpn = RPN.Config(negative_ratio=5.0)
    return FasterRCNN.Config(backbone=backbone, neck=BFP.Config(), rpn=rpn, box_head=LIBRA_BOX_HEAD)


RECIPES = (
    row(
        name="libra_faster_rcnn_r50_fpn_1x_coco",
        model=libra_faster_rcnn(R50),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=38.3, memory_gb=4.6, fps=19.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/libra_rcnn/libra_faster_rcnn_r50_fpn_1x_coco/libra_faster_rcnn_r50_fpn_1x_coco_20200130-3afee3a9.pth",
        config="libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py",
    ),
    row(
        name="libra_fast_rcnn_r50_fpn_1x_coco",
        model=FastRCNN.Config(neck=BFP.Config(), box_head=LIBRA_BOX_HEAD),
        data=COCO_PROPOSALS,
        schedule=SCHEDULE_1X,
        config="libra_rcnn/libra-fast-rcnn_r50_fpn_1x_coco.py",
    ),
    row(
        name="libra_faster_rcnn_r101_fpn_1x_coco",
        model=libra_faster_rcnn(R101),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=40.1, memory_gb=6.5, fps=14.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/libra_rcnn/libra_faster_rcnn_r101_fpn_1x_coco/libra_faster_rcnn_r101_fpn_1x_coco_20200203-8dba6a5a.pth",
        config="libra_rcnn/libra-faster-rcnn_r101_fpn_1x_coco.py",
    ),
    row(
        name="libra_faster_rcnn_x101_64x4d_fpn_1x_coco",
        model=libra_faster_rcnn(X101_64X4D),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=42.7, memory_gb=10.8, fps=8.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/libra_rcnn/libra_faster_rcnn_x101_64x4d_fpn_1x_coco/libra_faster_rcnn_x101_64x4d_fpn_1x_coco_20200315-3a7d0488.pth",
        config="libra_rcnn/libra-faster-rcnn_x101-64x4d_fpn_1x_coco.py",
    ),
    row(
        name="libra_retinanet_r50_fpn_1x_coco",
        model=RetinaNet.Config(
            neck=BFP.Config(pyramid=FPN.Config(start=1, extra="on_input"), level=1),
            head=RetinaNet.Head(box_loss=BoxLoss(kind="balanced_l1", beta=0.11)),
        ),
        schedule=DENSE_1X,
        published=Published(box_ap=37.6, memory_gb=4.2, fps=17.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/libra_rcnn/libra_retinanet_r50_fpn_1x_coco/libra_retinanet_r50_fpn_1x_coco_20200205-804d94ce.pth",
        config="libra_rcnn/libra-retinanet_r50_fpn_1x_coco.py",
    ),
)
