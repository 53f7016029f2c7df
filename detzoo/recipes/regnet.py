"""RegNetX (arXiv:2003.13678), from 800 MFLOPs to 12 GFLOPs: Faster R-CNN, Mask R-CNN and RetinaNet on FPN."""

from __future__ import annotations

from detzoo.backbones.regnet import RegNet
from detzoo.blocks.layers import Deform
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.recipes.columns import (
    BGR_STD,
    COCO,
    COCO_MASKS,
    SCHEDULE_1X,
    SCHEDULE_2X,
    SCHEDULE_3X,
    SCHEDULE_3X_REPEATED,
    mask_rcnn,
    multi_scale,
    multi_scale_repeated,
    row,
)
from detzoo.recipes.recipe import Published

X_800MF = RegNet.Config(depth=16, initial_width=56, slope=35.73, ratio=2.28, group_width=16)
X_1_6GF = RegNet.Config(depth=18, initial_width=80, slope=34.01, ratio=2.25, group_width=24)
X_3_2GF = RegNet.Config(depth=25, initial_width=88, slope=26.31, ratio=2.25, group_width=48)
X_4GF = RegNet.Config(depth=23, initial_width=96, slope=38.65, ratio=2.43, group_width=40)
X_6_4GF = RegNet.Config(depth=17, initial_width=184, slope=60.83, ratio=2.07, group_width=56)
X_8GF = RegNet.Config(depth=23, initial_width=80, slope=49.56, ratio=2.88, group_width=120)
X_12GF = RegNet.Config(depth=19, initial_width=168, slope=73.36, ratio=2.37, group_width=112)

REGNET_1X = SCHEDULE_1X.replace(weight_decay=5e-5)  # as of all
REGNET_1X_CLIPPED = REGNET_1X.replace(clip_norm=35.0)
REGNET_2X = SCHEDULE_2X.replace(weight_decay=5e-5)
REGNET_3X = SCHEDULE_3X.replace(weight_decay=5e-5, clip_norm=35.0)
REGNET_3X_REPEATED = SCHEDULE_3X_REPEATED.replace(weight_decay=5e-5)


