"""CARAFE (arXiv:1905.02188) in the pyramid of Faster R-CNN, and in that and the mask head of Mask R-CNN.

The rows of 2000 proposals are the same weights, tested with more; no numbers were printed.
"""

from __future__ import annotations

from detzoo.blocks.carafe import Carafe
from detzoo.blocks.roi_heads import MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.detector import Input
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.necks.fpn_carafe import FPNCarafe
from detzoo.recipes.columns import MASK_BOX_HEAD, SCHEDULE_1X, row
from detzoo.recipes.recipe import Published

INPUT = Input(multiple=64)
CARAFE_MASK_HEAD = MaskHead.Config(carafe=Carafe.Config())
PROPOSALS_2000 = RPN.Config(proposals=2000)
FASTER_WEIGHTS = "http://download.openmmlab.com/mmdetection/v2.0/carafe/faster_rcnn_r50_fpn_carafe_1x_coco/faster_rcnn_r50_fpn_carafe_1x_coco_bbox_mAP-0.386_20200504_175733-385a75b7.pth"
MASK_WEIGHTS = "http://download.openmmlab.com/mmdetection/v2.0/carafe/mask_rcnn_r50_fpn_carafe_1x_coco/mask_rcnn_r50_fpn_carafe_1x_coco_bbox_mAP-0.393__segm_mAP-0.358_20200503_135957-8687f195.pth"

RECIPES = (
    row(
        name="faster_rcnn_r50_fpn_carafe_1x_coco",
        model=FasterRCNN.Config(input=INPUT, neck=FPNCarafe.Config()),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=38.6, fps=16.5),
        weights=FASTER_WEIGHTS,
        config="carafe/faster-rcnn_r50_fpn-carafe_1x_coco.py",
    ),
    row(
        name="faster_rcnn_r50_fpn_carafe_1x_coco__proposals2000",
        model=FasterRCNN.Config(input=INPUT, neck=FPNCarafe.Config(), rpn=PROPOSALS_2000),
        schedule=SCHEDULE_1X,
        weights=FASTER_WEIGHTS,
        config="carafe/faster-rcnn_r50_fpn-carafe_1x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_carafe_1x_coco",
        model=MaskRCNN.Config(input=INPUT, neck=FPNCarafe.Config(), box_head=MASK_BOX_HEAD, mask_head=CARAFE_MASK_HEAD),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=39.3, mask_ap=35.8, fps=14.0),
        weights=MASK_WEIGHTS,
        config="carafe/mask-rcnn_r50_fpn-carafe_1x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_carafe_1x_coco__proposals2000",
        model=MaskRCNN.Config(
            input=INPUT, neck=FPNCarafe.Config(), box_head=MASK_BOX_HEAD, mask_head=CARAFE_MASK_HEAD, rpn=PROPOSALS_2000
        ),
        schedule=SCHEDULE_1X,
        weights=MASK_WEIGHTS,
        config="carafe/mask-rcnn_r50_fpn-carafe_1x_coco.py",
    ),
)
