"""Each architecture of PaddleDetection, of both kinds of releases, becomes the zoo's model, with weights that fit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

import detzoo
from detzoo.backbones.mobilenet_v1 import MobileNetV1
from detzoo.blocks.losses import BoxLoss, unit_box_loss
from detzoo.config import ConfigError, flatten
from detzoo.detector import Detector
from detzoo.interop.paddle.importer import read_config
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.pickles.machine import CheckpointError
from detzoo.recipes.paddle_columns import (
    PADDLE_R50,
    paddle_cascade,
    static_cascade,
    static_cascade_mask,
    static_class_aware,
)
from detzoo.recipes.paddle_ssd import MOBILENET_VOC
from detzoo.recipes.recipe import Model
from tests.paddle_configs import (
    FASTER_RCNN,
    FCOS,
    FCOS_DEFORMED,
    LITE,
    LITE_GHOST,
    LITE_V3,
    MASKS,
    SSD_MOBILENET,
    STATIC_HRNET,
    STATIC_LIBRA,
    STATIC_RES2NET,
    STATIC_SSD,
    small,
)
from tests.paddle_files import pdparams, static
from tests.parity.paddle_cases import (
    FCOS_DCN,
    FCOS_MODEL,
    GN,
    RETINA,
    SSDLITE_300,
    SSDLITE_GHOST,
    SSDLITE_V3,
    cascade_mask,
)
from tests.published_paddle import paddle_rows, parameters_of
from tests.test_paddle_import import THEIRS
from tests.tiny import images, targets, tiny
from tests.zoo import parameters

CASCADE = """
architecture: CascadeRCNN
CascadeRCNN: {backbone: ResNet, neck: FPN, rpn_head: RPNHead, bbox_head: CascadeHead}
RPNHead:
  train_proposal: {min_size: 0.0, nms_thresh: 0.7, pre_nms_top_n: 2000, post_nms_top_n: 2000}
CascadeHead:
  head: CascadeTwoFCHead
  roi_extractor: {resolution: 7, sampling_ratio: 0, aligned: True}
  bbox_assigner: BBoxAssigner
BBoxAssigner: {cascade_iou: [0.5, 0.6, 0.7]}
CascadeTwoFCHead: {out_channel: 1024}
BBoxPostProcess: {decode: {name: RCNNBox, prior_box_var: [30.0, 30.0, 15.0, 15.0]}}
"""
CASCADE_MASKS = """
CascadeRCNN: {mask_head: MaskHead, mask_post_process: MaskPostProcess}
"""
WITH_GN = """
FPN: {norm_type: gn}
CascadeHead: {head: CascadeXConvNormHead}
CascadeXConvNormHead: {num_convs: 4, out_channel: 1024, norm_type: gn}
MaskFeat: {norm_type: gn}
"""
DCN = "ResNet: {dcn_v2_stages: [1, 2, 3]}"
RETINANET = """
architecture: RetinaNet
num_classes: 80
RetinaNet: {backbone: ResNet, neck: FPN, head: RetinaHead}
ResNet: {depth: 50, variant: b, norm_type: bn, freeze_at: 0, return_idx: [1, 2, 3], num_stages: 4}
FPN: {out_channel: 256, spatial_scales: [0.125, 0.0625, 0.03125], extra_stage: 2, has_extra_convs: true, use_c5: false}
RetinaHead:
  conv_feat: {name: RetinaFeat, feat_in: 256, feat_out: 256, num_convs: 4, norm_type: null, use_dcn: false}
  anchor_generator:
    name: RetinaAnchorGenerator
    octave_base_scale: 4
    scales_per_octave: 3
    aspect_ratios: [0.5, 1.0, 2.0]
    strides: [8.0, 16.0, 32.0, 64.0, 128.0]
  bbox_assigner: {name: MaxIoUAssigner, positive_overlap: 0.5, negative_overlap: 0.4, allow_low_quality: true}
  loss_class: {name: FocalLoss, gamma: 2.0, alpha: 0.25, loss_weight: 1.0}
  loss_bbox: {name: SmoothL1Loss, beta: 0.0, loss_weight: 1.0}
  nms: {name: MultiClassNMS, nms_top_k: 1000, keep_top_k: 100, score_threshold: 0.05, nms_threshold: 0.5}
