"""PaddleDetection's Mask R-CNN (arXiv:1703.06870) of its dynamic-graph releases."""

from __future__ import annotations

from detzoo.recipes.paddle_columns import (
    PADDLE_1X,
    PADDLE_2X,
    PADDLE_R50,
    PADDLE_R50_VD,
    PADDLE_R101,
    PADDLE_R101_VD,
    PADDLE_X101_VD_64X4D,
    paddle_mask,
    paddle_mask_c4,
    paddle_row,
)

# warm-up, which rows on ResNet-50 without and with a pyramid have another of in their longer schedule
MASKS_1X = PADDLE_1X.replace(warmup_start=0.001)
MASKS_2X = PADDLE_2X.replace(warmup_steps=500, warmup_start=1 / 3)

RECIPES = (
    paddle_row(paddle_mask_c4(PADDLE_R50), MASKS_1X, 37.4, 32.8, name="pd_mask_rcnn_r50_1x_coco"),
    paddle_row(paddle_mask_c4(PADDLE_R50), MASKS_2X, 39.7, 34.5, name="pd_mask_rcnn_r50_2x_coco"),
    paddle_row(paddle_mask(PADDLE_R50), MASKS_1X, 39.2, 35.6, name="pd_mask_rcnn_r50_fpn_1x_coco"),
    paddle_row(paddle_mask(PADDLE_R50), MASKS_2X, 40.5, 36.7, name="pd_mask_rcnn_r50_fpn_2x_coco"),
    paddle_row(paddle_mask(PADDLE_R50_VD), MASKS_1X, 40.3, 36.4, name="pd_mask_rcnn_r50_vd_fpn_1x_coco"),
    paddle_row(paddle_mask(PADDLE_R50_VD), MASKS_2X, 41.4, 37.5, name="pd_mask_rcnn_r50_vd_fpn_2x_coco"),
    paddle_row(paddle_mask(PADDLE_R101), MASKS_1X, 40.6, 36.6, name="pd_mask_rcnn_r101_fpn_1x_coco"),
    paddle_row(paddle_mask(PADDLE_R101_VD), MASKS_1X, 42.4, 38.1, name="pd_mask_rcnn_r101_vd_fpn_1x_coco"),
    paddle_row(paddle_mask(PADDLE_X101_VD_64X4D), PADDLE_1X, 44.0, 39.5, name="pd_mask_rcnn_x101_vd_64x4d_fpn_1x_coco"),
    paddle_row(paddle_mask(PADDLE_X101_VD_64X4D), PADDLE_2X, name="pd_mask_rcnn_x101_vd_64x4d_fpn_2x_coco"),
)