RECIPES = (
    row(
        name="mask_rcnn_regnetx-3.2GF_fpn_1x_coco",
        model=mask_rcnn(X_3_2GF, BGR_STD),
        schedule=REGNET_1X,
        published=Published(box_ap=40.3, mask_ap=36.6, memory_gb=5.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/mask_rcnn_regnetx-3.2GF_fpn_1x_coco/mask_rcnn_regnetx-3.2GF_fpn_1x_coco_20200520_163141-2a9d1814.pth",
        config="regnet/mask-rcnn_regnetx-3.2GF_fpn_1x_coco.py",
    ),
    row(
        name="mask_rcnn_regnetx-4GF_fpn_1x_coco",
        model=mask_rcnn(X_4GF, BGR_STD),
        schedule=REGNET_1X,
        published=Published(box_ap=41.5, mask_ap=37.4, memory_gb=5.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/mask_rcnn_regnetx-4GF_fpn_1x_coco/mask_rcnn_regnetx-4GF_fpn_1x_coco_20200517_180217-32e9c92d.pth",
        config="regnet/mask-rcnn_regnetx-4GF_fpn_1x_coco.py",
    ),
    row(
        name="mask_rcnn_regnetx-6.4GF_fpn_1x_coco",
        model=mask_rcnn(X_6_4GF, BGR_STD),
        schedule=REGNET_1X,
        published=Published(box_ap=41.0, mask_ap=37.1, memory_gb=6.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/mask_rcnn_regnetx-6.4GF_fpn_1x_coco/mask_rcnn_regnetx-6.4GF_fpn_1x_coco_20200517_180439-3a7aae83.pth",
        config="regnet/mask-rcnn_regnetx-6.4GF_fpn_1x_coco.py",
    ),
    row(
        name="mask_rcnn_regnetx-8GF_fpn_1x_coco",
        model=mask_rcnn(X_8GF, BGR_STD),
        schedule=REGNET_1X,
        published=Published(box_ap=41.7, mask_ap=37.5, memory_gb=6.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/mask_rcnn_regnetx-8GF_fpn_1x_coco/mask_rcnn_regnetx-8GF_fpn_1x_coco_20200517_180515-09daa87e.pth",
        config="regnet/mask-rcnn_regnetx-8GF_fpn_1x_coco.py",
    ),
    row(
        name="mask_rcnn_regnetx-12GF_fpn_1x_coco",
        model=mask_rcnn(X_12GF, BGR_STD),
        schedule=REGNET_1X,
        published=Published(box_ap=42.2, mask_ap=38.0, memory_gb=7.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/mask_rcnn_regnetx-12GF_fpn_1x_coco/mask_rcnn_regnetx-12GF_fpn_1x_coco_20200517_180552-b538bd8b.pth",
        config="regnet/mask-rcnn_regnetx-12GF_fpn_1x_coco.py",
    ),
    row(
        name="mask_rcnn_regnetx-3.2GF_fpn_mdconv_c3-c5_1x_coco",
        model=mask_rcnn(X_3_2GF.replace(deform=Deform(version=2)), BGR_STD),
        schedule=REGNET_1X,
        published=Published(box_ap=40.3, mask_ap=36.6, memory_gb=5.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/mask_rcnn_regnetx-3.2GF_fpn_mdconv_c3-c5_1x_coco/mask_rcnn_regnetx-3.2GF_fpn_mdconv_c3-c5_1x_coco_20200520_172726-75f40794.pth",
        config="regnet/mask-rcnn_regnetx-3.2GF-mdconv-c3-c5_fpn_1x_coco.py",
    ),
    row(
        name="faster_rcnn_regnetx-3.2GF_fpn_1x_coco",
        model=FasterRCNN.Config(input=BGR_STD, backbone=X_3_2GF),
        schedule=REGNET_1X,
        published=Published(box_ap=39.9, memory_gb=4.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/faster_rcnn_regnetx-3.2GF_fpn_1x_coco/faster_rcnn_regnetx-3.2GF_fpn_1x_coco_20200517_175927-126fd9bf.pth",
        config="regnet/faster-rcnn_regnetx-3.2GF_fpn_1x_coco.py",
    ),
    row(
        name="faster_rcnn_regnetx-3.2GF_fpn_2x_coco",
        model=FasterRCNN.Config(input=BGR_STD, backbone=X_3_2GF),
        schedule=REGNET_2X,
        published=Published(box_ap=41.1, memory_gb=4.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/faster_rcnn_regnetx-3.2GF_fpn_2x_coco/faster_rcnn_regnetx-3.2GF_fpn_2x_coco_20200520_223955-e2081918.pth",
        config="regnet/faster-rcnn_regnetx-3.2GF_fpn_2x_coco.py",
    ),
    row(
        name="retinanet_regnetx-800MF_fpn_1x_coco",
        model=RetinaNet.Config(input=BGR_STD, backbone=X_800MF),
        schedule=REGNET_1X_CLIPPED,
        published=Published(box_ap=35.6, memory_gb=2.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/retinanet_regnetx-800MF_fpn_1x_coco/retinanet_regnetx-800MF_fpn_1x_coco_20200517_191403-f6f91d10.pth",
        config="regnet/retinanet_regnetx-800MF_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_regnetx-1.6GF_fpn_1x_coco",
        model=RetinaNet.Config(input=BGR_STD, backbone=X_1_6GF),
        schedule=REGNET_1X_CLIPPED,
        published=Published(box_ap=37.3, memory_gb=3.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/retinanet_regnetx-1.6GF_fpn_1x_coco/retinanet_regnetx-1.6GF_fpn_1x_coco_20200517_191403-37009a9d.pth",
        config="regnet/retinanet_regnetx-1.6GF_fpn_1x_coco.py",
    ),
    row(
        name="retinanet_regnetx-3.2GF_fpn_1x_coco",
        model=RetinaNet.Config(input=BGR_STD, backbone=X_3_2GF),
        schedule=REGNET_1X_CLIPPED,
        published=Published(box_ap=39.1, memory_gb=4.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/retinanet_regnetx-3.2GF_fpn_1x_coco/retinanet_regnetx-3.2GF_fpn_1x_coco_20200520_163141-cb1509e8.pth",
        config="regnet/retinanet_regnetx-3.2GF_fpn_1x_coco.py",
    ),
    row(
        name="faster_rcnn_regnetx-3.2GF_fpn_mstrain_3x_coco",
        model=FasterRCNN.Config(input=BGR_STD, backbone=X_3_2GF),
        data=multi_scale_repeated(COCO),
        schedule=REGNET_3X_REPEATED,
        published=Published(box_ap=42.2, memory_gb=5.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/faster_rcnn_regnetx-3.2GF_fpn_mstrain_3x_coco/faster_rcnn_regnetx-3.2GF_fpn_mstrain_3x_coco_20200520_224253-bf85ae3e.pth",
        config="regnet/faster-rcnn_regnetx-3.2GF_fpn_ms-3x_coco.py",
    ),
    row(
        name="mask_rcnn_regnetx-3.2GF_fpn_mstrain_3x_coco",
        model=mask_rcnn(X_3_2GF, BGR_STD),
        data=multi_scale(COCO_MASKS),
        schedule=REGNET_3X,
        published=Published(box_ap=43.1, mask_ap=38.7, memory_gb=5.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/regnet/mask_rcnn_regnetx-3.2GF_fpn_mstrain_3x_coco/mask_rcnn_regnetx-3.2GF_fpn_mstrain_3x_coco_20200521_202221-99879813.pth",
        config="regnet/mask-rcnn_regnetx-3.2GF_fpn_ms-3x_coco.py",
    ),
)
