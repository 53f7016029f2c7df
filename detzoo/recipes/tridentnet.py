"""TridentNet (arXiv:1901.01892)."""

from __future__ import annotations

from detzoo.methods.tridentnet import TridentNet, TridentResNet
from detzoo.recipes.columns import BGR, COCO, SCHEDULE_1X, SCHEDULE_3X, multi_scale, row
from detzoo.recipes.no_pyramid import BOX_HEAD_C4, INIT_C4, RPN_C4
from detzoo.recipes.recipe import Published

TRIDENT_C4 = TridentNet.Config(
    input=BGR,
    backbone=TridentResNet.Config(style="caffe", norm_frozen=True),
    rpn=RPN_C4.replace(train_proposals=500),
    box_head=BOX_HEAD_C4.replace(samples=128, positives=0.5, objects=False),
)

RECIPES = (
    row(
        name="tridentnet_r50_caffe_1x_coco",
        model=TRIDENT_C4,
        schedule=SCHEDULE_1X,
        init=INIT_C4,
        published=Published(box_ap=37.7),
        weights="https://download.openmmlab.com/mmdetection/v2.0/tridentnet/tridentnet_r50_caffe_1x_coco/tridentnet_r50_caffe_1x_coco_20201230_141838-2ec0b530.pth",
        config="tridentnet/tridentnet_r50-caffe_1x_coco.py",
    ),
    row(
        name="tridentnet_r50_caffe_mstrain_1x_coco",
        model=TRIDENT_C4,
        data=multi_scale(COCO),
        schedule=SCHEDULE_1X,
        init=INIT_C4,
        published=Published(box_ap=37.6),
        weights="https://download.openmmlab.com/mmdetection/v2.0/tridentnet/tridentnet_r50_caffe_mstrain_1x_coco/tridentnet_r50_caffe_mstrain_1x_coco_20201230_141839-6ce55ccb.pth",
        config="tridentnet/tridentnet_r50-caffe_ms-1x_coco.py",
    ),
    row(
        name="tridentnet_r50_caffe_mstrain_3x_coco",
        model=TRIDENT_C4,
        data=multi_scale(COCO),
        schedule=SCHEDULE_3X,
        init=INIT_C4,
        published=Published(box_ap=40.3),
        weights="https://download.openmmlab.com/mmdetection/v2.0/tridentnet/tridentnet_r50_caffe_mstrain_3x_coco/tridentnet_r50_caffe_mstrain_3x_coco_20201130_100539-46d227ba.pth",
        config="tridentnet/tridentnet_r50-caffe_ms-3x_coco.py",
    ),
)