"""
STATIC_RETINANET = """
architecture: RetinaNet
num_classes: 81
RetinaNet: {backbone: ResNet, fpn: FPN, retina_head: RetinaHead}
ResNet: {norm_type: affine_channel, norm_decay: 0., depth: 50, feature_maps: [3, 4, 5], freeze_at: 2}
FPN: {max_level: 7, min_level: 3, num_chan: 256, spatial_scale: [0.03125, 0.0625, 0.125], has_extra_convs: true}
RetinaHead:
  num_convs_per_octave: 4
  num_chan: 256
  max_level: 7
  min_level: 3
  prior_prob: 0.01
  base_scale: 4
  num_scales_per_octave: 3
  anchor_generator: {aspect_ratios: [1.0, 2.0, 0.5], variance: [1.0, 1.0, 1.0, 1.0]}
  target_assign: {positive_overlap: 0.5, negative_overlap: 0.4}
  gamma: 2.0
  alpha: 0.25
  sigma: 3.0151134457776365
  output_decoder: {score_thresh: 0.05, nms_thresh: 0.5, pre_nms_top_n: 1000, detections_per_im: 100, nms_eta: 1.0}
"""
STATIC_FASTER = """
architecture: FasterRCNN
num_classes: 81
FasterRCNN: {backbone: ResNet, fpn: FPN, rpn_head: FPNRPNHead, roi_extractor: FPNRoIAlign, bbox_head: BBoxHead,
  bbox_assigner: BBoxAssigner}
ResNet: {norm_type: affine_channel, depth: 50, feature_maps: [2, 3, 4, 5], freeze_at: 2}
FPN: {min_level: 2, max_level: 6, num_chan: 256, spatial_scale: [0.03125, 0.0625, 0.125, 0.25]}
FPNRPNHead:
  anchor_generator: {anchor_sizes: [32, 64, 128, 256, 512], aspect_ratios: [0.5, 1.0, 2.0], stride: [16.0, 16.0],
    variance: [1.0, 1.0, 1.0, 1.0]}
  anchor_start_size: 32
  min_level: 2
  max_level: 6
  num_chan: 256
  rpn_target_assign: {rpn_batch_size_per_im: 256, rpn_fg_fraction: 0.5, rpn_positive_overlap: 0.7,
    rpn_negative_overlap: 0.3, rpn_straddle_thresh: 0.0}
  train_proposal: {min_size: 0.0, nms_thresh: 0.7, pre_nms_top_n: 2000, post_nms_top_n: 2000}
  test_proposal: {min_size: 0.0, nms_thresh: 0.7, pre_nms_top_n: 1000, post_nms_top_n: 1000}
FPNRoIAlign: {canconical_level: 4, canonical_size: 224, min_level: 2, max_level: 5, box_resolution: 7,
  sampling_ratio: 2, mask_resolution: 14}
BBoxAssigner: {batch_size_per_im: 512, bbox_reg_weights: [0.1, 0.1, 0.2, 0.2], bg_thresh_lo: 0.0, bg_thresh_hi: 0.5,
  fg_fraction: 0.25, fg_thresh: 0.5}
BBoxHead: {head: TwoFCHead, nms: {keep_top_k: 100, nms_threshold: 0.5, score_threshold: 0.05}}
TwoFCHead: {mlp_dim: 1024}
MaskHead: {dilation: 1, conv_dim: 256, num_convs: 4, resolution: 28}
MaskAssigner: {resolution: 28}
"""
STATIC_MASK = """
architecture: MaskRCNN
MaskRCNN: {backbone: ResNet, fpn: FPN, rpn_head: FPNRPNHead, roi_extractor: FPNRoIAlign, bbox_head: BBoxHead,
  bbox_assigner: BBoxAssigner, mask_assigner: MaskAssigner, mask_head: MaskHead}
