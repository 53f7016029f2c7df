"""Feature Pyramid Grids (arXiv:2004.03580), of 256 and of 128 channels: crops of 640 pixels, 50 epochs."""

from __future__ import annotations

from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.necks.fpg import FPG
from detzoo.recipes.augment import Crop, Flip
from detzoo.recipes.columns import COCO, MASK_BOX_HEAD, row
from detzoo.recipes.nas_fpn import CROP640, CROP640_50E, HEAD_BN, JITTER640, R50_BN, input640
from detzoo.recipes.recipe import Published

CROP_TO_640 = COCO.replace(augment=(JITTER640, Crop(size=(640, 640), mode="pixels_range", allow_empty=True), Flip()))
BOX_HEAD_BN = MASK_BOX_HEAD.replace(norm="bn")
NARROW = FPG.Config(out_channels=128, inter_channels=128)
RETINA = FPG.Config(start=1, extra="conv")

RECIPES = (
    row(
        name="faster_rcnn_r50_fpg_crop640_50e_coco",
        model=FasterRCNN.Config(
            input=input640(64), backbone=R50_BN, neck=FPG.Config(), box_head=BoxHead.Config(norm="bn")
        ),
        data=CROP_TO_640,
        schedule=CROP640_50E,
        published=Published(box_ap=42.2, memory_gb=20.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fpg/faster_rcnn_r50_fpg_crop640_50e_coco/faster_rcnn_r50_fpg_crop640_50e_coco-76220505.pth",
        config="fpg/faster-rcnn_r50_fpg_crop640-50e_coco.py",
    ),
    row(
        name="faster_rcnn_r50_fpg-chn128_crop640_50e_coco",
        model=FasterRCNN.Config(input=input640(64), backbone=R50_BN, neck=NARROW, box_head=BoxHead.Config(norm="bn")),
        data=CROP_TO_640,
        schedule=CROP640_50E,
        published=Published(box_ap=41.2, memory_gb=11.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fpg/faster_rcnn_r50_fpg-chn128_crop640_50e_coco/faster_rcnn_r50_fpg-chn128_crop640_50e_coco-24257de9.pth",
        config="fpg/faster-rcnn_r50_fpg-chn128_crop640-50e_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpg_crop640_50e_coco",
        model=MaskRCNN.Config(
            input=input640(64),
            backbone=R50_BN,
            neck=FPG.Config(),
            box_head=BOX_HEAD_BN,
            mask_head=MaskHead.Config(norm="bn"),
        ),
        data=CROP_TO_640.replace(masks=True),
        schedule=CROP640_50E,
        published=Published(box_ap=42.7, mask_ap=37.8, memory_gb=23.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fpg/mask_rcnn_r50_fpg_crop640_50e_coco/mask_rcnn_r50_fpg_crop640_50e_coco-c5860453.pth",
        config="fpg/mask-rcnn_r50_fpg_crop640-50e_coco.py",
    ),
    row(
        name="mask_rcnn_r50_fpg-chn128_crop640_50e_coco",
        model=MaskRCNN.Config(
            input=input640(64), backbone=R50_BN, neck=NARROW, box_head=BOX_HEAD_BN, mask_head=MaskHead.Config(norm="bn")
        ),
        data=CROP_TO_640.replace(masks=True),
        schedule=CROP640_50E,
        published=Published(box_ap=41.7, mask_ap=36.9, memory_gb=15.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fpg/mask_rcnn_r50_fpg-chn128_crop640_50e_coco/mask_rcnn_r50_fpg-chn128_crop640_50e_coco-5c6ea10d.pth",
        config="fpg/mask-rcnn_r50_fpg-chn128_crop640-50e_coco.py",
    ),
    row(
        name="retinanet_r50_fpg_crop640_50e_coco",
        model=RetinaNet.Config(input=input640(128), backbone=R50_BN, neck=RETINA, head=HEAD_BN),
        data=CROP640,
        schedule=CROP640_50E,
        published=Published(box_ap=40.5, memory_gb=20.8),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fpg/retinanet_r50_fpg_crop640_50e_coco/retinanet_r50_fpg_crop640_50e_coco-46fdd1c6.pth",
        config="fpg/retinanet_r50_fpg_crop640_50e_coco.py",
    ),
    row(
        name="retinanet_r50_fpg-chn128_crop640_50e_coco",
        model=RetinaNet.Config(
            input=input640(128),
            backbone=R50_BN,
            neck=RETINA.replace(out_channels=128, inter_channels=128),
            head=HEAD_BN,
        ),
        data=CROP640,
        schedule=CROP640_50E,
        published=Published(box_ap=40.3, memory_gb=19.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/fpg/retinanet_r50_fpg-chn128_crop640_50e_coco/retinanet_r50_fpg-chn128_crop640_50e_coco-5cf33c76.pth",
        config="fpg/retinanet_r50_fpg-chn128_crop640_50e_coco.py",
    ),
)
