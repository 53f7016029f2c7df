"""Which recipe each recorded case is, and what was changed when it was recorded."""

from __future__ import annotations

from dataclasses import dataclass

import detzoo
from detzoo.config import override
from detzoo.detector import Detector

# Everything is sampled, so that nothing is random; few proposals and detections are kept.
TWO_STAGE = (
    "rpn.samples=1000000",
    "rpn.positives=0.5",
    "rpn.train_candidates=200",
    "rpn.train_proposals=60",
    "rpn.candidates=200",
    "rpn.proposals=60",
    "box_head.samples=1000000",
    "box_head.positives=0.5",
    "box_head.detections=30",
)
PROPOSALS_ONLY = TWO_STAGE[:6]
GIVEN_PROPOSALS = TWO_STAGE[6:]
ONE_STAGE: tuple[str, ...] = ()
LOW_SCORES = ("head.threshold=0.001",)
NO_DROPOUT = ("encoder.dropout=0", "decoder.dropout=0")


@dataclass(frozen=True)
class Case:
    """A recipe of the zoo and the settings of its model that differ."""

    recipe: str
    changes: tuple[str, ...] = TWO_STAGE
    classes: int = 80

    def build(self) -> Detector:
        """The model with these changes, random weights."""
        recipe = override(detzoo.find(self.recipe), [f"model.{change}" for change in self.changes])
        return detzoo.build(recipe, classes=[f"class {index}" for index in range(self.classes)])


# random embeddings lie far apart
CORNERS = ("head.distance=100",)