FPN: {norm_type: gn}
MaskHead: {norm_type: gn}
BBoxHead: {head: XConvNormHead}
XConvNormHead: {norm_type: gn}
"""
STATIC_CASCADE = """
architecture: CascadeRCNN
CascadeRCNN: &slots {backbone: ResNet, fpn: FPN, rpn_head: FPNRPNHead, roi_extractor: FPNRoIAlign,
  bbox_head: CascadeBBoxHead, bbox_assigner: CascadeBBoxAssigner}
CascadeMaskRCNN: *slots
CascadeBBoxAssigner: {batch_size_per_im: 512, bbox_reg_weights: [10, 20, 30], bg_thresh_lo: [0.0, 0.0, 0.0],
  bg_thresh_hi: [0.5, 0.6, 0.7], fg_thresh: [0.5, 0.6, 0.7], fg_fraction: 0.25}
CascadeBBoxHead: {head: CascadeTwoFCHead, nms: {keep_top_k: 100, nms_threshold: 0.5, score_threshold: 0.05}}
CascadeTwoFCHead: {mlp_dim: 1024}
"""
CASCADE_MASK = "architecture: CascadeMaskRCNN"
SHARED_CONVS = """
FPN: {norm_type: gn}
MaskHead: {norm_type: gn}
CascadeBBoxHead: {head: CascadeXConvNormHead}
CascadeXConvNormHead: {norm_type: gn}
"""
STATIC_C4 = """
FasterRCNN: &slots {backbone: ResNet, fpn: null, rpn_head: RPNHead, roi_extractor: RoIAlign, bbox_head: BBoxHead}
MaskRCNN: *slots
ResNet: {feature_maps: 4, variant: d}
ResNetC5: {depth: 50, norm_type: affine_channel, variant: d}
RPNHead:
  train_proposal: {min_size: 0.0, nms_thresh: 0.7, pre_nms_top_n: 12000, post_nms_top_n: 2000}
  test_proposal: {min_size: 0.0, nms_thresh: 0.7, pre_nms_top_n: 6000, post_nms_top_n: 1000}
RoIAlign: {resolution: 14, sampling_ratio: 0, spatial_scale: 0.0625}
BBoxHead: {head: ResNetC5}
"""
STATIC_C4_MASK = """
architecture: MaskRCNN
ResNet: {variant: b}
ResNetC5: {variant: b}
MaskHead: {num_convs: 0, resolution: 14}
MaskAssigner: {resolution: 14}
"""
SOFT = """
CascadeBBoxHead: {nms: MultiClassSoftNMS}
MultiClassSoftNMS: {score_threshold: 0.001, keep_top_k: 300, softnms_sigma: 0.15}
"""
SOFTENED = {
    "box_head.soft_nms": {"method": "gaussian", "sigma": 0.15, "min_score": 0.001},
    **{"box_head.threshold": 0.001, "box_head.detections": 300},
}
CLASS_AWARE = """
architecture: CascadeRCNNClsAware
CascadeRCNNClsAware: {backbone: ResNet, fpn: FPN, rpn_head: FPNRPNHead, roi_extractor: FPNRoIAlign,
  bbox_head: CascadeBBoxHead, bbox_assigner: CascadeBBoxAssigner}
