"""YOLOv3 (arXiv:1804.02767) as PaddleDetection's static-graph releases have it, on COCO and on Pascal VOC.

Rows that end with ``__s608`` and the like are one set of weights, tested at several sizes. Pictures were mixed in all
but the last twenty epochs, and of every batch one size drawn, where here each picture draws its own. After
training on Objects365 it went on with cropped and flipped pictures alone.
"""

from __future__ import annotations

from typing import Any

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.darknet import Darknet
from detzoo.backbones.mobilenet_v1 import MobileNetV1
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.drop_block import DropBlock
from detzoo.blocks.layers import Deform
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.yolo_loss import ByShape
from detzoo.detector import Input
from detzoo.methods.yolov3 import YOLOv3
from detzoo.necks.yolo import YOLONeck
from detzoo.recipes.augment import Distort, Expand, Flip, IoUCrop, Mixup, Resize
from detzoo.recipes.columns import COCO, NO_NORM_DECAY, row, whole_detector
from detzoo.recipes.paddle_columns import STATIC_MODELS, static_dense
from detzoo.recipes.paddle_initial import paddle_init
from detzoo.recipes.pascal_voc import VOC
from detzoo.recipes.recipe import Published, Recipe
from detzoo.recipes.settings import ParamGroup, Schedule

