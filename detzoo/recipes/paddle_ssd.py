"""SSD (arXiv:1512.02325) as PaddleDetection's static-graph releases have it, on COCO and on Pascal VOC.

Milestones are in proportion to the epochs that the tables tell; 400,000 updates of COCO's are 218 epochs of 64 images.
A departure in MobileNet's training, which starts from a detector of COCO's: its last two steps were to two fifths and
to a tenth of the rate, not to half of it.
"""

from __future__ import annotations

from detzoo.backbones.mobilenet_v1 import MobileNetV1
from detzoo.detector import Input
from detzoo.methods.ssd import SSD
from detzoo.necks.ssd import SSDNeck
from detzoo.recipes.augment import Distort, Expand, Flip, IoUCrop, Resize
from detzoo.recipes.columns import COCO, NO_NORM_DECAY, whole_detector
from detzoo.recipes.paddle_columns import STATIC_MODELS, static_dense
from detzoo.recipes.pascal_voc import VOC
from detzoo.recipes.settings import ParamGroup, Schedule
from detzoo.recipes.ssd import SSD512

GREY = Input(short=300, long=300, keep_ratio=False, multiple=1, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0))
HEAD = SSD.Head(sizes=(30, 60, 111, 162, 213, 264, 315), mean_last=True, alone=0.01, threshold=0.01, clip=False)
VGG300 = SSD.Config(input=GREY, head=HEAD)
VGG300_VOC = VGG300.replace(head=HEAD.replace(mean_last=False))
VGG512 = SSD512.replace(
    input=GREY.replace(short=512, long=512),
    head=SSD512.head.replace(mean_last=True, alone=0.01, threshold=0.01, clip=False),
)
VGG512_VOC = VGG512.replace(input=VGG512.input.replace(mean=(123.0, 117.0, 104.0)))
# cells share the picture evenly, and the first map's hold no square of the mean size
MOBILENET_VOC = SSD.Config(
    input=GREY.replace(mean=(127.5, 127.5, 127.5), std=(127.502231, 127.502231, 127.502231)),
    backbone=MobileNetV1.Config(out_pairs=(11, 13)),
    neck=SSDNeck.Config(
        out_channels=(512, 256, 256, 128), steps=(2, 2, 2, 2), paddings=(1, 1, 1, 1), scale=None, norm="bn"
    ),
    head=HEAD.replace(
        sizes=(60, 105, 150, 195, 240, 285, 300),
        ratios=((2,), (2, 3), (2, 3), (2, 3), (2, 3), (2, 3)),
        spread=True,
        first_mean=False,
        kernel=1,
    ),
    follow_batches=True,
)

AUGMENT = (Distort(), Expand(), IoUCrop(), Resize(), Flip())
SSD_COCO = COCO.replace(augment=AUGMENT, group_by_aspect=False)
SSD_VOC = VOC.replace(augment=AUGMENT, group_by_aspect=False, min_box=1.0, repeat=1)
SCHEDULE = Schedule(
    epochs=218,
    batch=8,
    lr=1e-3,
    base_batch=64,
    weight_decay=5e-4,
    milestones=(153, 196),
    warmup_start=1 / 3,
    evaluate_every=10,
)
SCHEDULE_VOC = SCHEDULE.replace(epochs=240, base_batch=32, milestones=(160, 200))
SCHEDULE_MOBILENET = SCHEDULE.replace(
    epochs=120,
    batch=32,
    optimizer="rmsprop",
    momentum=0.0,
    weight_decay=5e-5,
    groups=(*NO_NORM_DECAY, ParamGroup(pattern="^(backbone|neck)", lr_scale=0.1)),
    milestones=(43, 64, 86, 107),
    gamma=0.5,
    warmup_steps=0,
)

RECIPES = (
    static_dense(VGG300, SSD_COCO, SCHEDULE, 25.1, name="pdold_ssd_vgg16_300", fps=81.613, folder="ssd/"),
    static_dense(VGG512, SSD_COCO, SCHEDULE, 29.1, name="pdold_ssd_vgg16_512", fps=46.007, folder="ssd/"),
    static_dense(
        MOBILENET_VOC,
        SSD_VOC,
        SCHEDULE_MOBILENET,
        73.2,
        name="pdold_ssd_mobilenet_v1_voc",
        fps=159.543,
        folder="ssd/",
        init=whole_detector(f"{STATIC_MODELS}/ssd_mobilenet_v1_coco_pretrained.tar"),
    ),
    static_dense(
        VGG300_VOC,
        SSD_VOC,
        SCHEDULE_VOC.replace(warmup_steps=0),
        77.5,
        name="pdold_ssd_vgg16_300_voc",
        fps=117.279,
        folder="ssd/",
    ),
    static_dense(VGG512_VOC, SSD_VOC, SCHEDULE_VOC, 80.2, name="pdold_ssd_vgg16_512_voc", fps=65.975, folder="ssd/"),
)
