"""PaddleDetection's two-stage models of its static-graph releases (0.2 to 0.5)."""

from __future__ import annotations

from detzoo.recipes.columns import SCHEDULE_1X, SCHEDULE_2X
from detzoo.recipes.paddle_columns import (
    PADDLE_1X,
    PADDLE_2X,
    PADDLE_R50,
    PADDLE_R50_VD,
    PADDLE_R101,
    PADDLE_R101_VD,
    PADDLE_X101_VD_64X4D,
    paddle_dcn,
    static_cascade,
    static_cascade_mask,
    static_faster,
    static_faster_c4,
    static_mask,
    static_mask_c4,
    static_row,
)

RECIPES = (
    static_row(static_faster_c4(PADDLE_R50), PADDLE_1X, 35.2, name="pdold_faster_rcnn_r50_1x"),
    static_row(static_faster_c4(PADDLE_R50), PADDLE_2X, 37.1, name="pdold_faster_rcnn_r50_2x"),
    static_row(static_mask_c4(PADDLE_R50), PADDLE_1X, 36.5, 32.2, name="pdold_mask_rcnn_r50_1x"),
    static_row(static_mask_c4(PADDLE_R50), PADDLE_2X, 38.2, 33.4, name="pdold_mask_rcnn_r50_2x"),
    static_row(static_faster_c4(PADDLE_R50_VD), PADDLE_1X, 36.4, name="pdold_faster_rcnn_r50_vd_1x"),
    static_row(static_faster(PADDLE_R50), SCHEDULE_1X, 37.2, name="pdold_faster_rcnn_r50_fpn_1x"),
    static_row(static_faster(PADDLE_R50), SCHEDULE_2X, 37.7, name="pdold_faster_rcnn_r50_fpn_2x"),
    static_row(static_mask(PADDLE_R50), PADDLE_1X, 37.9, 34.2, name="pdold_mask_rcnn_r50_fpn_1x"),
    static_row(static_mask(PADDLE_R50), PADDLE_2X, 38.7, 34.7, name="pdold_mask_rcnn_r50_fpn_2x"),
    static_row(static_cascade(PADDLE_R50), SCHEDULE_1X, 40.9, name="pdold_cascade_rcnn_r50_fpn_1x"),
    static_row(static_cascade_mask(PADDLE_R50), PADDLE_1X, 41.3, 35.5, name="pdold_cascade_mask_rcnn_r50_fpn_1x"),
    static_row(static_faster(PADDLE_R50_VD), SCHEDULE_2X, 38.9, name="pdold_faster_rcnn_r50_vd_fpn_2x"),
    static_row(static_mask(PADDLE_R50_VD), PADDLE_2X, 39.8, 35.4, name="pdold_mask_rcnn_r50_vd_fpn_2x"),
    static_row(static_faster_c4(PADDLE_R101), PADDLE_1X, 38.3, name="pdold_faster_rcnn_r101_1x"),
    static_row(static_faster(PADDLE_R101), PADDLE_1X, 38.7, name="pdold_faster_rcnn_r101_fpn_1x"),
    static_row(static_faster(PADDLE_R101), PADDLE_2X, 39.1, name="pdold_faster_rcnn_r101_fpn_2x"),
    static_row(static_mask(PADDLE_R101), PADDLE_1X, 39.5, 35.2, name="pdold_mask_rcnn_r101_fpn_1x"),
    static_row(static_faster(PADDLE_R101_VD), PADDLE_1X, 40.5, name="pdold_faster_rcnn_r101_vd_fpn_1x"),
    static_row(static_faster(PADDLE_R101_VD), PADDLE_2X, 40.8, name="pdold_faster_rcnn_r101_vd_fpn_2x"),
    static_row(static_mask(PADDLE_R101_VD), PADDLE_1X, 41.4, 36.8, name="pdold_mask_rcnn_r101_vd_fpn_1x"),
    static_row(static_faster(PADDLE_X101_VD_64X4D), PADDLE_1X, 42.2, name="pdold_faster_rcnn_x101_vd_64x4d_fpn_1x"),
    static_row(static_faster(PADDLE_X101_VD_64X4D), PADDLE_2X, 41.7, name="pdold_faster_rcnn_x101_vd_64x4d_fpn_2x"),
    static_row(static_mask(PADDLE_X101_VD_64X4D), PADDLE_1X, 42.9, 37.9, name="pdold_mask_rcnn_x101_vd_64x4d_fpn_1x"),
    static_row(static_mask(PADDLE_X101_VD_64X4D), PADDLE_2X, 42.6, 37.6, name="pdold_mask_rcnn_x101_vd_64x4d_fpn_2x"),
    static_row(
        static_faster(paddle_dcn(PADDLE_R50)), SCHEDULE_1X, 41.0, name="pdold_faster_rcnn_dcn_r50_fpn_1x", folder="dcn/"
    ),
    static_row(
        static_faster(paddle_dcn(PADDLE_R50_VD)),
        SCHEDULE_2X,
        42.4,
        name="pdold_faster_rcnn_dcn_r50_vd_fpn_2x",
        folder="dcn/",
    ),
    static_row(
        static_faster(paddle_dcn(PADDLE_R101_VD)),
        SCHEDULE_1X,
        44.1,
        name="pdold_faster_rcnn_dcn_r101_vd_fpn_1x",
        folder="dcn/",
    ),
    static_row(
        static_faster(paddle_dcn(PADDLE_X101_VD_64X4D)),
        PADDLE_1X,
        45.2,
        name="pdold_faster_rcnn_dcn_x101_vd_64x4d_fpn_1x",
        folder="dcn/",
    ),
    static_row(
        static_mask(paddle_dcn(PADDLE_R50)), PADDLE_1X, 41.9, 37.3, name="pdold_mask_rcnn_dcn_r50_fpn_1x", folder="dcn/"
    ),
    static_row(
        static_mask(paddle_dcn(PADDLE_R50_VD)),
        PADDLE_2X,
        42.9,
        38.0,
        name="pdold_mask_rcnn_dcn_r50_vd_fpn_2x",
        folder="dcn/",
    ),
    static_row(
        static_mask(paddle_dcn(PADDLE_R101_VD)),
        PADDLE_1X,
        44.6,
        39.2,
        name="pdold_mask_rcnn_dcn_r101_vd_fpn_1x",
        folder="dcn/",
    ),
    static_row(
        static_mask(paddle_dcn(PADDLE_X101_VD_64X4D)),
        PADDLE_1X,
        46.2,
        40.4,
        name="pdold_mask_rcnn_dcn_x101_vd_64x4d_fpn_1x",
        folder="dcn/",
    ),
    static_row(
        static_cascade(paddle_dcn(PADDLE_R50)),
        SCHEDULE_1X,
        44.2,
        name="pdold_cascade_rcnn_dcn_r50_fpn_1x",
        folder="dcn/",
    ),
    static_row(
        static_cascade(paddle_dcn(PADDLE_R101_VD)),
        SCHEDULE_1X,
        46.4,
        name="pdold_cascade_rcnn_dcn_r101_vd_fpn_1x",
        folder="dcn/",
    ),
    static_row(
        static_cascade(paddle_dcn(PADDLE_X101_VD_64X4D)),
        SCHEDULE_1X,
        47.3,
        name="pdold_cascade_rcnn_dcn_x101_vd_64x4d_fpn_1x",
        folder="dcn/",
    ),
    static_row(
        static_faster(PADDLE_R50, gn=True), SCHEDULE_2X, 39.7, name="pdold_faster_rcnn_r50_fpn_gn_2x", folder="gn/"
    ),
    static_row(
        static_mask(PADDLE_R50, gn=True), PADDLE_2X, 40.1, 35.8, name="pdold_mask_rcnn_r50_fpn_gn_2x", folder="gn/"
    ),
)
