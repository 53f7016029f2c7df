"""Which recipe each recorded case is, and what differed when it was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tests.parity.case import Case
from tests.parity.paddle_cases import PADDLE

CONVNEXT = {"kind": "timm", "name": "convnext_tiny", "out_indices": (0, 1, 2, 3), "drop_path": 0.4, "norms": True}
# continuous integration runs the first of each method
SSDLITE = {
    "backbone": {"kind": "mobilenet_v2", "out_stages": (5, 8), "norm_eps": 0.001},
    "neck": {
        "kind": "ssd",
        "out_channels": (512, 256, 256, 128),
        "steps": (2, 2, 2, 2),
        "paddings": (1, 1, 1, 1),
        "scale": None,
        "norm": "bn",
        "relu6": True,
        "separable": True,
        "norm_eps": 0.001,
    },
    "head.separable": True,
    "head.norm_eps": 0.001,
    "head.sizes": (48, 100, 150, 202, 253, 304, 320),
    "head.ratios": ((2, 3),) * 6,
    "head.steps": (16, 32, 64, 107, 160, 320),
    "input.short": 320,
    "input.long": 320,
    "input.std": (58.395, 57.12, 57.375),
}

CASES = {
    "atss_r50_fpn_1x_coco": Case("atss_r50_fpn_1x_coco"),
    "autoassign_r50-caffe_fpn_1x_coco": Case("autoassign_r50_fpn_8x2_1x_coco"),
    "gfl_r50_fpn_1x_coco": Case("gfl_r50_fpn_1x_coco"),
    "gfl_r101-dconv-c3-c5_fpn_ms-2x_coco": Case("gfl_r101_fpn_dconv_c3-c5_mstrain_2x_coco"),
    "gfl_x101-32x4d-dconv-c4-c5_fpn_ms-2x_coco": Case("gfl_x101_32x4d_fpn_dconv_c4-c5_mstrain_2x_coco"),
    "gfl_x101-32x4d_fpn_ms-2x_coco": Case("gfl_x101_32x4d_fpn_mstrain_2x_coco"),
    "ld_r18-gflv1-r101_fpn_1x_coco": Case("ld_r18_gflv1_r101_fpn_coco_1x"),
    "ld_r34-gflv1-r101_fpn_1x_coco": Case("ld_r34_gflv1_r101_fpn_coco_1x"),
    "ld_r101-gflv1-r101-dcn_fpn_2x_coco": Case("ld_r101_gflv1_r101dcn_fpn_coco_1x"),
    "vfnet_r50_fpn_1x_coco": Case("vfnet_r50_fpn_1x_coco"),
    "vfnet_r50-mdconv-c3-c5_fpn_ms-2x_coco": Case("vfnet_r50_fpn_mdconv_c3-c5_mstrain_2x_coco"),
    "vfnet_r101-mdconv-c3-c5_fpn_ms-2x_coco": Case("vfnet_r101_fpn_mdconv_c3-c5_mstrain_2x_coco"),
    "vfnet_x101-32x4d-mdconv-c3-c5_fpn_ms-2x_coco": Case("vfnet_x101_32x4d_fpn_mdconv_c3-c5_mstrain_2x_coco"),
    "faster-rcnn_r50_fpn_1x_coco": Case("faster_rcnn_r50_fpn_1x_coco"),
    "faster-rcnn_r50-caffe_fpn_1x_coco": Case("faster_rcnn_r50_caffe_fpn_1x_coco"),
    "faster-rcnn_r50-caffe_fpn_ms-1x_coco-person": Case("faster_rcnn_r50_caffe_fpn_mstrain_1x_coco-person"),
    "faster-rcnn_r50_fpn_giou_1x_coco": Case("faster_rcnn_r50_fpn_giou_1x_coco"),
    "faster-rcnn_r50_fpn_ciou_1x_coco": Case("faster_rcnn_r50_fpn_ciou_1x_coco"),
    "faster-rcnn_r101-caffe_fpn_1x_coco": Case("faster_rcnn_r101_caffe_fpn_1x_coco"),
    "faster-rcnn_r101_fpn_1x_coco": Case("faster_rcnn_r101_fpn_1x_coco"),
    "faster-rcnn_r50-caffe_c4-1x_coco": Case("faster_rcnn_r50_caffe_c4_1x_coco"),
    "faster-rcnn_r50-caffe-dc5_1x_coco": Case("faster_rcnn_r50_caffe_dc5_1x_coco"),
    "faster-rcnn_r50_fpn_ohem_1x_coco": Case("faster_rcnn_r50_fpn_ohem_1x_coco"),
    "faster-rcnn_r50_fpn_soft-nms_1x_coco": Case("faster_rcnn_r50_fpn_soft_nms_1x_coco"),
    "fast-rcnn_r50_fpn_1x_coco": Case("fast_rcnn_r50_fpn_1x_coco"),
    "fast-rcnn_r50-caffe_fpn_1x_coco": Case("fast_rcnn_r50_caffe_fpn_1x_coco"),
    "mask-rcnn_r50-caffe_fpn_1x_coco": Case("mask_rcnn_r50_caffe_fpn_1x_coco"),
    "mask-rcnn_r50-caffe-c4_1x_coco": Case("mask_rcnn_r50_caffe_c4_1x_coco"),
    "mask-rcnn_r101-caffe_fpn_1x_coco": Case("mask_rcnn_r101_caffe_fpn_1x_coco"),
    "mask-rcnn_x101-32x4d_fpn_1x_coco": Case("mask_rcnn_x101_32x4d_fpn_1x_coco"),
    "mask-rcnn_x101-32x8d_fpn_1x_coco": Case("mask_rcnn_x101_32x8d_fpn_1x_coco"),
    "mask-rcnn_x101-64x4d_fpn_1x_coco": Case("mask_rcnn_x101_64x4d_fpn_1x_coco"),
    "ms-rcnn_r50-caffe_fpn_1x_coco": Case("ms_rcnn_r50_caffe_fpn_1x_coco"),
    "ms-rcnn_x101-32x4d_fpn_1x_coco": Case("ms_rcnn_x101_32x4d_fpn_1x_coco"),
    "ms-rcnn_x101-64x4d_fpn_1x_coco": Case("ms_rcnn_x101_64x4d_fpn_1x_coco"),
    "dh-faster-rcnn_r50_fpn_1x_coco": Case("dh_faster_rcnn_r50_fpn_1x_coco"),
    "dynamic-rcnn_r50_fpn_1x_coco": Case("dynamic_rcnn_r50_fpn_1x_coco"),
    "grid-rcnn_r50_fpn_gn-head_1x_coco": Case("grid_rcnn_r50_fpn_gn-head_1x_coco"),
    "grid-rcnn_x101-32x4d_fpn_gn-head_2x_coco": Case("grid_rcnn_x101_32x4d_fpn_gn-head_2x_coco"),
    "grid-rcnn_x101-64x4d_fpn_gn-head_2x_coco": Case("grid_rcnn_x101_64x4d_fpn_gn-head_2x_coco"),
    "grid-rcnn_r50_fpn_gn-head-groie_1x_coco": Case("grid_rcnn_r50_fpn_gn-head_groie_1x_coco"),
    "libra-faster-rcnn_r101_fpn_1x_coco": Case("libra_faster_rcnn_r101_fpn_1x_coco"),
    "libra-faster-rcnn_x101-64x4d_fpn_1x_coco": Case("libra_faster_rcnn_x101_64x4d_fpn_1x_coco"),
    "libra-fast-rcnn_r50_fpn_1x_coco": Case("libra_fast_rcnn_r50_fpn_1x_coco"),
    "libra-retinanet_r50_fpn_1x_coco": Case("libra_retinanet_r50_fpn_1x_coco"),
    "ga-faster-rcnn_x101-32x4d_fpn_1x_coco": Case("ga_faster_x101_32x4d_fpn_1x_coco"),
    "ga-retinanet_r50-caffe_fpn_1x_coco": Case("ga_retinanet_r50_caffe_fpn_1x_coco"),
    "ga-retinanet_r101-caffe_fpn_1x_coco": Case("ga_retinanet_r101_caffe_fpn_1x_coco"),
    "ga-retinanet_x101-64x4d_fpn_1x_coco": Case("ga_retinanet_x101_64x4d_fpn_1x_coco"),
    "ga-rpn_r50-caffe_fpn_1x_coco": Case("ga_rpn_r50_caffe_fpn_1x_coco"),
    "ga-rpn_r101-caffe_fpn_1x_coco": Case("ga_rpn_r101_caffe_fpn_1x_coco"),
    "ga-rpn_x101-32x4d_fpn_1x_coco": Case("ga_rpn_x101_32x4d_fpn_1x_coco"),
    "ga-rpn_x101-64x4d_fpn_1x_coco": Case("ga_rpn_x101_64x4d_fpn_1x_coco"),
    "cascade-rpn_r50-caffe_fpn_1x_coco": Case("crpn_r50_caffe_fpn_1x_coco"),
    "cascade-rpn_fast-rcnn_r50-caffe_fpn_1x_coco": Case("crpn_fast_rcnn_r50_caffe_fpn_1x_coco"),
    "faster-rcnn_r50_fpn_pisa_1x_coco": Case("pisa_faster_rcnn_r50_fpn_1x_coco"),
    "faster-rcnn_x101-32x4d_fpn_pisa_1x_coco": Case("pisa_faster_rcnn_x101_32x4d_fpn_1x_coco"),
    "mask-rcnn_r50_fpn_pisa_1x_coco": Case("pisa_mask_rcnn_r50_fpn_1x_coco"),
    "mask-rcnn_x101-32x4d_fpn_pisa_1x_coco": Case("pisa_mask_rcnn_x101_32x4d_fpn_1x_coco"),
    "retinanet-r50_fpn_pisa_1x_coco": Case("pisa_retinanet_r50_fpn_1x_coco"),
    "ssd300_coco": Case("ssd300_coco"),
    "ssd512_pisa_coco": Case("pisa_ssd512_coco"),
    "paa_r50_fpn_1x_coco": Case("paa_r50_fpn_1x_coco"),
    "freeanchor_r50_fpn_1x_coco": Case("retinanet_free_anchor_r50_fpn_1x_coco"),
    "freeanchor_x101-32x4d_fpn_1x_coco": Case("retinanet_free_anchor_x101_32x4d_fpn_1x_coco"),
    "retinanet_r50_fpn_ghm-1x_coco": Case("retinanet_ghm_r50_fpn_1x_coco"),
    "retinanet_x101-32x4d_fpn_ghm-1x_coco": Case("retinanet_ghm_x101_32x4d_fpn_1x_coco"),
    "retinanet_x101-64x4d_fpn_ghm-1x_coco": Case("retinanet_ghm_x101_64x4d_fpn_1x_coco"),
    "tridentnet_r50-caffe_1x_coco": Case("tridentnet_r50_caffe_1x_coco"),
    "cascade-rcnn_r50_fpn_1x_coco": Case("cascade_rcnn_r50_fpn_1x_coco"),
    "cascade-rcnn_r50-caffe_fpn_1x_coco": Case("cascade_rcnn_r50_caffe_fpn_1x_coco"),
    "cascade-rcnn_r101_fpn_1x_coco": Case("cascade_rcnn_r101_fpn_1x_coco"),
    "cascade-rcnn_x101-32x4d_fpn_1x_coco": Case("cascade_rcnn_x101_32x4d_fpn_1x_coco"),
    "cascade-rcnn_x101-64x4d_fpn_1x_coco": Case("cascade_rcnn_x101_64x4d_fpn_1x_coco"),
    "sabl-retinanet_r50_fpn_1x_coco": Case("sabl_retinanet_r50_fpn_1x_coco"),
    "sabl-retinanet_r50-gn_fpn_1x_coco": Case("sabl_retinanet_r50_fpn_gn_1x_coco"),
    "sabl-retinanet_r101_fpn_1x_coco": Case("sabl_retinanet_r101_fpn_1x_coco"),
    "sabl-retinanet_r101-gn_fpn_1x_coco": Case("sabl_retinanet_r101_fpn_gn_1x_coco"),
    "sabl-cascade-rcnn_r50_fpn_1x_coco": Case("sabl_cascade_rcnn_r50_fpn_1x_coco"),
    "sabl-cascade-rcnn_r101_fpn_1x_coco": Case("sabl_cascade_rcnn_r101_fpn_1x_coco"),
    "cascade-mask-rcnn_r50_fpn_1x_coco": Case("cascade_mask_rcnn_r50_fpn_1x_coco"),
    "cascade-mask-rcnn_r101_fpn_1x_coco": Case("cascade_mask_rcnn_r101_fpn_1x_coco"),
    "cascade-mask-rcnn_x101-32x4d_fpn_1x_coco": Case("cascade_mask_rcnn_x101_32x4d_fpn_1x_coco"),
    "htc_r50_fpn_1x_coco": Case("htc_r50_fpn_1x_coco"),
    "htc_x101-32x4d_fpn_16xb1-20e_coco": Case("htc_x101_32x4d_fpn_16x1_20e_coco"),
    "htc_x101-64x4d_fpn_16xb1-20e_coco": Case("htc_x101_64x4d_fpn_16x1_20e_coco"),
    "htc_x101-64x4d-dconv-c3-c5_fpn_ms-400-1400-16xb1-20e_coco": Case(
        "htc_x101_64x4d_fpn_dconv_c3-c5_mstrain_400_1400_16x1_20e_coco"
    ),
    "htc_hrnetv2p-w18_20e_coco": Case("htc_hrnetv2p_w18_20e_coco"),
    "htc_res2net-101_fpn_20e_coco": Case("htc_r2_101_fpn_20e_coco"),
    "htc_r50-rfp_1x_coco": Case("htc_r50_rfp_1x_coco"),
    "scnet_r50_fpn_1x_coco": Case("scnet_r50_fpn_1x_coco"),
    "scnet_r101_fpn_20e_coco": Case("scnet_r101_fpn_20e_coco"),
    "faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco": Case("faster_rcnn_r50_fpn_dconv_c3-c5_1x_coco"),
    "faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco": Case("faster_rcnn_r50_fpn_mdconv_c3-c5_1x_coco"),
    "faster-rcnn_r50-mdconv-group4-c3-c5_fpn_1x_coco": Case("faster_rcnn_r50_fpn_mdconv_c3-c5_group4_1x_coco"),
    "faster-rcnn_r50_fpn_dpool_1x_coco": Case("faster_rcnn_r50_fpn_dpool_1x_coco"),
    "faster-rcnn_r50_fpn_mdpool_1x_coco": Case("faster_rcnn_r50_fpn_mdpool_1x_coco"),
    "faster-rcnn_x101-32x4d-dconv-c3-c5_fpn_1x_coco": Case("faster_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco"),
    "mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco": Case("mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco"),
    "mask-rcnn_r101-dconv-c3-c5_fpn_1x_coco": Case("mask_rcnn_r101_fpn_dconv_c3-c5_1x_coco"),
    "cascade-rcnn_r101-dconv-c3-c5_fpn_1x_coco": Case("cascade_rcnn_r101_fpn_dconv_c3-c5_1x_coco"),
    "cascade-mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco": Case("cascade_mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco"),
    "cascade-mask-rcnn_x101-32x4d-dconv-c3-c5_fpn_1x_coco": Case(
        "cascade_mask_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco"
    ),
    "mask-rcnn_r50-gcb-r16-c3-c5_fpn_1x_coco": Case("mask_rcnn_r50_fpn_r16_gcb_c3-c5_1x_coco"),
    "mask-rcnn_r50-gcb-r4-c3-c5_fpn_1x_coco": Case("mask_rcnn_r50_fpn_r4_gcb_c3-c5_1x_coco"),
    "mask-rcnn_r50-syncbn_fpn_1x_coco": Case("mask_rcnn_r50_fpn_syncbn-backbone_1x_coco"),
    "mask-rcnn_r50-syncbn-gcb-r4-c3-c5_fpn_1x_coco": Case("mask_rcnn_r50_fpn_syncbn-backbone_r4_gcb_c3-c5_1x_coco"),
    "mask-rcnn_r101-syncbn_fpn_1x_coco": Case("mask_rcnn_r101_fpn_syncbn-backbone_1x_coco"),
    "mask-rcnn_r101-syncbn-gcb-r16-c3-c5_fpn_1x_coco": Case("mask_rcnn_r101_fpn_syncbn-backbone_r16_gcb_c3-c5_1x_coco"),
    "mask-rcnn_r101-syncbn-gcb-r4-c3-c5_fpn_1x_coco": Case("mask_rcnn_r101_fpn_syncbn-backbone_r4_gcb_c3-c5_1x_coco"),
    "mask-rcnn_x101-32x4d-syncbn-gcb-r16-c3-c5_fpn_1x_coco": Case(
        "mask_rcnn_x101_32x4d_fpn_syncbn-backbone_r16_gcb_c3-c5_1x_coco"
    ),
    "mask-rcnn_x101-32x4d-syncbn-gcb-r4-c3-c5_fpn_1x_coco": Case(
        "mask_rcnn_x101_32x4d_fpn_syncbn-backbone_r4_gcb_c3-c5_1x_coco"
    ),
    "cascade-mask-rcnn_x101-32x4d-syncbn_fpn_1x_coco": Case("cascade_mask_rcnn_x101_32x4d_fpn_syncbn-backbone_1x_coco"),
    "cascade-mask-rcnn_x101-32x4d-syncbn-r16-gcb-c3-c5_fpn_1x_coco": Case(
        "cascade_mask_rcnn_x101_32x4d_fpn_syncbn-backbone_r16_gcb_c3-c5_1x_coco"
    ),
    "cascade-mask-rcnn_x101-32x4d-syncbn-dconv-c3-c5-r16-gcb-c3-c5_fpn_1x_coco": Case(
        "cascade_mask_rcnn_x101_32x4d_fpn_syncbn-backbone_dconv_c3-c5_r16_gcb_c3-c5_1x_coco"
    ),
    "cascade-mask-rcnn_x101-32x4d-syncbn-dconv-c3-c5-r4-gcb-c3-c5_fpn_1x_coco": Case(
        "cascade_mask_rcnn_x101_32x4d_fpn_syncbn-backbone_dconv_c3-c5_r4_gcb_c3-c5_1x_coco"
    ),
    "faster-rcnn_r50-attn0010_fpn_1x_coco": Case("faster_rcnn_r50_fpn_attention_0010_1x_coco"),
    "faster-rcnn_r50-attn0010-dcn_fpn_1x_coco": Case("faster_rcnn_r50_fpn_attention_0010_dcn_1x_coco"),
    "faster-rcnn_r50-attn1111-dcn_fpn_1x_coco": Case("faster_rcnn_r50_fpn_attention_1111_dcn_1x_coco"),
    "faste-rcnn_r50_fpn_groie_1x_coco": Case("faster_rcnn_r50_fpn_groie_1x_coco"),
    "mask-rcnn_r50_fpn_groie_1x_coco": Case("mask_rcnn_r50_fpn_groie_1x_coco"),
    "mask-rcnn_r101_fpn_syncbn-r4-gcb_c3-c5-groie_1x_coco": Case(
        "mask_rcnn_r101_fpn_syncbn-backbone_r4_gcb_c3-c5_groie_1x_coco"
    ),
    "point-rend_r50-caffe_fpn_ms-1x_coco": Case("point_rend_r50_caffe_fpn_mstrain_1x_coco"),
    "cascade-mask-rcnn_r50_fpn_1x_coco_v1": Case("cascade_mask_rcnn_r50_fpn_1x_coco_v1"),
    "mask-rcnn_r50_fpn_1x_coco_v1": Case("mask_rcnn_r50_fpn_1x_coco_v1"),
    "retinanet_r50-caffe_fpn_1x_coco_v1": Case("retinanet_r50_caffe_1x_coco_v1"),
    "ssd300_coco_v1": Case("ssd300_coco_v1"),
    "rpn_r50_fpn_1x_coco": Case("rpn_r50_fpn_1x_coco"),
    "rpn_r50-caffe_fpn_1x_coco": Case("rpn_r50_caffe_fpn_1x_coco"),
    "rpn_r101_fpn_1x_coco": Case("rpn_r101_fpn_1x_coco"),
    "rpn_r101-caffe_fpn_1x_coco": Case("rpn_r101_caffe_fpn_1x_coco"),
    "retinanet_r50_fpn_1x_coco": Case("retinanet_r50_fpn_1x_coco"),
    "retinanet_r50-caffe_fpn_1x_coco": Case("retinanet_r50_caffe_fpn_1x_coco"),
    "retinanet_r101_fpn_1x_coco": Case("retinanet_r101_fpn_1x_coco"),
    "retinanet_r101-caffe_fpn_1x_coco": Case("retinanet_r101_caffe_fpn_1x_coco"),
    "fcos_r50-caffe_fpn_gn-head_1x_coco": Case("fcos_r50_caffe_fpn_gn-head_1x_coco"),
    "fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco": Case(
        "fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_1x_coco"
    ),
    "fcos_r101-caffe_fpn_gn-head-1x_coco": Case("fcos_r101_caffe_fpn_gn-head_1x_coco"),
    "nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco": Case("nas_fcos_nashead_r50_caffe_fpn_gn-head_4x4_1x_coco"),
    "nas-fcos_r50-caffe_fpn_fcoshead-gn-head_4xb4-1x_coco": Case("nas_fcos_fcoshead_r50_caffe_fpn_gn-head_4x4_1x_coco"),
    "fcos_x101-64x4d_fpn_gn-head_ms-640-800-2x_coco": Case("fcos_x101_64x4d_fpn_gn-head_mstrain_640-800_2x_coco"),
    "reppoints-moment_r50_fpn-gn_head-gn_1x_coco": Case("reppoints_moment_r50_fpn_gn-neck+head_1x_coco"),
    "reppoints-moment_r101_fpn-gn_head-gn_2x_coco": Case("reppoints_moment_r101_fpn_gn-neck+head_2x_coco"),
    "reppoints-moment_x101-dconv-c3-c5_fpn-gn_head-gn_2x_coco": Case(
        "reppoints_moment_x101_fpn_dconv_c3-c5_gn-neck+head_2x_coco"
    ),
    "reppoints-bbox_r50_fpn-gn_head-gn-grid_1x_coco": Case("bbox_r50_grid_fpn_gn-neck+head_1x_coco"),
    "reppoints-bbox_r50-center_fpn-gn_head-gn-grid_1x_coco": Case("bbox_r50_grid_center_fpn_gn-neck+head_1x_coco"),
    "fovea_r50_fpn_4xb4-1x_coco": Case("fovea_r50_fpn_4x4_1x_coco"),
    "fovea_r50_fpn_gn-head-align_4xb4-2x_coco": Case("fovea_align_r50_fpn_gn-head_4x4_2x_coco"),
    "fovea_r101_fpn_gn-head-align_4xb4-2x_coco": Case("fovea_align_r101_fpn_gn-head_4x4_2x_coco"),
    "fsaf_r50_fpn_1x_coco": Case("fsaf_r50_fpn_1x_coco"),
    "fsaf_r101_fpn_1x_coco": Case("fsaf_r101_fpn_1x_coco"),
    "yolact_r50_1xb8-55e_coco": Case("yolact_r50_1x8_coco"),
    "yolof_r50-c5_8xb8-1x_coco": Case("yolof_r50_c5_8x8_1x_coco"),
    "yolov3_d53_8xb8-320-273e_coco": Case("yolov3_d53_320_273e_coco"),
    "detr_r50_8xb2-150e_coco": Case("detr_r50_8x2_150e_coco"),
    "deformable-detr_r50_16xb2-50e_coco": Case("deformable_detr_r50_16x2_50e_coco"),
    "deformable-detr-refine-twostage_r50_16xb2-50e_coco": Case("deformable_detr_twostage_refine_r50_16x2_50e_coco"),
    "sparse-rcnn_r50_fpn_1x_coco": Case("sparse_rcnn_r50_fpn_1x_coco"),
    "sparse-rcnn_r50_fpn_300-proposals_crop-ms-480-800-3x_coco": Case(
        "sparse_rcnn_r50_fpn_300_proposals_crop_mstrain_480-800_3x_coco"
    ),
    "sparse-rcnn_r101_fpn_300-proposals_crop-ms-480-800-3x_coco": Case(
        "sparse_rcnn_r101_fpn_300_proposals_crop_mstrain_480-800_3x_coco"
    ),
    "faster-rcnn_r50-scratch_fpn_gn-all_6x_coco": Case("faster_rcnn_r50_fpn_gn-all_scratch_6x_coco"),
    "mask-rcnn_r50-scratch_fpn_gn-all_6x_coco": Case("mask_rcnn_r50_fpn_gn-all_scratch_6x_coco"),
    "mask-rcnn_r50_fpn_gn-all_2x_coco": Case("mask_rcnn_r50_fpn_gn-all_2x_coco"),
    "mask-rcnn_r50-contrib_fpn_gn-all_2x_coco": Case("mask_rcnn_r50_fpn_gn-all_contrib_2x_coco"),
    "detectors_cascade-rcnn_r50_1x_coco": Case("detectors_cascade_rcnn_r50_1x_coco"),
    "cascade-rcnn_r50-rfp_1x_coco": Case("cascade_rcnn_r50_rfp_1x_coco"),
    "cascade-rcnn_r50-sac_1x_coco": Case("cascade_rcnn_r50_sac_1x_coco"),
    "faster-rcnn_hrnetv2p-w18-1x_coco": Case("faster_rcnn_hrnetv2p_w18_1x_coco"),
    "faster-rcnn_hrnetv2p-w32-1x_coco": Case("faster_rcnn_hrnetv2p_w32_1x_coco"),
    "faster-rcnn_hrnetv2p-w40-1x_coco": Case("faster_rcnn_hrnetv2p_w40_1x_coco"),
    "cascade-rcnn_hrnetv2p-w18-20e_coco": Case("cascade_rcnn_hrnetv2p_w18_20e_coco"),
    "cascade-rcnn_hrnetv2p-w32-20e_coco": Case("cascade_rcnn_hrnetv2p_w32_20e_coco"),
    "cascade-rcnn_hrnetv2p-w40-20e_coco": Case("cascade_rcnn_hrnetv2p_w40_20e_coco"),
    "cascade-mask-rcnn_hrnetv2p-w32_20e_coco": Case("cascade_mask_rcnn_hrnetv2p_w32_20e_coco"),
    "cascade-mask-rcnn_hrnetv2p-w40-20e_coco": Case("cascade_mask_rcnn_hrnetv2p_w40_20e_coco"),
    "fcos_hrnetv2p-w18-gn-head_4xb4-1x_coco": Case("fcos_hrnetv2p_w18_gn-head_4x4_1x_coco"),
    "fcos_hrnetv2p-w32-gn-head_4xb4-1x_coco": Case("fcos_hrnetv2p_w32_gn-head_4x4_1x_coco"),
    "fcos_hrnetv2p-w40-gn-head_ms-640-800-4xb4-2x_coco": Case("fcos_hrnetv2p_w40_gn-head_mstrain_640-800_4x4_2x_coco"),
    "faster-rcnn_res2net-101_fpn_2x_coco": Case("faster_rcnn_r2_101_fpn_2x_coco"),
    "mask-rcnn_res2net-101_fpn_2x_coco": Case("mask_rcnn_r2_101_fpn_2x_coco"),
    "cascade-mask-rcnn_res2net-101_fpn_20e_coco": Case("cascade_mask_rcnn_r2_101_fpn_20e_coco"),
    "faster-rcnn_r50_pafpn_1x_coco": Case("faster_rcnn_r50_pafpn_1x_coco"),
    "faster-rcnn_r50_fpn_gn-ws-all_1x_coco": Case("faster_rcnn_r50_fpn_gn_ws-all_1x_coco"),
    "faster-rcnn_x50-32x4d_fpn_gn-ws-all_1x_coco": Case("faster_rcnn_x50_32x4d_fpn_gn_ws-all_1x_coco"),
    "faster-rcnn_x101-32x4d_fpn_gn-ws-all_1x_coco": Case("faster_rcnn_x101_32x4d_fpn_gn_ws-all_1x_coco"),
    "mask-rcnn_r50_fpn_gn-ws-all_2x_coco": Case("mask_rcnn_r50_fpn_gn_ws-all_2x_coco"),
    "mask-rcnn_r101_fpn_gn-ws-all_2x_coco": Case("mask_rcnn_r101_fpn_gn_ws-all_2x_coco"),
    "mask-rcnn_x101-32x4d_fpn_gn-ws-all_2x_coco": Case("mask_rcnn_x101_32x4d_fpn_gn_ws-all_2x_coco"),
    "retinanet_regnetx-800MF_fpn_1x_coco": Case("retinanet_regnetx-800MF_fpn_1x_coco"),
    "retinanet_regnetx-1.6GF_fpn_1x_coco": Case("retinanet_regnetx-1.6GF_fpn_1x_coco"),
    "faster-rcnn_regnetx-3.2GF_fpn_1x_coco": Case("faster_rcnn_regnetx-3.2GF_fpn_1x_coco"),
    "mask-rcnn_regnetx-3.2GF_fpn_1x_coco": Case("mask_rcnn_regnetx-3.2GF_fpn_1x_coco"),
    "mask-rcnn_regnetx-4GF_fpn_1x_coco": Case("mask_rcnn_regnetx-4GF_fpn_1x_coco"),
    "mask-rcnn_regnetx-6.4GF_fpn_1x_coco": Case("mask_rcnn_regnetx-6.4GF_fpn_1x_coco"),
    "mask-rcnn_regnetx-12GF_fpn_1x_coco": Case("mask_rcnn_regnetx-12GF_fpn_1x_coco"),
    "faster-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco": Case(
        "faster_rcnn_s50_fpn_syncbn-backbone+head_mstrain-range_1x_coco"
    ),
    "cascade-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco": Case(
        "cascade_rcnn_s50_fpn_syncbn-backbone+head_mstrain-range_1x_coco"
    ),
    "cascade-rcnn_s101_fpn_syncbn-backbone+head_ms-range-1x_coco": Case(
        "cascade_rcnn_s101_fpn_syncbn-backbone+head_mstrain-range_1x_coco"
    ),
    "mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco": Case("mask_rcnn_s50_fpn_syncbn-backbone+head_mstrain_1x_coco"),
    "mask-rcnn_s101_fpn_syncbn-backbone+head_ms-1x_coco": Case(
        "mask_rcnn_s101_fpn_syncbn-backbone+head_mstrain_1x_coco"
    ),
    "cascade-mask-rcnn_s101_fpn_syncbn-backbone+head_ms-1x_coco": Case(
        "cascade_mask_rcnn_s101_fpn_syncbn-backbone+head_mstrain_1x_coco"
    ),
    "retinanet_r50_nasfpn_crop640-50e_coco": Case("retinanet_r50_nasfpn_crop640_50e_coco"),
    "retinanet_r50_fpn_crop640-50e_coco": Case("retinanet_r50_fpn_crop640_50e_coco"),
    "faster-rcnn_r50_fpn-carafe_1x_coco": Case("faster_rcnn_r50_fpn_carafe_1x_coco"),
    "mask-rcnn_r50_fpn-carafe_1x_coco": Case("mask_rcnn_r50_fpn_carafe_1x_coco"),
    "faster-rcnn_r50_fpg-chn128_crop640-50e_coco": Case("faster_rcnn_r50_fpg-chn128_crop640_50e_coco"),
    "faster-rcnn_r50_fpg_crop640-50e_coco": Case("faster_rcnn_r50_fpg_crop640_50e_coco"),
    "retinanet_r50_fpg-chn128_crop640_50e_coco": Case("retinanet_r50_fpg-chn128_crop640_50e_coco"),
    "retinanet_r50_fpg_crop640_50e_coco": Case("retinanet_r50_fpg_crop640_50e_coco"),
    "faster-rcnn_r50_fpn_1x_cityscapes": Case("faster_rcnn_r50_fpn_1x_cityscapes"),
    "mask-rcnn_r50_fpn_1x_cityscapes": Case("mask_rcnn_r50_fpn_1x_cityscapes"),
    "mask-rcnn_r50_fpn_15e_deepfashion": Case("mask_rcnn_r50_fpn_15e_deepfashion"),
    "mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1": Case("mask_rcnn_r50_fpn_sample1e-3_mstrain_1x_lvis_v1"),
    "mask-rcnn_r101_fpn_sample1e-3_ms-1x_lvis-v1": Case("mask_rcnn_r101_fpn_sample1e-3_mstrain_1x_lvis_v1"),
    "mask-rcnn_x101-64x4d_fpn_sample1e-3_ms-1x_lvis-v1": Case("mask_rcnn_x101_64x4d_fpn_sample1e-3_mstrain_1x_lvis_v1"),
    "mask-rcnn_r50_fpn_sample1e-3_ms-2x_lvis-v0.5": Case("mask_rcnn_r50_fpn_sample1e-3_mstrain_2x_lvis_v0.5"),
    "mask-rcnn_x101-32x4d_fpn_sample1e-3_ms-2x_lvis-v0.5": Case(
        "mask_rcnn_x101_32x4d_fpn_sample1e-3_mstrain_2x_lvis_v0.5"
    ),
    "mask-rcnn_x101-64x4d_fpn_sample1e-3_ms-2x_lvis-v0.5": Case(
        "mask_rcnn_x101_64x4d_fpn_sample1e-3_mstrain_2x_lvis_v0.5"
    ),
    "faster-rcnn_r50_fpn_1x_voc0712": Case("faster_rcnn_r50_fpn_1x_voc0712"),
    "retinanet_r50_fpn_1x_voc0712": Case("retinanet_r50_fpn_1x_voc0712"),
    "cornernet_hourglass104_10xb5-crop511-210e-mstest_coco": Case(
        "cornernet_hourglass104_mstest_10x5_210e_coco", classes=2
    ),
    "centripetalnet_hourglass104_16xb6-crop511-210e-mstest_coco": Case(
        "centripetalnet_hourglass104_mstest_16x6_210e_coco", classes=2
    ),
    # no rows of the published tables
    "retinanet_swin-t-p4-w7_fpn_1x_coco": Case(
        "retinanet_r50_fpn_1x_coco",
        {"backbone": {"kind": "swin", "out_stages": (2, 3, 4), "drop_path": 0.2}, "neck.start": 0},
    ),
    "retinanet_mobilenet-v2_fpn_1x_coco": Case(
        "retinanet_r50_fpn_1x_coco",
        {"backbone": {"kind": "mobilenet_v2", "out_stages": (3, 5, 7)}, "neck.start": 0},
    ),
    "yolov3_mobilenetv2_8xb24-ms-416-300e_coco": Case(
        "yolov3_d53_mstrain-416_273e_coco",
        {
            "backbone": {"kind": "mobilenet_v2", "out_stages": (3, 5, 7), "slope": 0.1},
            "neck.out_channels": (96, 96, 96),
            "head.bridge_channels": (96, 96, 96),
            "input.mean": (123.675, 116.28, 103.53),
            "input.std": (58.395, 57.12, 57.375),
        },
    ),
    "ssdlite_mobilenetv2-scratch_8xb24-600e_coco": Case("ssd300_coco", SSDLITE),
    "mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco": Case("mask_rcnn_r50_fpn_1x_coco", {"backbone": CONVNEXT}),
    "retinanet_r50_fpn_1x_widerface": Case(
        "retinanet_r50_fpn_1x_coco", {"input.short": 640, "input.long": 640}, classes=1
    ),
    "ssd300_8xb32-24e_widerface": Case("ssd300_coco", classes=1),
} | PADDLE


def matching(patterns: Sequence[str]) -> list[str]:
    """Names of the cases that match one of the patterns, as ``retinanet*``, or hold it; without patterns all."""
    return [name for name in CASES if not patterns or any(one in name or fnmatchcase(name, one) for one in patterns)]
