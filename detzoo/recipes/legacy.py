"""Models that MMDetection 1.x trained, with its anchors, box offsets and unaligned RoIAlign."""

from __future__ import annotations

from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.blocks.unaligned import Unaligned
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.ssd import SSD
from detzoo.recipes.columns import BGR_DETECTRON, DENSE_1X, R50, SCHEDULE_1X, caffe, row
from detzoo.recipes.initial import INIT_R50_DETECTRON
from detzoo.recipes.recipe import Published
from detzoo.recipes.ssd import SSD_DATA, SSD_SCHEDULE

UNALIGNED = Unaligned.Config()
LEGACY_RPN = RPN.Config(legacy=True, train_proposals=2000, box_loss=BoxLoss(kind="smooth_l1", beta=1 / 9))
LEGACY_BOX_HEAD = BoxHead.Config(
    legacy=True,
    sampling=2,
    extractor=UNALIGNED,
    box_loss=BoxLoss(kind="smooth_l1"),
    match=MatchConfig(low_quality=0.5),
)
LEGACY_MASK_HEAD = MaskHead.Config(sampling=2, extractor=UNALIGNED)
LEGACY_RETINA_HEAD = RetinaNet.Head(legacy=True, box_loss=BoxLoss(kind="smooth_l1", beta=0.11))
CASCADE = CascadeMaskRCNN.Config()

RECIPES = (
    row(
        name="mask_rcnn_r50_fpn_1x_coco_v1",
        model=MaskRCNN.Config(rpn=LEGACY_RPN, box_head=LEGACY_BOX_HEAD, mask_head=LEGACY_MASK_HEAD),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=36.8, mask_ap=33.9),
        weights="https://s3.ap-northeast-2.amazonaws.com/open-mmlab/mmdetection/models/mask_rcnn_r50_fpn_1x_20181010-069fa190.pth",
        config="legacy_1.x/mask-rcnn_r50_fpn_1x_coco_v1.py",
    ),
    row(
        name="retinanet_r50_caffe_1x_coco_v1",
        model=RetinaNet.Config(input=BGR_DETECTRON, backbone=caffe(R50), head=LEGACY_RETINA_HEAD),
        schedule=DENSE_1X,
        init=INIT_R50_DETECTRON,
        published=Published(box_ap=35.4),
        config="legacy_1.x/retinanet_r50-caffe_fpn_1x_coco_v1.py",
    ),
    row(
        name="retinanet_r50_fpn_1x_coco_v1",
        model=RetinaNet.Config(head=LEGACY_RETINA_HEAD),
        schedule=DENSE_1X,
        published=Published(box_ap=35.2),
        weights="https://s3.ap-northeast-2.amazonaws.com/open-mmlab/mmdetection/models/retinanet_r50_fpn_1x_20181125-7b0c2548.pth",
        config="legacy_1.x/retinanet_r50_fpn_1x_coco_v1.py",
    ),
    row(
        name="cascade_mask_rcnn_r50_fpn_1x_coco_v1",
        model=CASCADE.replace(
            rpn=CASCADE.rpn.replace(legacy=True),
            box_head=CASCADE.box_head.replace(legacy=True, sampling=2, extractor=UNALIGNED),
            mask_head=LEGACY_MASK_HEAD,
        ),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=40.8, mask_ap=35.6),
        weights="https://s3.ap-northeast-2.amazonaws.com/open-mmlab/mmdetection/models/cascade_mask_rcnn_r50_fpn_1x_20181123-88b170c9.pth",
        config="legacy_1.x/cascade-mask-rcnn_r50_fpn_1x_coco_v1.py",
    ),
    row(
        name="ssd300_coco_v1",
        model=SSD.Config(head=SSD.Head(legacy=True)),
        data=SSD_DATA,
        schedule=SSD_SCHEDULE,
        published=Published(box_ap=25.4),
        weights="https://s3.ap-northeast-2.amazonaws.com/open-mmlab/mmdetection/models/ssd300_coco_vgg16_caffe_120e_20181221-84d7110b.pth",
        config="legacy_1.x/ssd300_coco_v1.py",
    ),
)
