"""Deformable DETR (arXiv:2010.04159) on ResNet-50: plain, with boxes refined layer by layer, and in two stages."""

from __future__ import annotations

from detzoo.methods.deformable_detr import DeformableDETR
from detzoo.recipes.columns import COCO, DEFORMABLE_DETR_AUGMENT, DETR_SIZES, row
from detzoo.recipes.detr import SLOW_BACKBONE
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import ParamGroup, Schedule

DATA = COCO.replace(sizes=DETR_SIZES, augment=DEFORMABLE_DETR_AUGMENT, keep_empty=True)
# what decides where is looked learns slowly, too
SLOW_OFFSETS = ParamGroup(pattern="sampling_offsets", lr_scale=0.1)
SLOW_PLACES = (SLOW_OFFSETS, ParamGroup(pattern="reference_points", lr_scale=0.1))
SCHEDULE = Schedule(
    epochs=50,
    optimizer="adamw",
    lr=2e-4,
    base_batch=32,
    weight_decay=1e-4,
    groups=(*SLOW_BACKBONE, *SLOW_PLACES),
    milestones=(40,),
    warmup_steps=0,
    clip_norm=0.1,
)

RECIPES = (
    row(
        name="deformable_detr_r50_16x2_50e_coco",
        model=DeformableDETR.Config(),
        data=DATA,
        schedule=SCHEDULE,
        published=Published(box_ap=44.5),
        weights="https://download.openmmlab.com/mmdetection/v2.0/deformable_detr/deformable_detr_r50_16x2_50e_coco/deformable_detr_r50_16x2_50e_coco_20210419_220030-a12b9512.pth",
        config="deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
    ),
    row(
        name="deformable_detr_refine_r50_16x2_50e_coco",
        model=DeformableDETR.Config(refine=True),
        data=DATA,
        schedule=SCHEDULE,
        published=Published(box_ap=46.1),
        weights="https://download.openmmlab.com/mmdetection/v2.0/deformable_detr/deformable_detr_refine_r50_16x2_50e_coco/deformable_detr_refine_r50_16x2_50e_coco_20210419_220503-5f5dff21.pth",
        config="deformable_detr/deformable-detr-refine_r50_16xb2-50e_coco.py",
    ),
    row(
        name="deformable_detr_twostage_refine_r50_16x2_50e_coco",
        model=DeformableDETR.Config(refine=True, two_stage=True),
        data=DATA,
        # its first places are proposals, so that no layer tells them
        schedule=SCHEDULE.replace(groups=(*SLOW_BACKBONE, SLOW_OFFSETS)),
        published=Published(box_ap=46.8),
        weights="https://download.openmmlab.com/mmdetection/v2.0/deformable_detr/deformable_detr_twostage_refine_r50_16x2_50e_coco/deformable_detr_twostage_refine_r50_16x2_50e_coco_20210419_220613-9d28ab72.pth",
        config="deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco.py",
    ),
)
