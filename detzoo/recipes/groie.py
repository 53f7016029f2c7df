"""GRoIE (arXiv:2004.13665): RoIs pooled from all levels, in both heads."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.groie import GRoIE
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.recipes.columns import MASK_BOX_HEAD, R50, R101, SCHEDULE_1X, SCHEDULE_1X_SYNCED, gcb, row, sync_bn
from detzoo.recipes.recipe import Published

GROIE_BOX_HEAD = BoxHead.Config(extractor=GRoIE.Config(), sampling=2)
GROIE_MASK_HEAD = MaskHead.Config(extractor=GRoIE.Config(), sampling=2)


def mask_rcnn_groie(backbone: ResNet.Config) -> MaskRCNN.Config:
    """Mask R-CNN with this backbone."""
    box_head = GROIE_BOX_HEAD.replace(match=MASK_BOX_HEAD.match)
    return MaskRCNN.Config(backbone=backbone, box_head=box_head, mask_head=GROIE_MASK_HEAD)


RECIPES = (
    row(
        name="faster_rcnn_r50_fpn_groie_1x_coco",
        model=FasterRCNN.Config(box_head=GROIE_BOX_HEAD),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=38.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/groie/faster_rcnn_r50_fpn_groie_1x_coco/faster_rcnn_r50_fpn_groie_1x_coco_20200604_211715-66ee9516.pth",
        config="groie/faste-rcnn_r50_fpn_groie_1x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_groie_1x_coco",
        model=mask_rcnn_groie(R50),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=39.0, mask_ap=36.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/groie/mask_rcnn_r50_fpn_groie_1x_coco/mask_rcnn_r50_fpn_groie_1x_coco_20200604_211715-50d90c74.pth",
        config="groie/mask-rcnn_r50_fpn_groie_1x_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpn_syncbn-backbone_r4_gcb_c3-c5_groie_1x_coco",
        model=mask_rcnn_groie(gcb(sync_bn(R50), 4)),
        schedule=SCHEDULE_1X_SYNCED,
        published=Published(box_ap=41.0, mask_ap=37.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/groie/mask_rcnn_r50_fpn_syncbn-backbone_r4_gcb_c3-c5_groie_1x_coco/mask_rcnn_r50_fpn_syncbn-backbone_r4_gcb_c3-c5_groie_1x_coco_20200604_211715-42eb79e1.pth",
        config="groie/mask-rcnn_r50_fpn_syncbn-r4-gcb-c3-c5-groie_1x_coco.py",
    ),
    row(
        name="mask_rcnn_r101_fpn_syncbn-backbone_r4_gcb_c3-c5_groie_1x_coco",
        model=mask_rcnn_groie(gcb(sync_bn(R101), 4)),
        schedule=SCHEDULE_1X_SYNCED,
        weights="http://download.openmmlab.com/mmdetection/v2.0/groie/mask_rcnn_r101_fpn_syncbn-backbone_r4_gcb_c3-c5_groie_1x_coco/mask_rcnn_r101_fpn_syncbn-backbone_r4_gcb_c3-c5_groie_1x_coco_20200607_224507-8daae01c.pth",
        config="groie/mask-rcnn_r101_fpn_syncbn-r4-gcb_c3-c5-groie_1x_coco.py",
    ),
)
