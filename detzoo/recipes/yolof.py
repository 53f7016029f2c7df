"""YOLOF (arXiv:2103.09460): one map of a ResNet in caffe style."""

from __future__ import annotations

from detzoo.methods.yolof import YOLOF
from detzoo.recipes.augment import Flip, Resize, Shift
from detzoo.recipes.columns import BGR, COCO, NO_NORM_DECAY, R50, SCHEDULE_1X, caffe, row
from detzoo.recipes.initial import INIT_R50_DETECTRON
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import ParamGroup

YOLOF_1X = SCHEDULE_1X.replace(
    lr=0.12,
    batch=8,
    base_batch=64,
    groups=(ParamGroup(pattern=r"^backbone\.", lr_scale=1 / 3), *NO_NORM_DECAY),
    warmup_steps=1500,
    warmup_start=0.00066667,
)

RECIPES = (
    row(
        name="yolof_r50_c5_8x8_1x_coco",
        model=YOLOF.Config(input=BGR, backbone=caffe(R50).replace(out_stages=(4,))),
        data=COCO.replace(augment=(Resize(), Flip(), Shift())),
        schedule=YOLOF_1X,
        init=INIT_R50_DETECTRON,
        published=Published(box_ap=37.5, memory_gb=8.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/yolof/yolof_r50_c5_8x8_1x_coco/yolof_r50_c5_8x8_1x_coco_20210425_024427-8e864411.pth",
        config="yolof/yolof_r50-c5_8xb8-1x_coco.py",
    ),
)
