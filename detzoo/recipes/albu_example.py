"""Mask R-CNN whose training pictures were varied by Albumentations (arXiv:1809.06839); see `Albu`."""

from __future__ import annotations

from detzoo.recipes.augment import Albu, Flip, Resize
from detzoo.recipes.columns import COCO_MASKS, SCHEDULE_1X, mask_rcnn, row
from detzoo.recipes.recipe import Published

ALBU = Albu(
    transforms=(
        *("ShiftScaleRotate", "RandomBrightnessContrast", "RGBShift", "HueSaturationValue"),
        *("JpegCompression", "ChannelShuffle", "Blur", "MedianBlur"),
    )
)

RECIPES = (
    row(
        name="mask_rcnn_r50_fpn_albu_1x_coco",
        model=mask_rcnn(),
        data=COCO_MASKS.replace(augment=(Resize(), ALBU, Flip())),
        schedule=SCHEDULE_1X,
        published=Published(box_ap=38.0, mask_ap=34.5, memory_gb=4.4, fps=16.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/albu_example/mask_rcnn_r50_fpn_albu_1x_coco/mask_rcnn_r50_fpn_albu_1x_coco_20200208-ab203bcd.pth",
        config="albu_example/mask-rcnn_r50_fpn_albu-1x_coco.py",
    ),
)
