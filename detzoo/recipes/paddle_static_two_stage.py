"""PaddleDetection's two-stage models of its static-graph releases (0.2 to 0.5)."""

from __future__ import annotations

from detzoo.backbones.cbnet import CBNet
from detzoo.blocks.layers import Deform
from detzoo.detector import Input
from detzoo.recipes.columns import BGR_DETECTRON
from detzoo.recipes.paddle_columns import (
    EARLY_1X,
    EARLY_2X,
    EARLY_PAIRS_1X,
    EARLY_PAIRS_2X,
    PADDLE_1X,
    PADDLE_2X,
    PADDLE_R50,
    PADDLE_R50_DCN,
    PADDLE_R50_VD,
    PADDLE_R50_VD_DCN,
    PADDLE_R101,
    PADDLE_R101_VD,
    PADDLE_R101_VD_DCN,
    PADDLE_R200_VD_NL,
    PADDLE_SE154_VD,
    PADDLE_X101_VD_64X4D,
    PADDLE_X101_VD_DCN,
    PAIRS_1X,
    PAIRS_2X,
    SOFT,
    STATIC_CASCADE_HEAD,
    static_cascade,
    static_cascade_mask,
    static_class_aware,
    static_faster,
    static_faster_c4,
    static_mask,
    static_mask_c4,
    static_row,
)
from detzoo.recipes.recipe import Published, Recipe
from detzoo.tta import TTA

SE_1X = PADDLE_1X.replace(epochs=18, milestones=(14, 16))
SE_DCN = PADDLE_1X.replace(epochs=20, milestones=(16, 19), warmup_steps=2000, warmup_start=0.01)
LONG = PADDLE_1X.replace(epochs=31, milestones=(23, 30))
LARGE = Input(short=1200, long=2000)
SE154_DCN = PADDLE_SE154_VD.replace(form="original", project_first=False, deform=Deform(version=2))
CLASS_AWARE = static_class_aware(PADDLE_R101_VD)
VIEWS = TTA(
    scales=((800, 1333), *((short, 2000) for short in (400, 500, 600, 700, 900, 1000, 1100, 1200))),
    first_nms=False,
    votes=0.9,
)


def _in_sizes(recipe: Recipe, long: int) -> Recipe:
    """A recipe that trains in sizes far apart."""
    return recipe.replace(data=recipe.data.replace(sizes=tuple((short, long) for short in range(416, 1409, 32))))


