"""PaddleDetection's recorded cases: ``paddle/<case>`` of the dynamic-graph release, ``paddle/static/<case>`` before."""

from __future__ import annotations

from typing import Any

from detzoo.backbones.mobilenet_v3 import MobileNetV3
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.yolo_loss import ByShape
from detzoo.config import flatten
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.yolov3 import YOLOv3
from detzoo.necks.fpn import FPN
from detzoo.recipes.columns import COCO, SCHEDULE_1X
from detzoo.recipes.paddle_columns import PADDLE_BOX_HEAD, PADDLE_R50, PADDLE_RPN
from detzoo.recipes.paddle_ssd import MOBILENET_VOC
from detzoo.recipes.paddle_yolov3 import DARKNET, MOBILENET, R50VD_DCN, RESNET34
from detzoo.recipes.recipe import Model, Recipe
from tests.parity.case import Case


class PaddleCase(Case):
    """A case of PaddleDetection."""

    def recorded(self, model: Model, threshold: float | None) -> dict[str, Any]:
        """What every recording changed: of two stages every anchor and RoI is used, and little is kept."""
        changes: dict[str, Any] = {}
        settings = flatten(model)
        for path, value in settings.items():
            part, _, name = path.rpartition(".")
            if name == "positives":
                changes[f"{part}.samples"] = 16384
            elif name in ("train_candidates", "candidates") and f"{part}.proposals" in settings:
                changes[path] = min(value, 200)
            elif name in ("train_proposals", "proposals"):
                changes[path] = min(value, 60)
            elif path == "box_head.detections":
                changes |= {path: 30, "box_head.threshold": 0.02}
            elif path == "head.detections":
                changes[path] = 30
            elif path == "neck.drop.kept":
                changes[path] = 1.0
        return changes


def _baseline(model: Model) -> Recipe:
    """A model whose published weights are in no table."""
    return Recipe(name="baseline", model=model, data=COCO, schedule=SCHEDULE_1X)


FASTER = FasterRCNN.Config(backbone=PADDLE_R50, rpn=PADDLE_RPN, box_head=PADDLE_BOX_HEAD)


def _yolo(model: YOLOv3.Config, classes: int | None = None, **ways: Any) -> PaddleCase:
    """YOLOv3 as the dynamic-graph release has it: neither smoothing nor suppression by pixels."""
    by_shape = ByShape(box_loss=ways.pop("box_loss", None))
    head = model.head.replace(legacy=False, by_shape=by_shape, **ways)
    return PaddleCase(_baseline(model.replace(head=head)), classes=classes)


RETINA_STAGES: dict[str, Any] = {"out_stages": (2, 3, 4), "project_first": True, "norm_frozen": True}
RETINA = RetinaNet.Config(
    backbone=PADDLE_R50.replace(**RETINA_STAGES),
    neck=FPN.Config(extra="on_output", relu_before_extra=True),
    head=RetinaNet.Head(
        anchors=RetinaNet.Head().anchors.replace(ratios_first=False),
        clip=False,
        match=MatchConfig(positive=0.5, negative=0.4, low_quality=0.0, claims=False),
    ),
)
RETINA_X101 = ResNet.Config(depth=101, groups=64, base_width=4, stem="deep", avg_down=True, **RETINA_STAGES)
SQUARE_IOU = BoxLoss(kind="square_iou", weight=2.5)
PADDLE: dict[str, Case] = {
    "paddle/faster_rcnn_r50_fpn_1x_coco": PaddleCase(_baseline(FASTER)),
    "paddle/retinanet_r50_fpn_1x_coco": PaddleCase(_baseline(RETINA)),
    "paddle/retinanet_x101_vd_64x4d_fpn_1x": PaddleCase(_baseline(RETINA.replace(backbone=RETINA_X101))),
    "paddle/ssd_mobilenet_v1_300_120e_voc": PaddleCase(
        _baseline(MOBILENET_VOC.replace(neck=MOBILENET_VOC.neck.replace(relu6=True))), classes=20
    ),
    "paddle/ssd_vgg16_300_240e_voc": PaddleCase("pdold_ssd_vgg16_300_voc"),
    "paddle/yolov3_darknet53_270e_coco": _yolo(DARKNET),
    "paddle/yolov3_darknet53_270e_voc": _yolo(DARKNET, 20),
    "paddle/yolov3_darknet53_original_270e_coco": _yolo(DARKNET),
    "paddle/yolov3_mobilenet_v1_270e_coco": _yolo(MOBILENET),
    "paddle/yolov3_mobilenet_v1_270e_voc": _yolo(MOBILENET, 20),
    "paddle/yolov3_mobilenet_v3_large_270e_voc": _yolo(MOBILENET.replace(backbone=MobileNetV3.Config()), 20),
    "paddle/yolov3_r34_270e_coco": _yolo(RESNET34),
    "paddle/yolov3_r34_270e_voc": _yolo(RESNET34, 20),
    "paddle/yolov3_r50vd_dcn_iouloss": _yolo(R50VD_DCN, box_loss=SQUARE_IOU),
    "paddle/yolov3_r50vd_dcn_iouloss_iouaware": _yolo(R50VD_DCN, box_loss=SQUARE_IOU, iou_aware=0.4),
}
