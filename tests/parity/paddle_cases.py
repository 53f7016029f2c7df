"""PaddleDetection's recorded cases: ``paddle/<case>`` of the dynamic-graph release, ``paddle/static/<case>`` before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detzoo.backbones.ghostnet import GhostNet
from detzoo.backbones.hrnet import HRNet
from detzoo.backbones.mobilenet_v3 import MobileNetV3
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.layers import Deform
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.roi_heads import MaskHead
from detzoo.blocks.yolo_loss import ByShape
from detzoo.config import flatten
from detzoo.interop.paddle.dense import PADDLE_FCOS_HEAD
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.fcos import FCOS
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.yolov3 import YOLOv3
from detzoo.necks.fpn import FPN
from detzoo.necks.hrfpn import HRFPN
from detzoo.necks.ssd import SSDNeck
from detzoo.recipes.columns import COCO, SCHEDULE_1X
from detzoo.recipes.paddle_columns import (
    PADDLE_R50,
    PADDLE_R50_VD,
    PADDLE_R101,
    PADDLE_R101_VD,
    STATIC_CASCADE_HEAD,
    STATIC_GN,
    paddle_cascade,
    paddle_dcn,
    paddle_faster,
    paddle_faster_c4,
    paddle_mask,
    static_cascade,
    static_cascade_mask,
    vd,
)
from detzoo.recipes.paddle_ssd import MOBILENET_VOC
from detzoo.recipes.paddle_static_pages import PADDLE_RES2NET50
from detzoo.recipes.paddle_static_two_stage import SE154_DCN
from detzoo.recipes.paddle_yolov3 import DARKNET, DARKNET_VOC, MOBILENET, R50VD_DCN, RESNET34
from detzoo.recipes.recipe import Model, Recipe
from tests.parity.case import Case

USUAL = 0.02  # least score of a detection, as most cases were recorded


@dataclass(frozen=True)
class PaddleCase(Case):
    """A case of PaddleDetection.

    Attributes:
        most: how many detections of an image were kept; None: as many as published.
    """

    most: int | None = 30

    def recorded(self, model: Model, threshold: float | None) -> dict[str, Any]:
        """What every recording changed: of two stages every anchor and RoI is used, and little is kept."""
        changes: dict[str, Any] = {}
        settings = flatten(model)
        least = USUAL if threshold is None else threshold
        for path, value in settings.items():
            part, _, name = path.rpartition(".")
            if name == "positives":
                changes[f"{part}.samples"] = 16384
            elif name in ("train_candidates", "candidates") and f"{part}.proposals" in settings:
                changes[path] = min(value, 200)
            elif name in ("train_proposals", "proposals"):
                changes[path] = min(value, 60)
            elif path == "box_head.detections":
                changes |= {path: 30, "box_head.threshold": least}
            elif path == "box_head.soft_nms.min_score":
                changes[path] = least
            elif path == "head.detections":
                changes[path] = self.most or value
            elif path == "head.candidates" and settings.get("head.last_pixel"):
                changes[path] = 200
            elif path == "neck.drop.kept":
                changes[path] = 1.0
        return changes


def _baseline(model: Model) -> Recipe:
    """A model whose published weights are in no table."""
    return Recipe(name="baseline", model=model, data=COCO, schedule=SCHEDULE_1X)


def cascade_mask(backbone: ResNet.Config) -> CascadeMaskRCNN.Config:
    """Cascade Mask R-CNN of the dynamic-graph release: one mask head, that learns with the first stage, undivided."""
    boxes = paddle_cascade(backbone)
    return CascadeMaskRCNN.Config(
        backbone=backbone,
        rpn=boxes.rpn,
        box_head=boxes.box_head,
        mask_head=MaskHead.Config(weight=3.0),
        one_mask_head=True,
        stages=boxes.stages,
        averaged=boxes.averaged,
        objects_once=True,
    )


R34 = PADDLE_R50.replace(depth=34)
FASTER = paddle_faster(PADDLE_R50_VD)
GIOU = BoxLoss(kind="giou", weight=10.0)
CIOU = BoxLoss(kind="ciou", weight=12.0)
CLASS_AWARE = {"box_head.class_agnostic": False, "box_head.by_best": True}
GN = {"neck.norm": "gn", "box_head.convs": 4, "box_head.fcs": 1, "box_head.norm": "gn", "mask_head.norm": "gn"}
UNALIGNED = {"box_head.extractor": {"kind": "unaligned"}}


def _yolo(model: YOLOv3.Config, classes: int | None = None, **ways: Any) -> PaddleCase:
    """YOLOv3 as the dynamic-graph release has it: neither smoothing nor suppression by pixels."""
    by_shape = ByShape(box_loss=ways.pop("box_loss", None), background=ways.pop("background", 0.7))
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
FCOS_R50 = PADDLE_R50.replace(**RETINA_STAGES)
FCOS_MODEL = FCOS.Config(
    backbone=FCOS_R50,
    neck=FPN.Config(extra="on_output", relu_before_extra=True),
    head=PADDLE_FCOS_HEAD.replace(
        in_strides=True, loss_in_strides=True, centerness_on_reg=True, threshold=0.025, nms=0.6
    ),
)
FCOS_DCN = FCOS_MODEL.replace(backbone=paddle_dcn(FCOS_R50), head=FCOS_MODEL.head.replace(deform=Deform(version=2)))
RETINA_X101 = ResNet.Config(depth=101, groups=64, base_width=4, stem="deep", avg_down=True, **RETINA_STAGES)
HRNET_W18 = HRNet.Config(width=18, norm_frozen=True, stopped=(0,))
HR_PYRAMID = HRFPN.Config(bias=False)
RES2NET50_VD = PADDLE_RES2NET50.replace(stem="deep")
RES2NET50_VD_DCN = RES2NET50_VD.replace(deform=Deform(version=2))
SE154_GN = static_cascade(SE154_DCN).replace(
    neck=FPN.Config(norm="gn"), box_head=STATIC_CASCADE_HEAD.replace(**STATIC_GN), shared_layers=True
)
SSD_MOBILENET = MOBILENET_VOC.replace(neck=MOBILENET_VOC.neck.replace(relu6=True))
LITE = {"spread": False, "first_mean": True, "kernel": 3, "separable": True, "biased": False, "inside": True}
SSDLITE_300 = SSD_MOBILENET.replace(
    head=SSD_MOBILENET.head.replace(sizes=(30, 60, 114, 168, 222, 276, 330), steps=(16, 32, 64, 100, 150, 300), **LITE)
)
SSDLITE_320 = SSDLITE_300.replace(
    neck=SSDNeck.Config(out_channels=(), steps=(), paddings=(), scale=None),
    head=SSDLITE_300.head.replace(sizes=(32, 64, 121.6, 179.2, 236.8, 294.4, 352), steps=(16, 32, 64, 107, 160, 320)),
)
LITE_MAPS = ((256, 512), (128, 256), (128, 256), (64, 128))
SSDLITE_V3 = SSDLITE_320.replace(
    backbone=MobileNetV3.Config(size="small", end_width=0.5, out_blocks=(9,), extra=LITE_MAPS, pad_same=True)
)
SSDLITE_GHOST = SSDLITE_320.replace(backbone=GhostNet.Config(width=1.3, out_blocks=(12,), extra=LITE_MAPS))
DIOU_VOC = DARKNET_VOC.head.replace(by_shape=ByShape(box_loss=BoxLoss(kind="diou", weight=5.0)))
SQUARE_IOU = BoxLoss(kind="square_iou", weight=2.5)
PADDLE: dict[str, Case] = {
    "paddle/faster_rcnn_r50_fpn_1x_coco": PaddleCase(_baseline(paddle_faster(PADDLE_R50))),
    "paddle/faster_rcnn_r50_fpn_1x_coco__head_verbatim": PaddleCase(_baseline(paddle_faster(PADDLE_R50)), UNALIGNED),
    "paddle/faster_rcnn_r50_1x_coco__head_verbatim": PaddleCase(_baseline(paddle_faster_c4(PADDLE_R50)), UNALIGNED),
    "paddle/faster_rcnn_r101_1x_coco": PaddleCase(_baseline(paddle_faster_c4(PADDLE_R101))),
    "paddle/faster_rcnn_r50_vd_1x_coco": PaddleCase(_baseline(paddle_faster_c4(PADDLE_R50_VD))),
    "paddle/faster_rcnn_r34_fpn_1x_coco": PaddleCase(_baseline(paddle_faster(R34))),
    "paddle/faster_rcnn_r34_vd_fpn_1x_coco": PaddleCase(_baseline(paddle_faster(vd(R34)))),
    "paddle/faster_rcnn_r50_vd_fpn_2x_coco": PaddleCase(_baseline(FASTER)),
    "paddle/faster_rcnn_r50_vd_fpn_ssld_1x_coco": PaddleCase(_baseline(FASTER)),
    "paddle/faster_rcnn_r101_vd_fpn_1x_coco": PaddleCase(_baseline(paddle_faster(PADDLE_R101_VD))),
    "paddle/faster_rcnn_r50_vd_fpn_giou_loss_1x": PaddleCase(
        _baseline(FASTER), {"box_head.box_loss": GIOU, "box_head.unit_boxes": True}
    ),
    "paddle/faster_rcnn_r50_vd_fpn_ciou_loss_1x": PaddleCase(
        _baseline(FASTER), {"box_head.box_loss": CIOU, "box_head.unit_boxes": True}
    ),
    "paddle/faster_rcnn_dcn_r50_fpn_1x_coco": PaddleCase("pd_faster_rcnn_dcn_r50_fpn_1x_coco"),
    "paddle/faster_rcnn_dcn_r101_vd_fpn_1x_coco": PaddleCase("pd_faster_rcnn_dcn_r101_vd_fpn_1x_coco"),
    "paddle/faster_rcnn_dcn_x101_vd_64x4d_fpn_1x_coco": PaddleCase("pd_faster_rcnn_dcn_x101_vd_64x4d_fpn_1x_coco"),
    "paddle/mask_rcnn_r50_1x_coco": PaddleCase("pd_mask_rcnn_r50_1x_coco"),
    "paddle/mask_rcnn_r50_fpn_1x_coco": PaddleCase("pd_mask_rcnn_r50_fpn_1x_coco"),
    "paddle/mask_rcnn_r50_fpn_gn_2x_coco": PaddleCase(_baseline(paddle_mask(PADDLE_R50)), GN),
    "paddle/mask_rcnn_r50_vd_fpn_1x_coco": PaddleCase("pd_mask_rcnn_r50_vd_fpn_1x_coco"),
    "paddle/mask_rcnn_r50_vd_fpn_ssld_1x_coco": PaddleCase("pd_mask_rcnn_r50_vd_fpn_1x_coco"),
    "paddle/mask_rcnn_r101_vd_fpn_1x_coco": PaddleCase("pd_mask_rcnn_r101_vd_fpn_1x_coco"),
    "paddle/mask_rcnn_x101_vd_64x4d_fpn_1x_coco": PaddleCase("pd_mask_rcnn_x101_vd_64x4d_fpn_1x_coco"),
    "paddle/mask_rcnn_dcn_r50_fpn_1x_coco": PaddleCase("pd_mask_rcnn_dcn_r50_fpn_1x_coco"),
    "paddle/mask_rcnn_dcn_r50_vd_fpn_2x_coco": PaddleCase("pd_mask_rcnn_dcn_r50_vd_fpn_2x_coco"),
    "paddle/mask_rcnn_dcn_x101_vd_64x4d_fpn_1x_coco": PaddleCase("pd_mask_rcnn_dcn_x101_vd_64x4d_fpn_1x_coco"),
    "paddle/faster_rcnn_hrnetv2p_w18_1x_coco": PaddleCase(_baseline(paddle_faster(HRNET_W18).replace(neck=HR_PYRAMID))),
    "paddle/faster_rcnn_res2net50_vb_26w_4s_fpn_1x_coco": PaddleCase(_baseline(paddle_faster(PADDLE_RES2NET50))),
    "paddle/mask_rcnn_res2net50_vd_26w_4s_fpn_2x_coco": PaddleCase(_baseline(paddle_mask(RES2NET50_VD))),
    "paddle/mask_rcnn_res2net50_vd_26w_4s_fpn_dcnv2_1x": PaddleCase(_baseline(paddle_mask(RES2NET50_VD_DCN))),
    "paddle/cascade_rcnn_r50_fpn_1x_coco": PaddleCase(_baseline(paddle_cascade(PADDLE_R50))),
    "paddle/cascade_rcnn_r50_vd_fpn_ssld_1x_coco": PaddleCase(_baseline(paddle_cascade(PADDLE_R50_VD))),
    "paddle/cascade_rcnn_dcn_r50_fpn_class_aware": PaddleCase("pd_cascade_rcnn_dcn_r50_fpn_1x_coco", CLASS_AWARE),
    "paddle/cascade_rcnn_dcn_r101_vd_fpn_1x": PaddleCase(_baseline(paddle_cascade(paddle_dcn(PADDLE_R101_VD)))),
    "paddle/cascade_rcnn_dcn_x101_vd_64x4d_fpn_1x_coco": PaddleCase("pd_cascade_rcnn_dcn_x101_vd_64x4d_fpn_1x_coco"),
    "paddle/cascade_mask_rcnn_r50_fpn_1x_coco": PaddleCase(_baseline(cascade_mask(PADDLE_R50))),
    "paddle/cascade_mask_rcnn_r50_vd_fpn_ssld_1x_coco": PaddleCase(_baseline(cascade_mask(PADDLE_R50_VD))),
    "paddle/cascade_mask_rcnn_r50_fpn_gn_2x_coco": PaddleCase(_baseline(cascade_mask(PADDLE_R50)), GN),
    "paddle/static/cascade_mask_rcnn_r50_fpn_1x": PaddleCase("pdold_cascade_mask_rcnn_r50_fpn_1x"),
    "paddle/static/cascade_mask_rcnn_r50_fpn_gn_2x": PaddleCase(_baseline(static_cascade_mask(PADDLE_R50, gn=True))),
    "paddle/static/cascade_rcnn_cbr200_vd_fpn_dcnv2_nonlocal_softnms": PaddleCase(
        "pdold_cascade_rcnn_cbr200_vd_fpn_dcnv2_nonlocal_softnms"
    ),
    "paddle/static/cascade_rcnn_cls_aware_r200_vd_fpn_dcnv2_nonlocal_softnms": PaddleCase(
        "pdold_cascade_rcnn_cls_aware_r200_vd_fpn_dcnv2_nonlocal_softnms"
    ),
    "paddle/static/cascade_rcnn_dcn_r101_vd_fpn_1x": PaddleCase("pdold_cascade_rcnn_dcn_r101_vd_fpn_1x"),
    "paddle/static/cascade_rcnn_dcn_r50_fpn_1x": PaddleCase("pdold_cascade_rcnn_dcn_r50_fpn_1x"),
    "paddle/static/cascade_rcnn_r50_fpn_1x": PaddleCase("pdold_cascade_rcnn_r50_fpn_1x"),
    "paddle/static/faster_rcnn_cbr50_vd_dual_fpn_1x": PaddleCase("pdold_faster_rcnn_cbr50_vd_dual_fpn_1x"),
    "paddle/static/faster_rcnn_dcn_r101_vd_fpn_1x": PaddleCase("pdold_faster_rcnn_dcn_r101_vd_fpn_1x"),
    "paddle/static/faster_rcnn_dcn_r50_fpn_1x": PaddleCase("pdold_faster_rcnn_dcn_r50_fpn_1x"),
    "paddle/static/faster_rcnn_dcn_x101_vd_64x4d_fpn_1x": PaddleCase("pdold_faster_rcnn_dcn_x101_vd_64x4d_fpn_1x"),
    "paddle/static/faster_rcnn_r101_1x": PaddleCase("pdold_faster_rcnn_r101_1x"),
    "paddle/static/faster_rcnn_r101_vd_fpn_1x": PaddleCase("pdold_faster_rcnn_r101_vd_fpn_1x"),
    "paddle/static/faster_rcnn_r50_1x": PaddleCase("pdold_faster_rcnn_r50_1x"),
    "paddle/static/faster_rcnn_r50_vd_1x": PaddleCase("pdold_faster_rcnn_r50_vd_1x"),
    "paddle/static/faster_rcnn_r50_fpn_1x": PaddleCase("pdold_faster_rcnn_r50_fpn_1x"),
    "paddle/static/faster_rcnn_r50_fpn_gn_2x": PaddleCase("pdold_faster_rcnn_r50_fpn_gn_2x"),
    "paddle/static/faster_rcnn_r50_vd_fpn_2x": PaddleCase("pdold_faster_rcnn_r50_vd_fpn_2x"),
    "paddle/static/faster_rcnn_r50_vd_fpn_diou_loss_1x": PaddleCase("pdold_faster_rcnn_r50_vd_fpn_diou_loss_1x"),
    "paddle/static/faster_rcnn_r50_vd_fpn_giou_loss_1x": PaddleCase("pdold_faster_rcnn_r50_vd_fpn_giou_loss_1x"),
    "paddle/static/faster_rcnn_x101_vd_64x4d_fpn_1x": PaddleCase("pdold_faster_rcnn_x101_vd_64x4d_fpn_1x"),
    "paddle/static/obj365_cascade_rcnn_cls_aware_r200_vd_fpn_dcnv2_nonlocal_softnms": PaddleCase(
        "pdold_cascade_rcnn_cls_aware_r200_vd_fpn_dcnv2_nonlocal_softnms",
        {"box_head.soft_nms.sigma": 0.15},
        classes=365,
    ),
    "paddle/static/obj365_cascade_rcnn_dcnv2_se154_vd_fpn_gn_cas": PaddleCase(_baseline(SE154_GN), classes=365),
    "paddle/static/mask_rcnn_dcn_r50_fpn_1x": PaddleCase("pdold_mask_rcnn_dcn_r50_fpn_1x"),
    "paddle/static/mask_rcnn_dcn_r50_vd_fpn_2x": PaddleCase("pdold_mask_rcnn_dcn_r50_vd_fpn_2x"),
    "paddle/static/mask_rcnn_dcn_x101_vd_64x4d_fpn_1x": PaddleCase("pdold_mask_rcnn_dcn_x101_vd_64x4d_fpn_1x"),
    "paddle/static/mask_rcnn_r101_vd_fpn_1x": PaddleCase("pdold_mask_rcnn_r101_vd_fpn_1x"),
    "paddle/static/mask_rcnn_r50_1x": PaddleCase("pdold_mask_rcnn_r50_1x"),
    "paddle/static/mask_rcnn_r50_fpn_1x": PaddleCase("pdold_mask_rcnn_r50_fpn_1x"),
    "paddle/static/mask_rcnn_r50_fpn_gn_2x": PaddleCase("pdold_mask_rcnn_r50_fpn_gn_2x"),
    "paddle/static/mask_rcnn_r50_vd_fpn_2x": PaddleCase("pdold_mask_rcnn_r50_vd_fpn_2x"),
    "paddle/static/mask_rcnn_x101_vd_64x4d_fpn_1x": PaddleCase("pdold_mask_rcnn_x101_vd_64x4d_fpn_1x"),
    "paddle/static/blazeface": PaddleCase("pdold_blazeface", most=None),
    "paddle/static/blazeface_nas": PaddleCase("pdold_blazeface_nas", most=None),
    "paddle/static/blazeface_nas_v2": PaddleCase("pdold_blazeface_nas_v2", most=None),
    "paddle/static/faceboxes": PaddleCase("pdold_faceboxes", most=None),
    "paddle/static/faceboxes_lite": PaddleCase("pdold_faceboxes_lite", most=None),
    "paddle/blazeface_1000e": PaddleCase("pd_blazeface_1000e"),
    "paddle/blazeface_fpn_ssh_1000e": PaddleCase("pd_blazeface_fpn_ssh_1000e"),
    "paddle/static/ssd_vgg16_300": PaddleCase("pdold_ssd_vgg16_300", most=None),
    "paddle/static/ssd_vgg16_300_voc": PaddleCase("pdold_ssd_vgg16_300_voc", most=None),
    "paddle/static/ssd_vgg16_512": PaddleCase("pdold_ssd_vgg16_512", most=None),
    "paddle/static/yolov3_darknet": PaddleCase("pdold_yolov3_darknet__s608"),
    "paddle/static/yolov3_darknet_voc": PaddleCase("pdold_yolov3_darknet_voc__s608"),
    "paddle/static/yolov3_darknet_voc_diouloss": PaddleCase(_baseline(DARKNET_VOC.replace(head=DIOU_VOC)), classes=20),
    "paddle/static/yolov3_mobilenet_v1_fruit": PaddleCase(_baseline(MOBILENET), classes=3),
    "paddle/static/yolov3_mobilenet_v1_voc": PaddleCase("pdold_yolov3_mobilenet_v1_voc__s608"),
    "paddle/static/yolov3_r34": PaddleCase("pdold_yolov3_r34__s608"),
    "paddle/static/yolov3_r50vd_dcn": PaddleCase("pdold_yolov3_r50vd_dcn"),
    "paddle/static/yolov3_r50vd_dcn_db_iouaware_obj365_pretrained_coco": PaddleCase(
        "pdold_yolov3_r50vd_dcn_db_iouaware_obj365_pretrained_coco"
    ),
    "paddle/static/yolov3_r50vd_dcn_db_iouloss_obj365_pretrained_coco": PaddleCase(
        "pdold_yolov3_r50vd_dcn_db_iouloss_obj365_pretrained_coco"
    ),
    "paddle/static/yolov3_r50vd_dcn_obj365_pretrained_coco": PaddleCase(
        "pdold_yolov3_r50vd_dcn_obj365_pretrained_coco"
    ),
    "paddle/retinanet_r50_fpn_1x_coco": PaddleCase(_baseline(RETINA)),
    "paddle/retinanet_x101_vd_64x4d_fpn_1x": PaddleCase(_baseline(RETINA.replace(backbone=RETINA_X101))),
    "paddle/ssd_mobilenet_v1_300_120e_voc": PaddleCase(_baseline(SSD_MOBILENET), classes=20),
    "paddle/ssdlite_ghostnet_320_coco": PaddleCase(_baseline(SSDLITE_GHOST)),
    "paddle/ssdlite_mobilenet_v1_300_coco": PaddleCase(_baseline(SSDLITE_300)),
    "paddle/ssdlite_mobilenet_v3_small_320_coco": PaddleCase(_baseline(SSDLITE_V3)),
    "paddle/static/faster_rcnn_hrnetv2p_w18_1x": PaddleCase("pdold_faster_rcnn_hrnetv2p_w18_1x"),
    "paddle/static/faster_rcnn_res2net50_vb_26w_4s_fpn_1x": PaddleCase("pdold_faster_rcnn_res2net50_vb_26w_4s_fpn_1x"),
    "paddle/static/mask_rcnn_res2net50_vb_26w_4s_fpn_2x": PaddleCase("pdold_mask_rcnn_res2net50_vb_26w_4s_fpn_2x"),
    "paddle/static/mask_rcnn_res2net50_vd_26w_4s_fpn_2x": PaddleCase("pdold_mask_rcnn_res2net50_vd_26w_4s_fpn_2x"),
    "paddle/static/mask_rcnn_res2net50_vd_26w_4s_fpn_dcnv2_1x": PaddleCase(
        "pdold_mask_rcnn_res2net50_vd_26w_4s_fpn_dcnv2_1x"
    ),
    "paddle/static/libra_rcnn_r50_vd_fpn_1x": PaddleCase("pdold_libra_rcnn_r50_vd_fpn_1x"),
    "paddle/static/libra_rcnn_r101_vd_fpn_1x": PaddleCase("pdold_libra_rcnn_r101_vd_fpn_1x"),
    "paddle/static/mask_rcnn_r50_vd_fpn_gcb_add_r16_2x": PaddleCase("pdold_mask_rcnn_r50_vd_fpn_gcb_add_r16_2x"),
    "paddle/fcos_r50_fpn_1x_coco": PaddleCase(_baseline(FCOS_MODEL)),
    "paddle/fcos_dcn_r50_fpn_1x_coco": PaddleCase(_baseline(FCOS_DCN)),
    "paddle/fcos_r50_fpn_iou_1x_coco": PaddleCase(_baseline(FCOS_MODEL), {"head.learns_iou": True}),
    "paddle/static/retinanet_r50_fpn_1x": PaddleCase("pdold_retinanet_r50_fpn_1x"),
    "paddle/static/retinanet_r101_fpn_1x": PaddleCase("pdold_retinanet_r101_fpn_1x"),
    "paddle/static/retinanet_x101_vd_64x4d_fpn_1x": PaddleCase("pdold_retinanet_x101_vd_64x4d_fpn_1x"),
    "paddle/ssd_vgg16_300_240e_voc": PaddleCase("pdold_ssd_vgg16_300_voc"),
    "paddle/yolov3_darknet53_270e_coco": _yolo(DARKNET),
    "paddle/yolov3_darknet53_270e_voc": _yolo(DARKNET, 20),
    "paddle/yolov3_darknet53_original_270e_coco": _yolo(DARKNET, background=0.5),
    "paddle/yolov3_mobilenet_v1_270e_coco": _yolo(MOBILENET),
    "paddle/yolov3_mobilenet_v1_270e_voc": _yolo(MOBILENET, 20),
    "paddle/yolov3_mobilenet_v3_large_270e_voc": _yolo(MOBILENET.replace(backbone=MobileNetV3.Config()), 20),
    "paddle/yolov3_r34_270e_coco": _yolo(RESNET34),
    "paddle/yolov3_r34_270e_voc": _yolo(RESNET34, 20),
    "paddle/yolov3_r50vd_dcn_iouloss": _yolo(R50VD_DCN, box_loss=SQUARE_IOU),
    "paddle/yolov3_r50vd_dcn_iouloss_iouaware": _yolo(R50VD_DCN, box_loss=SQUARE_IOU, iou_aware=0.4),
}
