"""PAA (arXiv:2007.08103): ResNet, short schedules and long ones, with votes and without."""

from __future__ import annotations

from detzoo.methods.paa import PAA
from detzoo.recipes.columns import COCO, DENSE_1X, DENSE_2X, DENSE_3X, R101, multi_scale_range, row
from detzoo.recipes.recipe import Published

PAA_1_5X = DENSE_1X.replace(epochs=18, milestones=(12, 16))
NO_VOTING = PAA.Head(voting=False)  # the weights are those of the row above

RECIPES = (
    row(
        name="paa_r50_fpn_1x_coco",
        model=PAA.Config(),
        schedule=DENSE_1X,
        published=Published(box_ap=40.4, memory_gb=3.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/paa/paa_r50_fpn_1x_coco/paa_r50_fpn_1x_coco_20200821-936edec3.pth",
        config="paa/paa_r50_fpn_1x_coco.py",
    ),
    row(
        name="paa_r50_fpn_1x_coco__no_score_voting",
        model=PAA.Config(head=NO_VOTING),
        schedule=DENSE_1X,
        published=Published(box_ap=40.2, memory_gb=3.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/paa/paa_r50_fpn_1x_coco/paa_r50_fpn_1x_coco_20200821-936edec3.pth",
        config="paa/paa_r50_fpn_1x_coco.py",
    ),
    row(
        name="paa_r50_fpn_1.5x_coco",
        model=PAA.Config(),
        schedule=PAA_1_5X,
        published=Published(box_ap=41.4, memory_gb=3.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/paa/paa_r50_fpn_1.5x_coco/paa_r50_fpn_1.5x_coco_20200823-805d6078.pth",
        config="paa/paa_r50_fpn_1.5x_coco.py",
    ),
    row(
        name="paa_r50_fpn_1.5x_coco__no_score_voting",
        model=PAA.Config(head=NO_VOTING),
        schedule=PAA_1_5X,
        published=Published(box_ap=41.2, memory_gb=3.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/paa/paa_r50_fpn_1.5x_coco/paa_r50_fpn_1.5x_coco_20200823-805d6078.pth",
        config="paa/paa_r50_fpn_1.5x_coco.py",
    ),
    row(
        name="paa_r50_fpn_2x_coco",
        model=PAA.Config(),
        schedule=DENSE_2X,
        published=Published(box_ap=41.6, memory_gb=3.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/paa/paa_r50_fpn_2x_coco/paa_r50_fpn_2x_coco_20200821-c98bfc4e.pth",
        config="paa/paa_r50_fpn_2x_coco.py",
    ),
    row(
        name="paa_r50_fpn_mstrain_3x_coco",
        model=PAA.Config(),
        data=multi_scale_range(COCO),
        schedule=DENSE_3X,
        published=Published(box_ap=43.3, memory_gb=3.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/paa/paa_r50_fpn_mstrain_3x_coco/paa_r50_fpn_mstrain_3x_coco_20210121_145722-06a6880b.pth",
        config="paa/paa_r50_fpn_ms-3x_coco.py",
    ),
    row(
        name="paa_r101_fpn_1x_coco",
        model=PAA.Config(backbone=R101),
        schedule=DENSE_1X,
        published=Published(box_ap=42.6, memory_gb=6.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/paa/paa_r101_fpn_1x_coco/paa_r101_fpn_1x_coco_20200821-0a1825a4.pth",
        config="paa/paa_r101_fpn_1x_coco.py",
    ),
    row(
        name="paa_r101_fpn_1x_coco__no_score_voting",
        model=PAA.Config(backbone=R101, head=NO_VOTING),
        schedule=DENSE_1X,
        published=Published(box_ap=42.4, memory_gb=6.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/paa/paa_r101_fpn_1x_coco/paa_r101_fpn_1x_coco_20200821-0a1825a4.pth",
        config="paa/paa_r101_fpn_1x_coco.py",
    ),
    row(
        name="paa_r101_fpn_2x_coco",
        model=PAA.Config(backbone=R101),
        schedule=DENSE_2X,
        published=Published(box_ap=43.5, memory_gb=6.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/paa/paa_r101_fpn_2x_coco/paa_r101_fpn_2x_coco_20200821-6829f96b.pth",
        config="paa/paa_r101_fpn_2x_coco.py",
    ),
    row(
        name="paa_r101_fpn_mstrain_3x_coco",
        model=PAA.Config(backbone=R101),
        data=multi_scale_range(COCO),
        schedule=DENSE_3X,
        published=Published(box_ap=45.1, memory_gb=6.2),
        weights="http://download.openmmlab.com/mmdetection/v2.0/paa/paa_r101_fpn_mstrain_3x_coco/paa_r101_fpn_mstrain_3x_coco_20210122_084202-83250d22.pth",
        config="paa/paa_r101_fpn_ms-3x_coco.py",
    ),
)
