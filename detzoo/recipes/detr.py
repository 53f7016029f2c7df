"""DETR (arXiv:2005.12872) on ResNet-50."""

from __future__ import annotations

from detzoo.methods.detr import DETR
from detzoo.recipes.columns import COCO, DETR_AUGMENT, DETR_SIZES, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import ParamGroup, Schedule

SLOW_BACKBONE = (ParamGroup(pattern=r"^backbone\.", lr_scale=0.1),)

RECIPES = (
    row(
        name="detr_r50_8x2_150e_coco",
        model=DETR.Config(),
        data=COCO.replace(sizes=DETR_SIZES, augment=DETR_AUGMENT),
        schedule=Schedule(
            epochs=150,
            optimizer="adamw",
            lr=1e-4,
            weight_decay=1e-4,
            groups=SLOW_BACKBONE,
            milestones=(100,),
            warmup_steps=0,
            clip_norm=0.1,
        ),
        published=Published(box_ap=40.1, memory_gb=7.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/detr/detr_r50_8x2_150e_coco/detr_r50_8x2_150e_coco_20201130_194835-2c4b8974.pth",
        config="detr/detr_r50_8xb2-150e_coco.py",
    ),
)