PADDLE_YOLO_HEAD = YOLOv3.Head(
    by_shape=ByShape(), threshold=0.01, joint=True, candidates=3000, last_pixel=True, legacy=True
)
PIXELS = Input(short=608, long=608, keep_ratio=False, interpolation="bicubic")
# a slip of the published training, which divided numbers up to 255 as if they were up to 1
UNSCALED = PIXELS.replace(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def yolo(backbone: AnyBackbone, smoothing: bool = True) -> YOLOv3.Config:
    """YOLOv3 with this backbone; ``smoothing``: of labels."""
    head = PADDLE_YOLO_HEAD.replace(by_shape=ByShape(smoothing=smoothing))
    return YOLOv3.Config(input=PIXELS, backbone=backbone, head=head, follow_batches=True)


def tested_at(edge: int, trained: Recipe, box_ap: float, *, name: str) -> Recipe:
    """The row of the same weights for pictures of so many pixels in height and width."""
    model: Any = trained.model
    model = model.replace(input=model.input.replace(short=edge, long=edge))
    return trained.replace(name=name, model=model, published=Published(box_ap=box_ap))


def learning(ways: ByShape, iou_aware: float | None = None) -> YOLOv3.Config:
    """The model on ResNet50-vd-DCN with DropBlock, after training on Objects365."""
    head = PADDLE_YOLO_HEAD.replace(by_shape=ways, iou_aware=iou_aware)
    return R50VD_DCN.replace(input=UNSCALED, neck=YOLONeck.Config(drop=DropBlock.Config()), head=head)


D53 = Darknet.Config(norm_eval=False)
R34 = ResNet.Config(depth=34, out_stages=(2, 3, 4), project_first=True, frozen_stages=-1, norm_eval=False)
R50_VD = R34.replace(depth=50, stem="deep", avg_down=True, deform=Deform(version=2), deform_stages=(4,))
DARKNET, RESNET34, R50VD_DCN = yolo(D53), yolo(R34), yolo(R50_VD, smoothing=False)
MOBILENET, MOBILENET_VOC = yolo(MobileNetV1.Config()), yolo(MobileNetV1.Config(), smoothing=False)
DARKNET_VOC = yolo(D53, smoothing=False)
PAPER = DARKNET_VOC.replace(head=DARKNET_VOC.head.replace(by_shape=ByShape(background=0.5)))
RESNET34_VOC = yolo(R34, smoothing=False)
IOU_LOSS = ByShape(box_loss=BoxLoss(kind="square_iou", weight=2.5))

SIZES = tuple((edge, edge) for edge in range(320, 609, 32))
AUGMENT = (Mixup(epochs=250), Distort(), Expand(), IoUCrop(min_ious=(0.1, 0.3, 0.5, 0.7, 0.9)), Flip(), Resize())
YOLO_COCO = COCO.replace(augment=AUGMENT, sizes=SIZES, workers=4)
YOLO_VOC = VOC.replace(augment=AUGMENT, sizes=SIZES, workers=4, min_box=1.0, repeat=1)
SCHEDULE = Schedule(
    epochs=270,
    batch=8,
    lr=1e-3,
    base_batch=64,
    weight_decay=5e-4,
    groups=(*NO_NORM_DECAY, ParamGroup(pattern="^outputs", of="bias", weight_decay=0.0)),
    milestones=(216, 243),
    warmup_steps=4000,
    warmup_start=0.0,
    sync_bn=True,
    evaluate_every=10,
)
# after training on Objects365; 85,000 updates of 64 images are 46 epochs, and the 55,000 of the first such row 30
YOLO_ENHANCED = YOLO_COCO.replace(augment=AUGMENT[3:])
SCHEDULE_ENHANCED = SCHEDULE.replace(epochs=46, milestones=(30, 41))
SCHEDULE_VOC = SCHEDULE.replace(milestones=(212, 239), warmup_steps=1000)  # 70,000 updates, 55,000 and 62,000
# detectors of Objects365
OBJECTS365_FIRST = whole_detector(f"{STATIC_MODELS}/ResNet50_vd_obj365_pretrained.tar")
OBJECTS365 = whole_detector(f"{STATIC_MODELS}/ResNet50_vd_dcn_db_obj365_pretrained.tar")

PAPER_608 = row(
    name="pdold_yolov3_darknet_paper__s608",
    model=PAPER,
    data=YOLO_COCO.replace(augment=(Distort(), Expand(ratio=(1.0, 2.0)), *AUGMENT[3:])),
    schedule=SCHEDULE.replace(sync_bn=False),
    init=paddle_init(D53, static=True),
    published=Published(box_ap=33),
    config="configs/yolov3/yolov3_darknet53_original_270e_coco.yml",
)
DARKNET_608 = static_dense(DARKNET, YOLO_COCO, SCHEDULE, 38.9, name="pdold_yolov3_darknet__s608", fps=45.571)
MOBILENET_608 = static_dense(MOBILENET, YOLO_COCO, SCHEDULE, 29.3, name="pdold_yolov3_mobilenet_v1__s608", fps=78.302)
RESNET34_608 = static_dense(RESNET34, YOLO_COCO, SCHEDULE, 36.2, name="pdold_yolov3_r34__s608", fps=63.356)
DARKNET_VOC_608 = static_dense(
    DARKNET_VOC, YOLO_VOC, SCHEDULE_VOC, 83.5, name="pdold_yolov3_darknet_voc__s608", fps=54.977
)
MOBILENET_VOC_608 = static_dense(
    MOBILENET_VOC, YOLO_VOC, SCHEDULE_VOC, 76.2, name="pdold_yolov3_mobilenet_v1_voc__s608", fps=104.291
)
RESNET34_VOC_608 = static_dense(
    RESNET34_VOC, YOLO_VOC, SCHEDULE_VOC, 82.6, name="pdold_yolov3_r34_voc__s608", fps=82.247
)

RECIPES = (
    PAPER_608,
    tested_at(416, PAPER_608, 31, name="pdold_yolov3_darknet_paper__s416"),
    tested_at(320, PAPER_608, 28.2, name="pdold_yolov3_darknet_paper__s320"),
    DARKNET_608,
    tested_at(416, DARKNET_608, 37.5, name="pdold_yolov3_darknet__s416"),
    tested_at(320, DARKNET_608, 34.8, name="pdold_yolov3_darknet__s320"),
    MOBILENET_608,
    tested_at(416, MOBILENET_608, 29.3, name="pdold_yolov3_mobilenet_v1__s416"),
    tested_at(320, MOBILENET_608, 27.1, name="pdold_yolov3_mobilenet_v1__s320"),
    RESNET34_608,
    tested_at(416, RESNET34_608, 34.3, name="pdold_yolov3_r34__s416"),
    tested_at(320, RESNET34_608, 31.4, name="pdold_yolov3_r34__s320"),
    static_dense(R50VD_DCN, YOLO_COCO, SCHEDULE, 39.1, name="pdold_yolov3_r50vd_dcn"),
    static_dense(
        R50VD_DCN.replace(input=UNSCALED),
        YOLO_ENHANCED,
        SCHEDULE_ENHANCED.replace(epochs=30, milestones=(22, 27)),
        41.4,
        name="pdold_yolov3_r50vd_dcn_obj365_pretrained_coco",
        init=OBJECTS365_FIRST,
    ),
    static_dense(
        R50VD_DCN.replace(input=UNSCALED),
        YOLO_ENHANCED,
        SCHEDULE_ENHANCED,
        42.5,
        name="pdold_yolov3_r50vd_dcn_obj365_v2",
        fps=50.41,
        init=OBJECTS365,
    ).replace(config="release/0.2:configs/dcn/yolov3_r50vd_dcn_obj365_pretrained_coco.yml"),
    DARKNET_VOC_608,
    tested_at(416, DARKNET_VOC_608, 83.6, name="pdold_yolov3_darknet_voc__s416"),
    tested_at(320, DARKNET_VOC_608, 82.2, name="pdold_yolov3_darknet_voc__s320"),
    MOBILENET_VOC_608,
    tested_at(416, MOBILENET_VOC_608, 76.7, name="pdold_yolov3_mobilenet_v1_voc__s416"),
    tested_at(320, MOBILENET_VOC_608, 75.3, name="pdold_yolov3_mobilenet_v1_voc__s320"),
    RESNET34_VOC_608,
    tested_at(416, RESNET34_VOC_608, 81.9, name="pdold_yolov3_r34_voc__s416"),
    tested_at(320, RESNET34_VOC_608, 80.1, name="pdold_yolov3_r34_voc__s320"),
    static_dense(
        learning(ByShape()),
        YOLO_ENHANCED,
        SCHEDULE_ENHANCED,
        42.8,
        name="pdold_yolov3_r50vd_dcn_db_obj365_pretrained_coco",
        fps=49.97,
        weights="yolov3_r50vd_dcn_obj365_dropblock",
        init=OBJECTS365,
    ),
    static_dense(
        learning(IOU_LOSS),
        YOLO_ENHANCED,
        SCHEDULE_ENHANCED,
        43.2,
        name="pdold_yolov3_r50vd_dcn_db_iouloss_obj365_pretrained_coco",
        fps=49.91,
        weights="yolov3_r50vd_dcn_obj365_dropblock_iouloss",
        init=OBJECTS365,
    ),
    row(
        name="pdold_yolov3_r50vd_dcn_db_iouaware_obj365_pretrained_coco",
        model=learning(IOU_LOSS, iou_aware=0.4),
        data=YOLO_ENHANCED,
        schedule=SCHEDULE_ENHANCED,
        init=OBJECTS365,
        published=Published(box_ap=43.6, fps=48.19),
        weights="https://paddlemodels.bj.bcebos.com/object_detection/"
        "yolov3_r50vd_dcn_db_iouaware_obj365_pretrained_coco.pdparams",
        config="release/0.3:configs/dcn/yolov3_r50vd_dcn_db_iouaware_obj365_pretrained_coco.yml",
    ),
)
