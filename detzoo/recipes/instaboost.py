"""InstaBoost (arXiv:1908.07801): Mask and Cascade Mask R-CNN whose training pictures had their objects moved about.

The table says R-101 of the Cascade Mask R-CNN, whose config and weights are of R-50.
"""

from __future__ import annotations

from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.recipes.augment import Flip, InstaBoost, Resize
from detzoo.recipes.columns import COCO_MASKS, R101, X101_64X4D, mask_rcnn, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Schedule

PASTED = COCO_MASKS.replace(augment=(InstaBoost(), Resize(), Flip()))
SCHEDULE_4X = Schedule(epochs=48, milestones=(32, 44), lr=0.02)

RECIPES = (
    row(
        name="mask_rcnn_r50_fpn_instaboost_4x_coco",
        model=mask_rcnn(),
        data=PASTED,
        schedule=SCHEDULE_4X,
        published=Published(box_ap=40.6, mask_ap=36.6, memory_gb=4.4, fps=17.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/instaboost/mask_rcnn_r50_fpn_instaboost_4x_coco/mask_rcnn_r50_fpn_instaboost_4x_coco_20200307-d025f83a.pth",
        config="instaboost/mask-rcnn_r50_fpn_instaboost-4x_coco.py",
    ),
    row(
        name="mask_rcnn_r101_fpn_instaboost_4x_coco",
        model=mask_rcnn(R101),
        data=PASTED,
        schedule=SCHEDULE_4X,
        published=Published(box_ap=42.5, mask_ap=38.0, memory_gb=6.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/instaboost/mask_rcnn_r101_fpn_instaboost_4x_coco/mask_rcnn_r101_fpn_instaboost_4x_coco_20200703_235738-f23f3a5f.pth",
        config="instaboost/mask-rcnn_r101_fpn_instaboost-4x_coco.py",
    ),
    row(
        name="mask_rcnn_x101_64x4d_fpn_instaboost_4x_coco",
        model=mask_rcnn(X101_64X4D),
        data=PASTED,
        schedule=SCHEDULE_4X,
        published=Published(box_ap=44.7, mask_ap=39.7, memory_gb=10.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/instaboost/mask_rcnn_x101_64x4d_fpn_instaboost_4x_coco/mask_rcnn_x101_64x4d_fpn_instaboost_4x_coco_20200515_080947-8ed58c1b.pth",
        config="instaboost/mask-rcnn_x101-64x4d_fpn_instaboost-4x_coco.py",
    ),
    row(
        name="cascade_mask_rcnn_r50_fpn_instaboost_4x_coco",
        model=CascadeMaskRCNN.Config(),
        data=PASTED,
        schedule=SCHEDULE_4X,
        published=Published(box_ap=43.7, mask_ap=38.0, memory_gb=6.0, fps=12.0),
        weights="http://download.openmmlab.com/mmdetection/v2.0/instaboost/cascade_mask_rcnn_r50_fpn_instaboost_4x_coco/cascade_mask_rcnn_r50_fpn_instaboost_4x_coco_20200307-c19d98d9.pth",
        config="instaboost/cascade-mask-rcnn_r50_fpn_instaboost-4x_coco.py",
    ),
)
