"""ResNeSt (arXiv:2004.08955): two-stage detectors with batch normalization, also in the heads, by batch statistics."""

from __future__ import annotations

from detzoo.backbones.resnest import ResNeSt
from detzoo.blocks.cascade import CASCADE_BOX_HEAD
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.detector import Input
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.recipes.columns import (
    COCO,
    COCO_MASKS,
    MASK_BOX_HEAD,
    SCHEDULE_1X_SYNCED,
    multi_scale,
    multi_scale_range,
    row,
)
from detzoo.recipes.recipe import Published

RESNEST_RGB = Input(mean=(123.68, 116.779, 103.939), std=(58.393, 57.12, 57.375))
S50 = ResNeSt.Config(depth=50, norm_eval=False)
S101 = ResNeSt.Config(depth=101, stem_width=128, norm_eval=False)
BN_BOX_HEAD = BoxHead.Config(convs=4, fcs=1, norm="bn")
BN_MASK_BOX_HEAD = BN_BOX_HEAD.replace(match=MASK_BOX_HEAD.match)
BN_CASCADE_BOX_HEAD = CASCADE_BOX_HEAD.replace(convs=4, fcs=1, norm="bn")
BN_MASK_HEAD = MaskHead.Config(norm="bn")

RECIPES = (
    row(
        name="faster_rcnn_s50_fpn_syncbn-backbone+head_mstrain-range_1x_coco",
        model=FasterRCNN.Config(input=RESNEST_RGB, backbone=S50, box_head=BN_BOX_HEAD),
        data=multi_scale_range(COCO),
        schedule=SCHEDULE_1X_SYNCED,
        published=Published(box_ap=42.0, memory_gb=4.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/resnest/faster_rcnn_s50_fpn_syncbn-backbone%2Bhead_mstrain-range_1x_coco/faster_rcnn_s50_fpn_syncbn-backbone%2Bhead_mstrain-range_1x_coco_20200926_125502-20289c16.pth",
        config="resnest/faster-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco.py",
    ),
    row(
        name="faster_rcnn_s101_fpn_syncbn-backbone+head_mstrain-range_1x_coco",
        model=FasterRCNN.Config(input=RESNEST_RGB, backbone=S101, box_head=BN_BOX_HEAD),
        data=multi_scale_range(COCO),
        schedule=SCHEDULE_1X_SYNCED,
        published=Published(box_ap=44.5, memory_gb=7.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/resnest/faster_rcnn_s101_fpn_syncbn-backbone%2Bhead_mstrain-range_1x_coco/faster_rcnn_s101_fpn_syncbn-backbone%2Bhead_mstrain-range_1x_coco_20201006_021058-421517f1.pth",
        config="resnest/faster-rcnn_s101_fpn_syncbn-backbone+head_ms-range-1x_coco.py",
    ),
    row(
        name="mask_rcnn_s50_fpn_syncbn-backbone+head_mstrain_1x_coco",
        model=MaskRCNN.Config(input=RESNEST_RGB, backbone=S50, box_head=BN_MASK_BOX_HEAD, mask_head=BN_MASK_HEAD),
        data=multi_scale(COCO_MASKS),
        schedule=SCHEDULE_1X_SYNCED,
        published=Published(box_ap=42.6, mask_ap=38.1, memory_gb=5.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/resnest/mask_rcnn_s50_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco/mask_rcnn_s50_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco_20200926_125503-8a2c3d47.pth",
        config="resnest/mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py",
    ),
    row(
        name="mask_rcnn_s101_fpn_syncbn-backbone+head_mstrain_1x_coco",
        model=MaskRCNN.Config(input=RESNEST_RGB, backbone=S101, box_head=BN_MASK_BOX_HEAD, mask_head=BN_MASK_HEAD),
        data=multi_scale(COCO_MASKS),
        schedule=SCHEDULE_1X_SYNCED,
        published=Published(box_ap=45.2, mask_ap=40.2, memory_gb=7.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/resnest/mask_rcnn_s101_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco/mask_rcnn_s101_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco_20201005_215831-af60cdf9.pth",
        config="resnest/mask-rcnn_s101_fpn_syncbn-backbone+head_ms-1x_coco.py",
    ),
    row(
        name="cascade_rcnn_s50_fpn_syncbn-backbone+head_mstrain-range_1x_coco",
        model=CascadeRCNN.Config(input=RESNEST_RGB, backbone=S50, box_head=BN_CASCADE_BOX_HEAD),
        data=multi_scale_range(COCO),
        schedule=SCHEDULE_1X_SYNCED,
        published=Published(box_ap=44.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/resnest/cascade_rcnn_s50_fpn_syncbn-backbone%2Bhead_mstrain-range_1x_coco/cascade_rcnn_s50_fpn_syncbn-backbone%2Bhead_mstrain-range_1x_coco_20201122_213640-763cc7b5.pth",
        config="resnest/cascade-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco.py",
    ),
    row(
        name="cascade_rcnn_s101_fpn_syncbn-backbone+head_mstrain-range_1x_coco",
        model=CascadeRCNN.Config(input=RESNEST_RGB, backbone=S101, box_head=BN_CASCADE_BOX_HEAD),
        data=multi_scale_range(COCO),
        schedule=SCHEDULE_1X_SYNCED,
        published=Published(box_ap=46.8, memory_gb=8.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/resnest/cascade_rcnn_s101_fpn_syncbn-backbone%2Bhead_mstrain-range_1x_coco/cascade_rcnn_s101_fpn_syncbn-backbone%2Bhead_mstrain-range_1x_coco_20201005_113242-b9459f8f.pth",
        config="resnest/cascade-rcnn_s101_fpn_syncbn-backbone+head_ms-range-1x_coco.py",
    ),
    row(
        name="cascade_mask_rcnn_s50_fpn_syncbn-backbone+head_mstrain_1x_coco",
        model=CascadeMaskRCNN.Config(
            input=RESNEST_RGB, backbone=S50, box_head=BN_CASCADE_BOX_HEAD, mask_head=BN_MASK_HEAD
        ),
        data=multi_scale(COCO_MASKS),
        schedule=SCHEDULE_1X_SYNCED,
        published=Published(box_ap=45.4, mask_ap=39.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/resnest/cascade_mask_rcnn_s50_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco/cascade_mask_rcnn_s50_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco_20201122_104428-99eca4c7.pth",
        config="resnest/cascade-mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py",
    ),
    row(
        name="cascade_mask_rcnn_s101_fpn_syncbn-backbone+head_mstrain_1x_coco",
        model=CascadeMaskRCNN.Config(
            input=RESNEST_RGB, backbone=S101, box_head=BN_CASCADE_BOX_HEAD, mask_head=BN_MASK_HEAD
        ),
        data=multi_scale(COCO_MASKS),
        schedule=SCHEDULE_1X_SYNCED,
        published=Published(box_ap=47.7, mask_ap=41.4, memory_gb=10.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/resnest/cascade_mask_rcnn_s101_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco/cascade_mask_rcnn_s101_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco_20201005_113243-42607475.pth",
        config="resnest/cascade-mask-rcnn_s101_fpn_syncbn-backbone+head_ms-1x_coco.py",
    ),
)
