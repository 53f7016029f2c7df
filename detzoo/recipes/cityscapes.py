"""Cityscapes (arXiv:1604.01685): eight classes of road users, fine-tuned from the COCO models of the same name."""

from __future__ import annotations

from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.roi_heads import BoxHead
from detzoo.detector import Input
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.recipes.classes import CITYSCAPES_CLASSES
from detzoo.recipes.columns import MASK_BOX_HEAD, row, whole_detector
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Data, Schedule, Split

FULL = Input(short=1024, long=2048)  # the size of every picture
SMOOTH_L1 = BoxLoss(kind="smooth_l1", beta=1.0)
# 8 devices with an image each, as a comment of the published files says; their auto_scale_lr is inherited, and off
FINE_TUNE = Schedule(epochs=8, milestones=(7,), batch=1, lr=0.01, base_batch=8)

CITYSCAPES = Data(
    root="data/cityscapes",
    train=(Split(annotations="annotations/instancesonly_filtered_gtFine_train.json", images="leftImg8bit/train"),),
    val=(Split(annotations="annotations/instancesonly_filtered_gtFine_val.json", images="leftImg8bit/val"),),
    classes=CITYSCAPES_CLASSES,
    repeat=8,
    sizes=((800, 2048), (1024, 2048)),
    size_mode="range",
)

RECIPES = (
    row(
        name="faster_rcnn_r50_fpn_1x_cityscapes",
        model=FasterRCNN.Config(input=FULL, box_head=BoxHead.Config(box_loss=SMOOTH_L1)),
        data=CITYSCAPES,
        schedule=FINE_TUNE,
        init=whole_detector(
            "https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_fpn_1x_coco/faster_rcnn_r50_fpn_1x_coco_20200130-047c8118.pth"
        ),
        published=Published(box_ap=40.3, memory_gb=5.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/cityscapes/faster_rcnn_r50_fpn_1x_cityscapes_20200502-829424c0.pth",
        config="cityscapes/faster-rcnn_r50_fpn_1x_cityscapes.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_1x_cityscapes",
        model=MaskRCNN.Config(input=FULL, box_head=MASK_BOX_HEAD.replace(box_loss=SMOOTH_L1)),
        data=CITYSCAPES.replace(masks=True),
        schedule=FINE_TUNE,
        init=whole_detector(
            "https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_1x_coco/mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth"
        ),
        published=Published(box_ap=40.9, mask_ap=36.4, memory_gb=5.3),
        weights="https://download.openmmlab.com/mmdetection/v2.0/cityscapes/mask_rcnn_r50_fpn_1x_cityscapes/mask_rcnn_r50_fpn_1x_cityscapes_20201211_133733-d2858245.pth",
        config="cityscapes/mask-rcnn_r50_fpn_1x_cityscapes.py",
    ),
)
