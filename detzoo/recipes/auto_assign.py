"""AutoAssign (arXiv:2007.03496) on a ResNet in caffe style."""

from __future__ import annotations

from detzoo.methods.auto_assign import AutoAssign
from detzoo.recipes.columns import BGR_DETECTRON, NO_NORM_DECAY, R50, SCHEDULE_1X, caffe, row
from detzoo.recipes.recipe import Published

RECIPES = (
    row(
        name="autoassign_r50_fpn_8x2_1x_coco",
        model=AutoAssign.Config(input=BGR_DETECTRON, backbone=caffe(R50)),
        schedule=SCHEDULE_1X.replace(lr=0.01, groups=NO_NORM_DECAY, warmup_steps=1000),
        published=Published(box_ap=40.4, memory_gb=4.08),
        weights="https://download.openmmlab.com/mmdetection/v2.0/autoassign/auto_assign_r50_fpn_1x_coco/auto_assign_r50_fpn_1x_coco_20210413_115540-5e17991f.pth",
        config="autoassign/autoassign_r50-caffe_fpn_1x_coco.py",
    ),
)