CASES = {
    "atss_r50_fpn_1x_coco": Case("atss_r50_fpn_1x_coco", ONE_STAGE),
    "cornernet_hourglass104_10xb5-crop511-210e-mstest_coco": Case(
        "cornernet_hourglass104_mstest_10x5_210e_coco", CORNERS, classes=2
    ),
    "faster-rcnn_r50_fpn_1x_coco": Case("faster_rcnn_r50_fpn_1x_coco"),
    "faster-rcnn_r50-caffe_fpn_1x_coco": Case("faster_rcnn_r50_caffe_fpn_1x_coco"),
    "faster-rcnn_r50-caffe_fpn_ms-1x_coco-person": Case("faster_rcnn_r50_caffe_fpn_mstrain_1x_coco-person", classes=1),
    "faster-rcnn_r50_fpn_giou_1x_coco": Case("faster_rcnn_r50_fpn_giou_1x_coco"),
    # not in the published tables
    "faster-rcnn_r50_fpn_ciou_1x_coco": Case(
        "faster_rcnn_r50_fpn_giou_1x_coco",
        (*TWO_STAGE, "box_head.box_loss.kind=ciou", "box_head.box_loss.weight=12"),
    ),
    "faster-rcnn_r101-caffe_fpn_1x_coco": Case("faster_rcnn_r101_caffe_fpn_1x_coco"),
    "faster-rcnn_r101_fpn_1x_coco": Case("faster_rcnn_r101_fpn_1x_coco"),
    "faster-rcnn_r50-caffe_c4-1x_coco": Case("faster_rcnn_r50_caffe_c4_1x_coco"),
    "faster-rcnn_r50-caffe-dc5_1x_coco": Case("faster_rcnn_r50_caffe_dc5_1x_coco"),
    "faster-rcnn_r50_fpn_ohem_1x_coco": Case("faster_rcnn_r50_fpn_ohem_1x_coco"),
    "faster-rcnn_r50_fpn_soft-nms_1x_coco": Case("faster_rcnn_r50_fpn_soft_nms_1x_coco"),
    "fast-rcnn_r50_fpn_1x_coco": Case("fast_rcnn_r50_fpn_1x_coco", GIVEN_PROPOSALS),
    "fast-rcnn_r50-caffe_fpn_1x_coco": Case("fast_rcnn_r50_caffe_fpn_1x_coco", GIVEN_PROPOSALS),
    "mask-rcnn_r50-caffe-c4_1x_coco": Case("mask_rcnn_r50_caffe_c4_1x_coco"),
    "mask-rcnn_r50-caffe_fpn_1x_coco": Case("mask_rcnn_r50_caffe_fpn_1x_coco"),
    "mask-rcnn_r101-caffe_fpn_1x_coco": Case("mask_rcnn_r101_caffe_fpn_1x_coco"),
    "mask-rcnn_x101-32x4d_fpn_1x_coco": Case("mask_rcnn_x101_32x4d_fpn_1x_coco"),
    "mask-rcnn_x101-32x8d_fpn_1x_coco": Case("mask_rcnn_x101_32x8d_fpn_1x_coco"),
    "mask-rcnn_x101-64x4d_fpn_1x_coco": Case("mask_rcnn_x101_64x4d_fpn_1x_coco"),
    "cascade-rcnn_r50_fpn_1x_coco": Case("cascade_rcnn_r50_fpn_1x_coco"),
    "cascade-rcnn_r50-caffe_fpn_1x_coco": Case("cascade_rcnn_r50_caffe_fpn_1x_coco"),
    "cascade-rcnn_r101_fpn_1x_coco": Case("cascade_rcnn_r101_fpn_1x_coco"),
    "cascade-rcnn_x101-32x4d_fpn_1x_coco": Case("cascade_rcnn_x101_32x4d_fpn_1x_coco"),
    "cascade-rcnn_x101-64x4d_fpn_1x_coco": Case("cascade_rcnn_x101_64x4d_fpn_1x_coco"),
    "cascade-mask-rcnn_r50_fpn_1x_coco": Case("cascade_mask_rcnn_r50_fpn_1x_coco"),
    "cascade-mask-rcnn_r101_fpn_1x_coco": Case("cascade_mask_rcnn_r101_fpn_1x_coco"),
    "cascade-mask-rcnn_x101-32x4d_fpn_1x_coco": Case("cascade_mask_rcnn_x101_32x4d_fpn_1x_coco"),
    "faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco": Case("faster_rcnn_r50_fpn_dconv_c3-c5_1x_coco"),
    "faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco": Case("faster_rcnn_r50_fpn_mdconv_c3-c5_1x_coco"),
    "faster-rcnn_r50-mdconv-group4-c3-c5_fpn_1x_coco": Case("faster_rcnn_r50_fpn_mdconv_c3-c5_group4_1x_coco"),
    "faster-rcnn_x101-32x4d-dconv-c3-c5_fpn_1x_coco": Case("faster_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco"),
    "mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco": Case("mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco"),
    "mask-rcnn_r101-dconv-c3-c5_fpn_1x_coco": Case("mask_rcnn_r101_fpn_dconv_c3-c5_1x_coco"),
    "cascade-rcnn_r101-dconv-c3-c5_fpn_1x_coco": Case("cascade_rcnn_r101_fpn_dconv_c3-c5_1x_coco"),
    "cascade-mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco": Case("cascade_mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco"),
    "cascade-mask-rcnn_x101-32x4d-dconv-c3-c5_fpn_1x_coco": Case(
        "cascade_mask_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco"
    ),
    "rpn_r50_fpn_1x_coco": Case("rpn_r50_fpn_1x_coco", PROPOSALS_ONLY),
    "rpn_r50-caffe_fpn_1x_coco": Case("rpn_r50_caffe_fpn_1x_coco", PROPOSALS_ONLY),
    "rpn_r101_fpn_1x_coco": Case("rpn_r101_fpn_1x_coco", PROPOSALS_ONLY),
    "rpn_r101-caffe_fpn_1x_coco": Case("rpn_r101_caffe_fpn_1x_coco", PROPOSALS_ONLY),
    "retinanet_r50_fpn_1x_coco": Case("retinanet_r50_fpn_1x_coco", ONE_STAGE),
    "retinanet_r50-caffe_fpn_1x_coco": Case("retinanet_r50_caffe_fpn_1x_coco", ONE_STAGE),
    "retinanet_r101_fpn_1x_coco": Case("retinanet_r101_fpn_1x_coco", ONE_STAGE),
    "retinanet_r101-caffe_fpn_1x_coco": Case("retinanet_r101_caffe_fpn_1x_coco", ONE_STAGE),
    "fcos_r50-caffe_fpn_gn-head_1x_coco": Case("fcos_r50_caffe_fpn_gn-head_1x_coco", ONE_STAGE),
    "fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco": Case(
        "fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_1x_coco", ONE_STAGE
    ),
    "fcos_r101-caffe_fpn_gn-head-1x_coco": Case("fcos_r101_caffe_fpn_gn-head_1x_coco", ONE_STAGE),
    "fcos_x101-64x4d_fpn_gn-head_ms-640-800-2x_coco": Case(
        "fcos_x101_64x4d_fpn_gn-head_mstrain_640-800_2x_coco", ONE_STAGE
    ),
    "ssd300_coco": Case("ssd300_coco", LOW_SCORES),
    # not in the published tables; the same model for one class
    "ssd300_8xb32-24e_widerface": Case("ssd300_coco", LOW_SCORES, classes=1),
    "yolov3_d53_8xb8-320-273e_coco": Case("yolov3_d53_320_273e_coco", ONE_STAGE),
    "detr_r50_8xb2-150e_coco": Case("detr_r50_8x2_150e_coco", NO_DROPOUT),
}
