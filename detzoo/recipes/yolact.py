"""YOLACT (arXiv:1904.02689) for inputs of 550 pixels: on one device and on eight."""

from __future__ import annotations

from detzoo.methods.yolact import YOLACT
from detzoo.recipes.columns import COCO_MASKS, SSD_AUGMENT, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Schedule

YOLACT_DATA = COCO_MASKS.replace(augment=SSD_AUGMENT, min_box=4.0, group_by_aspect=False)
YOLACT_55E = Schedule(
    epochs=55, batch=8, lr=1e-3, base_batch=8, weight_decay=5e-4, milestones=(20, 42, 49, 52), warmup_start=0.1
)

RECIPES = (
    row(
        name="yolact_r50_1x8_coco",
        model=YOLACT.Config(),
        data=YOLACT_DATA,
        schedule=YOLACT_55E,
        published=Published(mask_ap=29.0, fps=42.5),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/yolact/yolact_r50_1x8_coco_20200908-f38d58df.pth",
        config="yolact/yolact_r50_1xb8-55e_coco.py",
    ),
    row(
        name="yolact_r50_8x8_coco",
        model=YOLACT.Config(),
        data=YOLACT_DATA,
        schedule=YOLACT_55E.replace(lr=8e-3, base_batch=64, warmup_steps=1000, clip_norm=35.0),
        published=Published(mask_ap=28.4, fps=42.5),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/yolact/yolact_r50_8x8_coco_20200908-ca34f5db.pth",
        config="yolact/yolact_r50_8xb8-55e_coco.py",
    ),
    row(
        name="yolact_r101_1x8_coco",
        model=YOLACT.Config(backbone=YOLACT.Config().backbone.replace(depth=101)),
        data=YOLACT_DATA,
        schedule=YOLACT_55E,
        published=Published(mask_ap=30.4, fps=33.5),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/yolact/yolact_r101_1x8_coco_20200908-4cbe9101.pth",
        config="yolact/yolact_r101_1xb8-55e_coco.py",
    ),
)
