"""Pascal VOC 2007 and 2012 trainval together, tested on 2007: ``box_ap`` is the 11-point AP at IoU 0.5."""

from __future__ import annotations

from detzoo.detector import Input
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.recipes.columns import row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Data, Schedule, Split

VOC_INPUT = Input(short=600, long=1000)
SCHEDULE_VOC = Schedule(epochs=4, milestones=(3,), lr=0.01, warmup_steps=0)

VOC = Data(
    kind="voc",
    root="data/VOCdevkit",
    train=(
        Split(annotations="VOC2007/ImageSets/Main/trainval.txt", images="VOC2007"),
        Split(annotations="VOC2012/ImageSets/Main/trainval.txt", images="VOC2012"),
    ),
    val=(Split(annotations="VOC2007/ImageSets/Main/test.txt", images="VOC2007"),),
    min_box=32.0,
    repeat=3,
    metric="voc07",
)

RECIPES = (
    row(
        name="faster_rcnn_r50_fpn_1x_voc0712",
        model=FasterRCNN.Config(input=VOC_INPUT),
        data=VOC,
        schedule=SCHEDULE_VOC,
        published=Published(box_ap=79.5, memory_gb=2.6),
        weights="http://download.openmmlab.com/mmdetection/v2.0/pascal_voc/faster_rcnn_r50_fpn_1x_voc0712/faster_rcnn_r50_fpn_1x_voc0712_20200624-c9895d40.pth",
        config="pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py",
    ),
    row(
        name="retinanet_r50_fpn_1x_voc0712",
        model=RetinaNet.Config(input=VOC_INPUT),
        data=VOC,
        schedule=SCHEDULE_VOC,
        published=Published(box_ap=77.3, memory_gb=2.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/pascal_voc/retinanet_r50_fpn_1x_voc0712/retinanet_r50_fpn_1x_voc0712_20200617-47cbdd0e.pth",
        config="pascal_voc/retinanet_r50_fpn_1x_voc0712.py",
    ),
)
