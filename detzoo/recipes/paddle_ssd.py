"""SSD (arXiv:1512.02325) as PaddleDetection's static-graph releases have it, on COCO and on Pascal VOC.

Milestones are in proportion to the epochs that the tables tell; 400,000 updates of COCO's are 218 epochs of 64 images.
"""

from __future__ import annotations

from detzoo.detector import Input
from detzoo.methods.ssd import SSD
from detzoo.recipes.columns import COCO, SSD_AUGMENT
from detzoo.recipes.pascal_voc import VOC
from detzoo.recipes.recipe import Published, row
from detzoo.recipes.settings import Schedule
from detzoo.recipes.ssd import SSD512

GREY = Input(short=300, long=300, keep_ratio=False, multiple=1, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0))
HEAD = SSD.Head(sizes=(30, 60, 111, 162, 213, 264, 315), mean_last=True, alone=0.01, threshold=0.01, clip=False)
VGG300 = SSD.Config(input=GREY, head=HEAD)
VGG300_VOC = VGG300.replace(head=HEAD.replace(mean_last=False))
VGG512 = SSD512.replace(
    input=GREY.replace(short=512, long=512),
    head=SSD512.head.replace(mean_last=True, alone=0.01, threshold=0.01, clip=False),
)

SSD_COCO = COCO.replace(augment=SSD_AUGMENT, group_by_aspect=False)
SSD_VOC = VOC.replace(augment=SSD_AUGMENT, group_by_aspect=False, min_box=1.0, repeat=1)
SCHEDULE = Schedule(
    epochs=218, batch=8, lr=1e-3, base_batch=64, weight_decay=5e-4, milestones=(153, 196), evaluate_every=10
)
SCHEDULE_VOC = SCHEDULE.replace(epochs=240, base_batch=32, milestones=(160, 200))

RECIPES = (
    row(
        name="pdold_ssd_vgg16_300",
        model=VGG300,
        data=SSD_COCO,
        schedule=SCHEDULE,
        published=Published(box_ap=25.1, fps=81.613),
        weights="https://paddlemodels.bj.bcebos.com/object_detection/ssd_vgg16_300.tar",
        config="release/0.2:configs/ssd/ssd_vgg16_300.yml",
    ),
    row(
        name="pdold_ssd_vgg16_512",
        model=VGG512,
        data=SSD_COCO,
        schedule=SCHEDULE,
        published=Published(box_ap=29.1, fps=46.007),
        weights="https://paddlemodels.bj.bcebos.com/object_detection/ssd_vgg16_512.tar",
        config="release/0.2:configs/ssd/ssd_vgg16_512.yml",
    ),
    row(
        name="pdold_ssd_vgg16_300_voc",
        model=VGG300_VOC,
        data=SSD_VOC,
        schedule=SCHEDULE_VOC,
        published=Published(box_ap=77.5, fps=117.279),
        weights="https://paddlemodels.bj.bcebos.com/object_detection/ssd_vgg16_300_voc.tar",
        config="release/0.2:configs/ssd/ssd_vgg16_300_voc.yml",
    ),
    row(
        name="pdold_ssd_vgg16_512_voc",
        model=VGG512,
        data=SSD_VOC,
        schedule=SCHEDULE_VOC,
        published=Published(box_ap=80.2, fps=65.975),
        weights="https://paddlemodels.bj.bcebos.com/object_detection/ssd_vgg16_512_voc.tar",
        config="release/0.2:configs/ssd/ssd_vgg16_512_voc.yml",
    ),
)
