"""PaddleDetection's Deformable ConvNets v2 (arXiv:1811.11168) of its dynamic-graph releases."""

from __future__ import annotations

from detzoo.recipes.paddle_columns import (
    PADDLE_1X,
    PADDLE_2X,
    PADDLE_R50_DCN,
    PADDLE_R50_VD_DCN,
    PADDLE_R101_VD_DCN,
    PADDLE_X101_VD_DCN,
    paddle_cascade,
    paddle_faster,
    paddle_mask,
    paddle_row,
)

SLOW_1X = PADDLE_1X.replace(warmup_start=0.001)

RECIPES = (
    paddle_row(paddle_faster(PADDLE_R50_DCN), PADDLE_1X, 42.1, name="pd_faster_rcnn_dcn_r50_fpn_1x_coco"),
    paddle_row(paddle_faster(PADDLE_R50_VD_DCN), PADDLE_1X, 42.7, name="pd_faster_rcnn_dcn_r50_vd_fpn_1x_coco"),
    paddle_row(paddle_faster(PADDLE_R50_VD_DCN), PADDLE_2X, 43.7, name="pd_faster_rcnn_dcn_r50_vd_fpn_2x_coco"),
    paddle_row(paddle_faster(PADDLE_R101_VD_DCN), PADDLE_1X, 45.1, name="pd_faster_rcnn_dcn_r101_vd_fpn_1x_coco"),
    paddle_row(paddle_faster(PADDLE_X101_VD_DCN), PADDLE_1X, 46.5, name="pd_faster_rcnn_dcn_x101_vd_64x4d_fpn_1x_coco"),
    paddle_row(paddle_mask(PADDLE_R50_DCN), SLOW_1X, 42.7, 38.4, name="pd_mask_rcnn_dcn_r50_fpn_1x_coco"),
    paddle_row(paddle_mask(PADDLE_R50_VD_DCN), PADDLE_2X, 44.6, 39.8, name="pd_mask_rcnn_dcn_r50_vd_fpn_2x_coco"),
    paddle_row(paddle_mask(PADDLE_R101_VD_DCN), SLOW_1X, 45.6, 40.6, name="pd_mask_rcnn_dcn_r101_vd_fpn_1x_coco"),
    paddle_row(paddle_mask(PADDLE_X101_VD_DCN), SLOW_1X, 47.3, 42.0, name="pd_mask_rcnn_dcn_x101_vd_64x4d_fpn_1x_coco"),
    paddle_row(paddle_cascade(PADDLE_R50_DCN), SLOW_1X, 42.1, name="pd_cascade_rcnn_dcn_r50_fpn_1x_coco"),
    paddle_row(paddle_cascade(PADDLE_X101_VD_DCN), SLOW_1X, 48.8, name="pd_cascade_rcnn_dcn_x101_vd_64x4d_fpn_1x_coco"),
)
