"""CornerNet on Hourglass-104 (arXiv:1808.01244), trained from nothing at three sizes of the whole batch, and
CentripetalNet (arXiv:2003.09119) at one.

The published AP is that of each picture and its mirror image together ("mstest" in the names, in fact a flip test); a
single pass gives less. Pictures keep their size.
"""

from __future__ import annotations

from detzoo.methods.centripetalnet import CentripetalNet
from detzoo.methods.cornernet import CornerNet
from detzoo.recipes.columns import COCO, CORNERNET_AUGMENT, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Schedule
from detzoo.tta import TTA

CORNER_DATA = COCO.replace(augment=CORNERNET_AUGMENT, group_by_aspect=False, workers=3)
SCHEDULE_210E = Schedule(
    epochs=210,
    milestones=(180,),
    optimizer="adam",
    lr=5e-4,
    weight_decay=0.0,
    warmup_start=1 / 3,
    clip_norm=35.0,
)

RECIPES = (
    row(
        name="cornernet_hourglass104_mstest_10x5_210e_coco",
        model=CornerNet.Config(),
        data=CORNER_DATA,
        schedule=SCHEDULE_210E.replace(batch=5, base_batch=50),
        init=None,
        published=Published(box_ap=41.2, memory_gb=13.9, fps=4.2, tta=TTA()),
        weights="http://download.openmmlab.com/mmdetection/v2.0/cornernet/cornernet_hourglass104_mstest_10x5_210e_coco/cornernet_hourglass104_mstest_10x5_210e_coco_20200824_185720-5fefbf1c.pth",
        config="cornernet/cornernet_hourglass104_10xb5-crop511-210e-mstest_coco.py",
    ),
    row(
        name="cornernet_hourglass104_mstest_8x6_210e_coco",
        model=CornerNet.Config(),
        data=CORNER_DATA,
        schedule=SCHEDULE_210E.replace(batch=6, base_batch=48),
        init=None,
        published=Published(box_ap=41.2, memory_gb=15.9, fps=4.2, tta=TTA()),
        weights="http://download.openmmlab.com/mmdetection/v2.0/cornernet/cornernet_hourglass104_mstest_8x6_210e_coco/cornernet_hourglass104_mstest_8x6_210e_coco_20200825_150618-79b44c30.pth",
        config="cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco.py",
    ),
    row(
        name="cornernet_hourglass104_mstest_32x3_210e_coco",
        model=CornerNet.Config(),
        data=CORNER_DATA,
        schedule=SCHEDULE_210E.replace(batch=3, base_batch=96),
        init=None,
        published=Published(box_ap=40.4, memory_gb=9.5, fps=3.9, tta=TTA()),
        weights="http://download.openmmlab.com/mmdetection/v2.0/cornernet/cornernet_hourglass104_mstest_32x3_210e_coco/cornernet_hourglass104_mstest_32x3_210e_coco_20200819_203110-1efaea91.pth",
        config="cornernet/cornernet_hourglass104_32xb3-210e-mstest_coco.py",
    ),
    row(
        name="centripetalnet_hourglass104_mstest_16x6_210e_coco",
        model=CentripetalNet.Config(),
        data=CORNER_DATA,
        schedule=SCHEDULE_210E.replace(milestones=(190,), batch=6, base_batch=96),
        init=None,
        published=Published(box_ap=44.8, memory_gb=16.7, fps=3.7, tta=TTA()),
        weights="http://download.openmmlab.com/mmdetection/v2.0/centripetalnet/centripetalnet_hourglass104_mstest_16x6_210e_coco/centripetalnet_hourglass104_mstest_16x6_210e_coco_20200915_204804-3ccc61e5.pth",
        config="centripetalnet/centripetalnet_hourglass104_16xb6-crop511-210e-mstest_coco.py",
    ),
)
