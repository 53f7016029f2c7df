"""YOLOv3 (arXiv:1804.02767) on Darknet-53, for inputs of 320, 416 and 608 pixels.

Published boxes were evaluated as they came, some of them reaching out of their image.
"""

from __future__ import annotations

from detzoo.detector import Input
from detzoo.methods.yolov3 import YOLOv3
from detzoo.recipes.columns import COCO, YOLO_AUGMENT, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Schedule

UNIT = Input(mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))  # pixels from 0 to 1
D53 = YOLOv3.Config(input=UNIT.replace(short=608, long=608), head=YOLOv3.Head(clip=False))
D53_416 = D53.replace(input=UNIT.replace(short=416, long=416))
D53_320 = D53.replace(input=UNIT.replace(short=320, long=320))

YOLO_DATA = COCO.replace(augment=YOLO_AUGMENT, workers=4)
YOLO_SCHEDULE = Schedule(
    epochs=273,
    batch=8,
    lr=1e-3,
    base_batch=64,
    weight_decay=5e-4,
    milestones=(218, 246),
    warmup_steps=2000,
    warmup_start=0.1,
    clip_norm=35.0,
    evaluate_every=7,
)

RECIPES = (
    row(
        name="yolov3_d53_320_273e_coco",
        model=D53_320,
        data=YOLO_DATA,
        schedule=YOLO_SCHEDULE,
        published=Published(box_ap=27.9, memory_gb=2.7, fps=63.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/yolo/yolov3_d53_320_273e_coco/yolov3_d53_320_273e_coco-421362b6.pth",
        config="yolo/yolov3_d53_8xb8-320-273e_coco.py",
    ),
    row(
        name="yolov3_d53_mstrain-416_273e_coco",
        model=D53_416,
        data=YOLO_DATA.replace(sizes=((320, 320), (416, 416)), size_mode="range"),
        schedule=YOLO_SCHEDULE,
        published=Published(box_ap=30.9, memory_gb=3.8, fps=61.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/yolo/yolov3_d53_mstrain-416_273e_coco/yolov3_d53_mstrain-416_273e_coco-2b60fcd9.pth",
        config="yolo/yolov3_d53_8xb8-ms-416-273e_coco.py",
    ),
    row(
        name="yolov3_d53_mstrain-608_273e_coco",
        model=D53,
        data=YOLO_DATA.replace(sizes=((320, 320), (608, 608)), size_mode="range"),
        schedule=YOLO_SCHEDULE,
        published=Published(box_ap=33.4, memory_gb=7.1, fps=48.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/yolo/yolov3_d53_mstrain-608_273e_coco/yolov3_d53_mstrain-608_273e_coco-139f5633.pth",
        config="yolo/yolov3_d53_8xb8-ms-608-273e_coco.py",
    ),
)
