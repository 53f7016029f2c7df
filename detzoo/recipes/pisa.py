"""PISA (arXiv:1904.04821): prime samples weigh most, in Faster R-CNN, Mask R-CNN, RetinaNet and SSD."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.prime_samples import PrimeSamples, ScoreRanks
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.rpn import RPN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.ssd import SSD
from detzoo.recipes.columns import DENSE_1X, MASK_BOX_HEAD, R50, SCHEDULE_1X, X101_32X4D, mask_rcnn, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.ssd import SSD512, SSD_DATA, SSD_SCHEDULE

PISA_RPN = RPN.Config(candidates=2000, train_proposals=2000, proposals=2000)
PISA_BOX_HEAD = BoxHead.Config(box_loss=BoxLoss(kind="smooth_l1"), score_ranks=ScoreRanks(), prime=PrimeSamples())
PISA_MASK_BOX_HEAD = PISA_BOX_HEAD.replace(match=MASK_BOX_HEAD.match)
PISA_HEAD = RetinaNet.Head(box_loss=BoxLoss(kind="smooth_l1", beta=0.11), prime=PrimeSamples())
PISA_SSD_SCHEDULE = SSD_SCHEDULE.replace(clip_norm=35.0)


def pisa_faster_rcnn(backbone: ResNet.Config) -> FasterRCNN.Config:
    """Faster R-CNN with this backbone."""
    return FasterRCNN.Config(backbone=backbone, rpn=PISA_RPN, box_head=PISA_BOX_HEAD)


RECIPES = (
    row(
        name="pisa_faster_rcnn_r50_fpn_1x_coco",
        model=pisa_faster_rcnn(R50),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=38.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/pisa/pisa_faster_rcnn_r50_fpn_1x_coco/pisa_faster_rcnn_r50_fpn_1x_coco-dea93523.pth",
        config="pisa/faster-rcnn_r50_fpn_pisa_1x_coco.py",
    ),
    row(
        name="pisa_faster_rcnn_x101_32x4d_fpn_1x_coco",
        model=pisa_faster_rcnn(X101_32X4D),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=41.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/pisa/pisa_faster_rcnn_x101_32x4d_fpn_1x_coco/pisa_faster_rcnn_x101_32x4d_fpn_1x_coco-e4accec4.pth",
        config="pisa/faster-rcnn_x101-32x4d_fpn_pisa_1x_coco.py",
    ),
    row(
        name="pisa_mask_rcnn_r50_fpn_1x_coco",
        model=mask_rcnn(R50).replace(rpn=PISA_RPN, box_head=PISA_MASK_BOX_HEAD),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=39.1, mask_ap=35.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/pisa/pisa_mask_rcnn_r50_fpn_1x_coco/pisa_mask_rcnn_r50_fpn_1x_coco-dfcedba6.pth",
        config="pisa/mask-rcnn_r50_fpn_pisa_1x_coco.py",
    ),
    row(
        name="pisa_mask_rcnn_x101_32x4d_fpn_1x_coco",
        model=mask_rcnn(X101_32X4D).replace(rpn=PISA_RPN, box_head=PISA_MASK_BOX_HEAD),
        schedule=SCHEDULE_1X,
        config="pisa/mask-rcnn_x101-32x4d_fpn_pisa_1x_coco.py",
    ),
    row(
        name="pisa_retinanet_r50_fpn_1x_coco",
        model=RetinaNet.Config(head=PISA_HEAD),
        schedule=DENSE_1X,
        published=Published(box_ap=36.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/pisa/pisa_retinanet_r50_fpn_1x_coco/pisa_retinanet_r50_fpn_1x_coco-76409952.pth",
        config="pisa/retinanet-r50_fpn_pisa_1x_coco.py",
    ),
    row(
        name="pisa_retinanet_x101_32x4d_fpn_1x_coco",
        model=RetinaNet.Config(backbone=X101_32X4D, head=PISA_HEAD),
        schedule=DENSE_1X,
        published=Published(box_ap=40.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/pisa/pisa_retinanet_x101_32x4d_fpn_1x_coco/pisa_retinanet_x101_32x4d_fpn_1x_coco-a0c13c73.pth",
        config="pisa/retinanet_x101-32x4d_fpn_pisa_1x_coco.py",
    ),
    row(
        name="pisa_ssd300_coco",
        model=SSD.Config(head=SSD.Head(prime=PrimeSamples())),
        data=SSD_DATA,
        schedule=PISA_SSD_SCHEDULE,
        published=Published(box_ap=27.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/pisa/pisa_ssd300_coco/pisa_ssd300_coco-710e3ac9.pth",
        config="pisa/ssd300_pisa_coco.py",
    ),
    row(
        name="pisa_ssd512_coco",
        model=SSD512.replace(head=SSD512.head.replace(prime=PrimeSamples())),
        data=SSD_DATA,
        schedule=PISA_SSD_SCHEDULE,
        published=Published(box_ap=31.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/pisa/pisa_ssd512_coco/pisa_ssd512_coco-247addee.pth",
        config="pisa/ssd512_pisa_coco.py",
    ),
)
