"""SSD (arXiv:1512.02325) on VGG-16 for inputs of 300 and 512 pixels."""

from __future__ import annotations

from detzoo.detector import Input
from detzoo.methods.ssd import SSD
from detzoo.necks.ssd import SSDNeck
from detzoo.recipes.columns import COCO, SSD_AUGMENT, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Schedule

# 24 epochs are 120 passes over the images
SSD_DATA = COCO.replace(augment=SSD_AUGMENT, repeat=5, group_by_aspect=False)
SSD_SCHEDULE = Schedule(epochs=24, batch=8, lr=2e-3, base_batch=64, weight_decay=5e-4, milestones=(16, 22))

SSD512 = SSD.Config(
    input=Input(short=512, long=512, keep_ratio=False, multiple=1, std=(1.0, 1.0, 1.0)),
    neck=SSDNeck.Config(
        out_channels=(512, 256, 256, 256, 256), steps=(2, 2, 2, 2, 1), paddings=(1, 1, 1, 1, 1), last_kernel=4
    ),
    head=SSD.Head(
        sizes=(20, 51, 133, 215, 296, 378, 460, 542),
        ratios=((2,), (2, 3), (2, 3), (2, 3), (2, 3), (2,), (2,)),
        steps=(8, 16, 32, 64, 128, 256, 512),
    ),
)

RECIPES = (
    row(
        name="ssd300_coco",
        model=SSD.Config(),
        data=SSD_DATA,
        schedule=SSD_SCHEDULE,
        published=Published(box_ap=25.6, memory_gb=10.2, fps=43.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ssd/ssd300_coco/ssd300_coco_20200307-a92d2092.pth",
        config="ssd/ssd300_coco.py",
    ),
    row(
        name="ssd512_coco",
        model=SSD512,
        data=SSD_DATA,
        schedule=SSD_SCHEDULE,
        published=Published(box_ap=29.4, memory_gb=9.3, fps=30.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/ssd/ssd512_coco/ssd512_coco_20200308-038c5591.pth",
        config="ssd/ssd512_coco.py",
    ),
)