CascadeBBoxAssigner: {class_aware: true}
FPNRoIAlign: {box_resolution: 14}
"""
STATIC_DCN = "ResNet: {norm_type: bn, dcn_v2_stages: [3, 4, 5]}"
# what is read, and the recipe or the settings that it gives
CASES: dict[str, tuple[tuple[str, ...], str | Callable[[], Model]]] = {
    "cascade": ((FASTER_RCNN, CASCADE), lambda: paddle_cascade(PADDLE_R50)),
    "cascade, deformed": ((FASTER_RCNN, CASCADE, DCN), "pd_cascade_rcnn_dcn_r50_fpn_1x_coco"),
    "cascade, masks": ((FASTER_RCNN, MASKS, CASCADE, CASCADE_MASKS), lambda: cascade_mask(PADDLE_R50)),
    "cascade, masks, gn": (
        (FASTER_RCNN, MASKS, CASCADE, CASCADE_MASKS, WITH_GN),
        lambda: _changed(cascade_mask(PADDLE_R50), GN),
    ),
    "cascade, class-aware": (
        (FASTER_RCNN, CASCADE, "CascadeHead: {reg_class_agnostic: false}"),
        lambda: _changed(paddle_cascade(PADDLE_R50), {"box_head.class_agnostic": False, "box_head.by_best": True}),
    ),
    "retinanet": ((RETINANET,), lambda: RETINA),
    "fcos": ((FCOS,), lambda: FCOS_MODEL),
    "fcos, deformed": ((FCOS, FCOS_DEFORMED), lambda: FCOS_DCN),
    "fcos, iou": (
        (FCOS, "FCOSHead: {fcos_loss: {quality: iou}}"),
        lambda: _changed(FCOS_MODEL, {"head.learns_iou": True}),
    ),
    "ssd on mobilenet": (
        (SSD_MOBILENET,),
        lambda: MOBILENET_VOC.replace(neck=MOBILENET_VOC.neck.replace(relu6=True)),
    ),
    "ssdlite on mobilenet": ((SSD_MOBILENET, LITE), lambda: SSDLITE_300),
    "ssdlite on mobilenet v3": ((SSD_MOBILENET, LITE, LITE_V3), lambda: SSDLITE_V3),
    "ssdlite on ghostnet": ((SSD_MOBILENET, LITE, LITE_GHOST), lambda: SSDLITE_GHOST),
    "static ssd": ((STATIC_SSD,), "pdold_ssd_mobilenet_v1_voc"),
    "static retinanet": ((STATIC_RETINANET,), "pdold_retinanet_r50_fpn_1x"),
    "static faster": ((STATIC_FASTER,), "pdold_faster_rcnn_r50_fpn_1x"),
    "static libra": ((STATIC_FASTER, STATIC_LIBRA), "pdold_libra_rcnn_r50_vd_fpn_1x"),
    "static hrnet": ((STATIC_FASTER, STATIC_HRNET), "pdold_faster_rcnn_hrnetv2p_w18_1x"),
    "static res2net": ((STATIC_FASTER, STATIC_RES2NET), "pdold_faster_rcnn_res2net50_vb_26w_4s_fpn_1x"),
    "static mask, gn": ((STATIC_FASTER, STATIC_MASK), "pdold_mask_rcnn_r50_fpn_gn_2x"),
    "static c4, vd": ((STATIC_FASTER, STATIC_C4), "pdold_faster_rcnn_r50_vd_1x"),
    "static c4, masks": ((STATIC_FASTER, STATIC_C4, STATIC_C4_MASK), "pdold_mask_rcnn_r50_1x"),
    "static cascade": ((STATIC_FASTER, STATIC_CASCADE), "pdold_cascade_rcnn_r50_fpn_1x"),
    "static cascade, deformed": ((STATIC_FASTER, STATIC_CASCADE, STATIC_DCN), "pdold_cascade_rcnn_dcn_r50_fpn_1x"),
    "static cascade, class-aware": (
        (STATIC_FASTER, STATIC_CASCADE, CLASS_AWARE),
        lambda: static_class_aware(PADDLE_R50),
    ),
    "static cascade, soft": (
        (STATIC_FASTER, STATIC_CASCADE, SOFT),
        lambda: _changed(static_cascade(PADDLE_R50), SOFTENED),
    ),
    "static cascade, masks": ((STATIC_FASTER, STATIC_CASCADE, CASCADE_MASK), "pdold_cascade_mask_rcnn_r50_fpn_1x"),
    "static cascade, masks, gn": (
        (STATIC_FASTER, STATIC_CASCADE, CASCADE_MASK, SHARED_CONVS),
        lambda: _changed(static_cascade_mask(PADDLE_R50), {**GN, "shared_layers": True}),
    ),
}


def _changed(model: Model, changes: dict[str, Any]) -> Model:
    return type(model).model_validate(_nested(flatten(model) | changes, model.model_dump()))


def _nested(flat: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """Settings in each other from settings by their paths."""
    found = dict(like)
    for path, value in flat.items():
        *owners, leaf = path.split(".")
        place: Any = found
        for owner in owners:
            place = place[int(owner)] if isinstance(place, list | tuple) else place[owner]
        if isinstance(place, dict):
            place[leaf] = value
    return found


def merged(*texts: str) -> dict[str, Any]:
    """YAML texts, each over those before it."""

    def over(below: Any, above: Any) -> Any:
        if not isinstance(below, dict) or not isinstance(above, dict):
            return above
        return {**below, **{key: over(below.get(key), value) for key, value in above.items()}}

    values: dict[str, Any] = {}
    for text in texts:
        values = over(values, yaml.safe_load(text))
    return values


def _names(values: dict[str, Any]) -> list[str]:
    background = "fpn" in values.get(values["architecture"], {}) or "multi_box_head" in values[values["architecture"]]
    return [f"class {n}" for n in range(values.get("num_classes", 80) - background)]


@pytest.mark.parametrize("name", CASES)
def test_settings_are_those_of_the_zoo(name: str) -> None:
    texts, wanted = CASES[name]
    values = merged(*texts)
    imported = read_config(values, classes=_names(values))
    expected = detzoo.find(wanted).model if isinstance(wanted, str) else wanted()
    found, usual = flatten(imported.recipe.model), flatten(expected)
    other = {key for key in found.keys() | usual.keys() if found.get(key) != usual.get(key)}
    assert {key: (found.get(key), usual.get(key)) for key in other if not key.startswith("input.")} == {}
    assert not imported.notes


def test_which_rows_resize_bicubically() -> None:
    for row in paddle_rows():
        cubic = "yolov3" in row.name or ("rcnn" in row.name and row.name.startswith("pd_"))
        assert detzoo.find(row.name).model.input.interpolation == ("bicubic" if cubic else "bilinear"), row.name


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("static retinanet", "pdold_retinanet_r50_fpn_1x"),
        ("static c4, vd", "pdold_faster_rcnn_r50_vd_1x"),
        ("static c4, masks", "pdold_mask_rcnn_r50_1x"),
        ("static mask, gn", "pdold_mask_rcnn_r50_fpn_gn_2x"),
        ("static cascade, deformed", "pdold_cascade_rcnn_dcn_r50_fpn_1x"),
        ("static cascade, masks", "pdold_cascade_mask_rcnn_r50_fpn_1x"),
    ],
)
def test_weights_that_are_recorded_fit(name: str, row: str) -> None:
    values = merged(*CASES[name][0])
    recipe = read_config(values, classes=_names(values)).recipe
    shapes = parameters_of(next(given for given in paddle_rows() if given.name == row))
    assert shapes
    assert parameters(recipe, shapes, of_paddle=True) == "yes"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("cascade", "CascadeHead: {surprise: 1}", "surprise=1 is not known"),
        ("cascade", "CascadeHead: {num_cascade_stages: 2}", "num_cascade_stages=2 has no counterpart; 3 has"),
        ("cascade", "CascadeHead: {add_gt_as_proposals: [true, true, true]}", "add_gt_as_proposals"),
        ("cascade", "CascadeHead: {bbox_weight: 3}", "bbox_weight must be a list of 1 to 64 items, not 3"),
        ("cascade", "BBoxPostProcess: {decode: {prior_box_var: [10., 10., 5., 5.]}}", "prior_box_var=[10.0, 10.0, 5.0"),
        ("cascade", "CascadeHead: {bbox_weight: [[0, 1, 1, 1], [1, 1, 1, 1], [30, 30, 15, 15]]}", "positive numbers"),
        ("cascade", "CascadeRCNN: {neck: null}", "neck=None is missing; a cascade here has one"),
        ("retinanet", "RetinaHead: {conv_feat: {use_dcn: true}}", "use_dcn=True has no counterpart"),
        ("retinanet", "RetinaHead: {anchor_generator: {offset: 0.5}}", "offset=0.5 has no counterpart"),
        ("retinanet", "RetinaHead: {nms: {normalized: false}}", "normalized=False has no counterpart"),
        ("fcos", "FCOSHead: {sqrt_score: true}", "sqrt_score=True has no counterpart"),
        ("fcos", "FCOSHead: {fpn_stride: [8, 16, 32]}", "fpn_stride=[8, 16, 32] has no counterpart"),
        ("ssd on mobilenet", "MobileNet: {with_extra_blocks: false}", "with_extra_blocks=False has no counterpart"),
        ("ssd on mobilenet", "MobileNet: {extra_block_filters: [[200, 512]]}", "extra_block_filters"),
        ("ssd on mobilenet", "SSDHead: {padding: 1}", "padding=1 has no counterpart; 0 has"),
        ("ssd on mobilenet", "MobileNet: {extra_block_filters: 3}", "extra_block_filters"),
        ("ssd on mobilenet", "SSDHead: {use_extra_head: true}", "use_extra_head=True has no counterpart"),
        ("ssdlite on mobilenet", "SSDHead: {anchor_generator: {max_ratio: 20}}", "aspect_ratios"),
        ("static retinanet", "RetinaHead: {sigma: 0}", "sigma must be positive numbers"),
        ("static cascade", "CascadeBBoxAssigner: {bbox_reg_weights: [0, 1, 2]}", "must be positive numbers"),
        ("static ssd", "MultiBoxHead: {max_sizes: [[]]}", "max_sizes"),
        ("static ssd", "MultiBoxHead: {max_sizes: [[], 151., 195., 240., 285., 300.]}", "max_sizes"),
        ("static retinanet", "RetinaHead: {max_level: 6}", "max_level=6 has no counterpart; 7 has"),
        ("static retinanet", "RetinaHead: {output_decoder: {nms_eta: 0.9}}", "nms_eta=0.9 has no counterpart"),
        ("static faster", "FPNRPNHead: {max_level: 5}", "max_level=5 has no counterpart; 6 has"),
        ("static faster", "FPNRPNHead: {test_proposal: {min_size: 4}}", "min_size=4 has no counterpart"),
        ("static faster", "FPNRoIAlign: {canonical_size: 112}", "canonical_size=112 has no counterpart"),
        ("static faster", "BBoxHead: {nms: {normalized: true}}", "normalized=True has no counterpart"),
        ("static faster", "BBoxHead: {nms: MatrixNMS}", "'MatrixNMS' is not known here"),
        ("static faster", "FasterRCNN: {rpn_only: true}", "rpn_only=True has no counterpart"),
        ("static mask, gn", "MaskHead: {resolution: 14}", "resolution=14 has no counterpart; 28, twice"),
        ("static c4, vd", "ResNetC5: {depth: 101}", "depth=101 has no counterpart; 50 has"),
        ("static c4, vd", "ResNetC5: {variant: a}", "variant='a' has no counterpart"),
        ("static c4, masks", "ResNetC5: {variant: d}", "variant='d' has no counterpart"),
        ("static cascade", "CascadeBBoxAssigner: {class_aware: true}", "class_aware=True has no counterpart"),
        ("static cascade, class-aware", "CascadeBBoxAssigner: {class_aware: false}", "class_aware=False has no"),
        ("static faster", "architecture: PPYOLO\nPPYOLO: {backbone: ResNet}", "cannot be imported"),
    ],
)
def test_what_changes_results_is_refused(name: str, change: str, message: str) -> None:
    values = merged(*CASES[name][0], change)
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_config(values, classes=_names(merged(*CASES[name][0])))


def test_losses_around_a_unit_box_are_read() -> None:
    for kind, more, row in (
        ("GiouLoss", "", "pdold_faster_rcnn_r50_vd_fpn_giou_loss_1x"),
        (
            "DiouLoss",
            "DiouLoss: {loss_weight: 12.0, use_complete_iou_loss: false}",
            "pdold_faster_rcnn_r50_vd_fpn_diou_loss_1x",
        ),
        ("DiouLoss", "DiouLoss: {loss_weight: 12.0}", "pdold_faster_rcnn_r50_vd_fpn_ciou_loss_1x"),
    ):
        values = merged(*CASES["static faster"][0], f"BBoxHead: {{bbox_loss: {kind}}}", *([more] if more else []))
        imported = read_config(values, classes=_names(values))
        expected: Any = detzoo.find(row).model
        found: Any = imported.recipe.model
        assert found.box_head == expected.box_head
        assert not imported.notes
    values = merged(*CASES["static faster"][0], "BBoxHead: {bbox_loss: IouLoss}")
    assert read_config(values, classes=_names(values)).notes == ("BBoxHead.bbox_loss='IouLoss' is not taken over",)


def test_losses_around_a_unit_box_are_sums_in_static_releases() -> None:
    moves, wanted = torch.tensor([[1.0, -2.0, 1.5, 2.0], [9.0, 0.0, -5.0, 2.5]]), torch.zeros(2, 4)
    found = unit_box_loss(moves, wanted, torch.tensor([True, True]), BoxLoss(kind="ciou", aspect_above=-1), None)
    total = 0.0
    for x, y, w, h in (moves * torch.tensor([0.1, 0.1, 0.2, 0.2])).tolist():
        width, height = math.exp(w), math.exp(h)
        x1, y1, x2, y2 = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        common = max(0.0, min(x2, 0.5) - max(x1, -0.5)) * max(0.0, min(y2, 0.5) - max(y1, -0.5))
        iou = common / (width * height + 1 - common)
        across = (max(x2, 0.5) - min(x1, -0.5)) ** 2 + (max(y2, 0.5) - min(y1, -0.5)) ** 2
        aspect = 4 / math.pi**2 * (math.atan(1) - math.atan(width / height)) ** 2
        total += 1 - iou + (x * x + y * y) / across + aspect * aspect / (1 - iou + aspect)
    assert float(found) == pytest.approx(total, rel=1e-5)


def _made_up(model: Model) -> Detector:
    """A detector by hand, with weights of every sign and size."""
    torch.manual_seed(0)
    detector = detzoo.build(model, ["a", "b", "c"]).eval()
    for name, value in detector.state_dict().items():
        if value.is_floating_point():
            value.add_(torch.rand_like(value) * (0.02 if name.endswith(("weight", "running_var")) else 0.3))
    return detector


def _compare(detector: Detector, again: Detector, size: int) -> None:
    """Both detect the same in a picture, and something."""
    assert flatten(detector.config) == flatten(again.config)
    assert again.classes == ("a", "b", "c")
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    one, two = (each.predict(picture, size=size, threshold=0.0)[0] for each in (detector, again))
    assert len(one.scores) > 5
    for name in ("boxes", "scores", "labels"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


def _stage(match: re.Match[str]) -> str:
    layer = {"cls": "score", "reg": "delta"}.get(match[2])
    return f"bbox_head.bbox_{layer}_stage{match[1]}." if layer else f"bbox_head.head.{match[1]}.fc{int(match[3]) + 6}."


def test_a_cascade_in_paddles_own_format(tmp_path: Path) -> None:
    backbone = PADDLE_R50.replace(depth=18, out_stages=(1, 2), strides=(1, 2), dilations=(1, 1))
    hand = paddle_cascade(backbone)
    anchors = hand.rpn.anchors.replace(scales=(8.0,))
    hand = hand.replace(
        input={"interpolation": "bicubic"},
        neck={"kind": "fpn", "out_channels": 16, "levels": 3},
        rpn=hand.rpn.replace(channels=16, anchors=anchors, train_proposals=1000, proposals=40),
        box_head=hand.box_head.replace(size=3, fc_channels=8, threshold=0.0),
        roi_levels=2,
    )
    detector = _made_up(hand)
    arrays: dict[str, NDArray[Any]] = {}
    for ours, value in detector.state_dict().items():
        name = re.sub(r"^box_heads\.(\d)\.(?:fc_(cls|reg)|shared_fcs\.(\d))\.", _stage, ours)
        if name.endswith("num_batches_tracked"):
            continue
        if name == ours:
            name = next(re.sub(pattern, new, ours) for pattern, new in THEIRS if re.search(pattern, ours))
        name = name.replace("running_mean", "_mean").replace("running_var", "_variance")
        arrays[name] = (value.t() if value.dim() == 2 else value).contiguous().numpy()
    values = small() | {"architecture": "CascadeRCNN", "CascadeTwoFCHead": {"out_channel": 8}}
    values |= {name: yaml.safe_load(CASCADE)[name] for name in ("CascadeRCNN", "CascadeHead", "BBoxPostProcess")}
    values["CascadeHead"]["roi_extractor"] |= {"resolution": 3, "end_level": 1}
    values["RPNHead"] |= {"test_proposal": {"nms_thresh": 0.7, "pre_nms_top_n": 1000, "post_nms_top_n": 40}}
    values["BBoxPostProcess"]["nms"] = {"name": "MultiClassNMS", "score_threshold": 0.0}
    config = tmp_path / "cascade.yml"
    config.write_text(yaml.safe_dump(values))
    weights = pdparams(tmp_path / "cascade.pdparams", arrays)
    _compare(detector, detzoo.from_paddle(config, weights, classes=["a", "b", "c"]), 64)
    arrays["bbox_head.bbox_score_stage0.bias"] = np.full_like(arrays["bbox_head.bbox_score_stage0.bias"], np.inf)
    with pytest.warns(UserWarning, match=r"given weights: box_heads\.0\.fc_cls\.bias hold NaN or infinite"):
        detzoo.from_paddle(config, arrays, classes=["a", "b", "c"])
    config.write_text(yaml.safe_dump(values | {"num_classes": 5}))
    with pytest.raises(
        CheckpointError, match=r"cascade\.pdparams: these weights tell 3 classes apart, .* the config 5"
    ):
        detzoo.from_paddle(config, weights, classes=["a", "b", "c", "d", "e"])


def _static(name: str) -> str:
    """The name of one of our parameters of an SSD on MobileNet in a static release."""
    leaf = {"running_mean": "mean", "running_var": "variance", "bias": "offset"}.get(name.rpartition(".")[2], "scale")
    if match := re.match(r"(cls|reg)\.(\d)\.(weight|bias)", name):
        number = 35 + 2 * int(match[2]) + (match[1] == "cls")
        return f"conv2d_{number}.{match[3][0]}_0"
    owner = re.sub(r"^neck\.extra_layers\.(\d)\.(\d)", lambda m: f"conv7_{int(m[1]) + 1}_extra{int(m[2]) + 1}", name)
    owner = owner.replace("backbone.", "").replace(".depthwise_conv", "_dw").replace(".pointwise_conv", "_sep")
    owner, kind, _ = owner.split(".")
    return f"{owner}_weights" if kind == "conv" else f"{owner}_bn_{leaf}"


def test_a_static_ssd_in_an_archive(tmp_path: Path) -> None:
    values = merged(STATIC_SSD, "num_classes: 4\nMobileNet: {conv_group_scale: 0.25}\nSSD: {output_decoder: {}}")
    filters = [[16, 32], [8, 16], [8, 16], [8, 16]]
    values["MobileNet"]["extra_block_filters"] = filters
    steps: list[Any] = [{"type": "ResizeImage", "target_size": 300, "use_cv2": True, "max_size": 0, "interp": 1}]
    steps.append({"type": "NormalizeImage", "is_scale": False, "mean": [127.5] * 3, "std": [127.502231] * 3})
    values["TestReader"] = {"sample_transforms": [*steps, {"type": "Permute", "to_bgr": False}]}
    model = MOBILENET_VOC.replace(
        backbone=MobileNetV1.Config(width=0.25, out_pairs=(11, 13)),
        neck=MOBILENET_VOC.neck.replace(out_channels=tuple(width for _, width in filters)),
    )
    detector = _made_up(model)
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in detector.state_dict().items():
        if name.startswith("cls."):  # where the background comes first
            value = value.unflatten(0, (-1, 4)).roll(1, 1).flatten(0, 1)
        if not name.endswith("num_batches_tracked"):
            arrays[_static(name)] = value.contiguous().numpy()
    config = tmp_path / "ssd.yml"
    config.write_text(yaml.safe_dump(values))
    weights = static(tmp_path / "ssd.tar", arrays)
    _compare(detector, detzoo.from_paddle(config, weights, classes=["a", "b", "c"]), 300)


def test_static_cascades_learn_masks_from_the_last_stage() -> None:
    detector = tiny(CascadeMaskRCNN, one_mask_head=True, mask_stage=2)
    losses = detector(images(), targets(2, 3))
    assert {name for name in losses if "mask" in name} == {"s2.loss_mask"}
    with pytest.raises(ValidationError, match="mask_stage"):
        CascadeMaskRCNN.Config(mask_stage=1)
