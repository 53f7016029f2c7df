"""Rethinking ImageNet Pre-training (arXiv:1811.08883): trained from random weights, with GN, six times as long."""

from __future__ import annotations

from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.recipes.columns import GN_BOX_HEAD, GN_FPN, GN_MASK_BOX_HEAD, GN_MASK_HEAD, NO_NORM_DECAY, R50, gn, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Schedule

FRESH_R50 = gn(R50).replace(frozen_stages=-1, zero_init=False)
SCHEDULE_6X = Schedule(epochs=73, milestones=(65, 71), lr=0.02, groups=NO_NORM_DECAY)

RECIPES = (
    row(
        name="faster_rcnn_r50_fpn_gn-all_scratch_6x_coco",
        model=FasterRCNN.Config(backbone=FRESH_R50, neck=GN_FPN, box_head=GN_BOX_HEAD),
        schedule=SCHEDULE_6X,
        init=None,
        published=Published(box_ap=40.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/scratch/faster_rcnn_r50_fpn_gn-all_scratch_6x_coco/scratch_faster_rcnn_r50_fpn_gn_6x_bbox_mAP-0.407_20200201_193013-90813d01.pth",
        config="scratch/faster-rcnn_r50-scratch_fpn_gn-all_6x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_gn-all_scratch_6x_coco",
        model=MaskRCNN.Config(backbone=FRESH_R50, neck=GN_FPN, box_head=GN_MASK_BOX_HEAD, mask_head=GN_MASK_HEAD),
        schedule=SCHEDULE_6X,
        init=None,
        published=Published(box_ap=41.2, mask_ap=37.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/scratch/mask_rcnn_r50_fpn_gn-all_scratch_6x_coco/scratch_mask_rcnn_r50_fpn_gn_6x_bbox_mAP-0.412__segm_mAP-0.374_20200201_193051-1e190a40.pth",
        config="scratch/mask-rcnn_r50-scratch_fpn_gn-all_6x_coco.py",
    ),
)