RECIPES = (
    static_row(static_faster_c4(PADDLE_R50), EARLY_1X, 35.2, name="pdold_faster_rcnn_r50_1x", fps=12.747),
    static_row(static_faster_c4(PADDLE_R50), EARLY_2X, 37.1, name="pdold_faster_rcnn_r50_2x", fps=12.686),
    static_row(static_mask_c4(PADDLE_R50), EARLY_1X, 36.5, 32.2, name="pdold_mask_rcnn_r50_1x", fps=11.615),
    static_row(static_mask_c4(PADDLE_R50), EARLY_2X, 38.2, 33.4, name="pdold_mask_rcnn_r50_2x", fps=11.494),
    static_row(static_faster_c4(PADDLE_R50_VD), EARLY_1X, 36.4, name="pdold_faster_rcnn_r50_vd_1x", fps=12.575),
    static_row(static_faster(PADDLE_R50), EARLY_PAIRS_1X, 37.2, name="pdold_faster_rcnn_r50_fpn_1x", fps=22.273),
    static_row(static_faster(PADDLE_R50), EARLY_PAIRS_2X, 37.7, name="pdold_faster_rcnn_r50_fpn_2x", fps=22.297),
    static_row(static_mask(PADDLE_R50), EARLY_1X, 37.9, 34.2, name="pdold_mask_rcnn_r50_fpn_1x", fps=15.184),
    static_row(static_mask(PADDLE_R50), EARLY_2X, 38.7, 34.7, name="pdold_mask_rcnn_r50_fpn_2x", fps=15.881),
    static_row(static_cascade(PADDLE_R50), EARLY_PAIRS_1X, 40.9, name="pdold_cascade_rcnn_r50_fpn_1x", fps=17.507),
    static_row(static_cascade_mask(PADDLE_R50), EARLY_1X, 41.3, 35.5, name="pdold_cascade_mask_rcnn_r50_fpn_1x"),
    static_row(static_faster(PADDLE_R50_VD), EARLY_PAIRS_2X, 38.9, name="pdold_faster_rcnn_r50_vd_fpn_2x", fps=21.847),
    static_row(
        static_faster(CBNet.Config(network=PADDLE_R50_VD)),
        PAIRS_1X.replace(lr=0.01),
        39.7,
        name="pdold_faster_rcnn_cbr50_vd_dual_fpn_1x",
    ),
    static_row(static_mask(PADDLE_R50_VD), EARLY_2X, 39.8, 35.4, name="pdold_mask_rcnn_r50_vd_fpn_2x", fps=15.825),
    static_row(static_faster_c4(PADDLE_R101), EARLY_1X, 38.3, name="pdold_faster_rcnn_r101_1x", fps=9.316),
    static_row(static_faster(PADDLE_R101), EARLY_1X, 38.7, name="pdold_faster_rcnn_r101_fpn_1x", fps=17.297),
    static_row(static_faster(PADDLE_R101), EARLY_2X, 39.1, name="pdold_faster_rcnn_r101_fpn_2x", fps=17.246),
    static_row(static_mask(PADDLE_R101), EARLY_1X, 39.5, 35.2, name="pdold_mask_rcnn_r101_fpn_1x", fps=12.983),
    static_row(
        static_faster(PADDLE_R101_VD),
        PADDLE_1X.replace(warmup_start=1 / 3),
        40.5,
        name="pdold_faster_rcnn_r101_vd_fpn_1x",
        fps=17.011,
    ),
    static_row(
        static_faster(PADDLE_R101_VD),
        PADDLE_2X.replace(warmup_start=1 / 3),
        40.8,
        name="pdold_faster_rcnn_r101_vd_fpn_2x",
        fps=16.934,
    ),
    static_row(static_mask(PADDLE_R101_VD), PADDLE_1X, 41.4, 36.8, name="pdold_mask_rcnn_r101_vd_fpn_1x", fps=13.105),
    static_row(
        static_faster(CBNet.Config(network=PADDLE_R101_VD)),
        PAIRS_1X.replace(lr=0.01),
        42.7,
        name="pdold_faster_rcnn_cbr101_vd_dual_fpn_1x",
    ),
    static_row(
        static_faster(PADDLE_X101_VD_64X4D), PADDLE_1X, 42.2, name="pdold_faster_rcnn_x101_vd_64x4d_fpn_1x", fps=8.815
    ),
    static_row(
        static_faster(PADDLE_X101_VD_64X4D), PADDLE_2X, 41.7, name="pdold_faster_rcnn_x101_vd_64x4d_fpn_2x", fps=8.809
    ),
    static_row(
        static_mask(PADDLE_X101_VD_64X4D), PADDLE_1X, 42.9, 37.9, name="pdold_mask_rcnn_x101_vd_64x4d_fpn_1x", fps=7.689
    ),
    static_row(
        static_mask(PADDLE_X101_VD_64X4D), PADDLE_2X, 42.6, 37.6, name="pdold_mask_rcnn_x101_vd_64x4d_fpn_2x", fps=7.859
    ),
    static_row(static_faster(PADDLE_SE154_VD), SE_1X, 42.9, name="pdold_faster_rcnn_se154_vd_fpn_s1x", fps=3.408),
    static_row(static_mask(PADDLE_SE154_VD), SE_1X, 44.0, 38.7, name="pdold_mask_rcnn_se154_vd_fpn_s1x", fps=3.233),
    static_row(
        CLASS_AWARE.replace(box_head=CLASS_AWARE.box_head.replace(**SOFT)),
        PAIRS_1X,
        44.7,
        name="pdold_cascade_rcnn_cls_aware_r101_vd_fpn_1x_softnms",
    ),
    static_row(
        CLASS_AWARE, PAIRS_1X, 46.5, name="pdold_cascade_rcnn_cls_aware_r101_vd_fpn_1x_softnms__ms_test"
    ).replace(
        published=Published(box_ap=46.5, tta=VIEWS),
        config="release/0.3:configs/cascade_rcnn_cls_aware_r101_vd_fpn_ms_test.yml",
    ),
    static_row(static_faster(PADDLE_R50_DCN), PAIRS_1X, 41.0, name="pdold_faster_rcnn_dcn_r50_fpn_1x", fps=19.978),
    static_row(
        static_faster(PADDLE_R50_VD_DCN), PAIRS_2X, 42.4, name="pdold_faster_rcnn_dcn_r50_vd_fpn_2x", fps=19.222
    ),
    static_row(
        static_faster(PADDLE_R101_VD_DCN), PAIRS_1X, 44.1, name="pdold_faster_rcnn_dcn_r101_vd_fpn_1x", fps=14.477
    ),
    static_row(
        static_faster(PADDLE_X101_VD_DCN), PADDLE_1X, 45.2, name="pdold_faster_rcnn_dcn_x101_vd_64x4d_fpn_1x", fps=7.209
    ),
    static_row(static_mask(PADDLE_R50_DCN), PADDLE_1X, 41.9, 37.3, name="pdold_mask_rcnn_dcn_r50_fpn_1x", fps=14.53),
    static_row(
        static_mask(PADDLE_R50_VD_DCN), PADDLE_2X, 42.9, 38.0, name="pdold_mask_rcnn_dcn_r50_vd_fpn_2x", fps=14.832
    ),
    static_row(
        static_mask(PADDLE_R101_VD_DCN), PADDLE_1X, 44.6, 39.2, name="pdold_mask_rcnn_dcn_r101_vd_fpn_1x", fps=11.546
    ),
    static_row(
        static_mask(PADDLE_X101_VD_DCN),
        PADDLE_1X,
        46.2,
        40.4,
        name="pdold_mask_rcnn_dcn_x101_vd_64x4d_fpn_1x",
        fps=6.45,
    ),
    static_row(static_cascade(PADDLE_R50_DCN), PAIRS_1X, 44.2, name="pdold_cascade_rcnn_dcn_r50_fpn_1x"),
    static_row(static_cascade(PADDLE_R101_VD_DCN), PAIRS_1X, 46.4, name="pdold_cascade_rcnn_dcn_r101_vd_fpn_1x"),
    static_row(static_cascade(PADDLE_X101_VD_DCN), PAIRS_1X, 47.3, name="pdold_cascade_rcnn_dcn_x101_vd_64x4d_fpn_1x"),
    _in_sizes(
        static_row(
            static_cascade_mask(SE154_DCN, gn=True).replace(input=BGR_DETECTRON),
            SE_DCN,
            51.9,
            43.9,
            name="pdold_cascade_mask_rcnn_dcnv2_se154_vd_fpn_gn_s1x",
        ),
        1600,
    ),
    _in_sizes(
        static_row(
            static_class_aware(PADDLE_R200_VD_NL).replace(input=LARGE, box_head=CLASS_AWARE.box_head.replace(**SOFT)),
            LONG,
            51.7,
            name="pdold_cascade_rcnn_cls_aware_r200_vd_fpn_dcnv2_nonlocal_softnms",
        ),
        1800,
    ),
    _in_sizes(
        static_row(
            static_cascade(CBNet.Config(network=PADDLE_R200_VD_NL)).replace(
                input=LARGE, box_head=STATIC_CASCADE_HEAD.replace(size=14, **SOFT)
            ),
            LONG.replace(lr=0.005),
            53.3,
            name="pdold_cascade_rcnn_cbr200_vd_fpn_dcnv2_nonlocal_softnms",
        ),
        1600,
    ),
    static_row(
        static_faster(PADDLE_R50, gn=True), PAIRS_2X, 39.7, name="pdold_faster_rcnn_r50_fpn_gn_2x", folder="gn/"
    ),
    static_row(
        static_mask(PADDLE_R50, gn=True), EARLY_2X, 40.1, 35.8, name="pdold_mask_rcnn_r50_fpn_gn_2x", folder="gn/"
    ),
)
