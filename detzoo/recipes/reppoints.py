"""RepPoints (arXiv:1904.11490): points that stand for a box by their moments, and points on a grid in a box."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.assign import MatchConfig
from detzoo.methods.reppoints import RepPoints
from detzoo.necks.fpn import FPN
from detzoo.recipes.columns import DENSE_1X, DENSE_2X, R50, R101, X101_32X4D, dcn, row
from detzoo.recipes.recipe import Published

GN_HEAD = RepPoints.Head(norm="gn")
GRID_HEAD = GN_HEAD.replace(box="grid")
# where the first points learn is found as anchors are
ANCHOR_HEAD = GRID_HEAD.replace(first_match=MatchConfig(positive=0.5, negative=0.4, low_quality=0.0))


def reppoints_gn(backbone: ResNet.Config = R50, head: RepPoints.Head = GN_HEAD) -> RepPoints.Config:
    """RepPoints with group normalization in pyramid and head."""
    return RepPoints.Config(backbone=backbone, neck=FPN.Config(start=1, extra="on_input", norm="gn"), head=head)


RECIPES = (
    row(
        name="bbox_r50_grid_fpn_gn-neck+head_1x_coco",
        model=reppoints_gn(head=ANCHOR_HEAD),
        schedule=DENSE_1X,
        published=Published(box_ap=36.4, memory_gb=3.9, fps=15.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/reppoints/bbox_r50_grid_fpn_gn-neck%2Bhead_1x_coco/bbox_r50_grid_fpn_gn-neck%2Bhead_1x_coco_20200329-c98bfa96.pth",
        config="reppoints/reppoints-bbox_r50_fpn-gn_head-gn-grid_1x_coco.py",
    ),
    row(
        name="bbox_r50_grid_center_fpn_gn-neck+head_1x_coco",
        model=reppoints_gn(head=GRID_HEAD),
        schedule=DENSE_1X,
        published=Published(box_ap=37.4, memory_gb=3.9, fps=15.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/reppoints/bbox_r50_grid_center_fpn_gn-neck%2Bhead_1x_coco/bbox_r50_grid_center_fpn_gn-neck%2Bhead_1x_coco_20200330-00f73d58.pth",
        config="reppoints/reppoints-bbox_r50-center_fpn-gn_head-gn-grid_1x_coco.py",
    ),
    row(
        name="reppoints_moment_r50_fpn_1x_coco",
        model=RepPoints.Config(),
        schedule=DENSE_1X,
        published=Published(box_ap=37.0, memory_gb=3.3, fps=18.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/reppoints/reppoints_moment_r50_fpn_1x_coco/reppoints_moment_r50_fpn_1x_coco_20200330-b73db8d1.pth",
        config="reppoints/reppoints-moment_r50_fpn_1x_coco.py",
    ),
    row(
        name="reppoints_moment_r50_fpn_gn-neck+head_1x_coco",
        model=reppoints_gn(),
        schedule=DENSE_1X,
        published=Published(box_ap=38.1, memory_gb=3.9, fps=17.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/reppoints/reppoints_moment_r50_fpn_gn-neck%2Bhead_1x_coco/reppoints_moment_r50_fpn_gn-neck%2Bhead_1x_coco_20200329-4b38409a.pth",
        config="reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco.py",
    ),
    row(
        name="reppoints_moment_r50_fpn_gn-neck+head_2x_coco",
        model=reppoints_gn(),
        schedule=DENSE_2X,
        published=Published(box_ap=38.6, memory_gb=3.9),
        weights="http://download.openmmlab.com/mmdetection/v2.0/reppoints/reppoints_moment_r50_fpn_gn-neck%2Bhead_2x_coco/reppoints_moment_r50_fpn_gn-neck%2Bhead_2x_coco_20200329-91babaa2.pth",
        config="reppoints/reppoints-moment_r50_fpn-gn_head-gn_2x_coco.py",
    ),
    row(
        name="reppoints_moment_r101_fpn_gn-neck+head_2x_coco",
        model=reppoints_gn(R101),
        schedule=DENSE_2X,
        published=Published(box_ap=40.5, memory_gb=5.8, fps=13.7),
        weights="http://download.openmmlab.com/mmdetection/v2.0/reppoints/reppoints_moment_r101_fpn_gn-neck%2Bhead_2x_coco/reppoints_moment_r101_fpn_gn-neck%2Bhead_2x_coco_20200329-4fbc7310.pth",
        config="reppoints/reppoints-moment_r101_fpn-gn_head-gn_2x_coco.py",
    ),
    row(
        name="reppoints_moment_r101_fpn_dconv_c3-c5_gn-neck+head_2x_coco",
        model=reppoints_gn(dcn(R101)),
        schedule=DENSE_2X,
        published=Published(box_ap=42.9, memory_gb=5.9, fps=12.1),
        weights="http://download.openmmlab.com/mmdetection/v2.0/reppoints/reppoints_moment_r101_fpn_dconv_c3-c5_gn-neck%2Bhead_2x_coco/reppoints_moment_r101_fpn_dconv_c3-c5_gn-neck%2Bhead_2x_coco_20200329-3309fbf2.pth",
        config="reppoints/reppoints-moment_r101-dconv-c3-c5_fpn-gn_head-gn_2x_coco.py",
    ),
    row(
        name="reppoints_moment_x101_fpn_dconv_c3-c5_gn-neck+head_2x_coco",
        model=reppoints_gn(dcn(X101_32X4D)),
        schedule=DENSE_2X,
        published=Published(box_ap=44.2, memory_gb=7.1, fps=9.3),
        weights="http://download.openmmlab.com/mmdetection/v2.0/reppoints/reppoints_moment_x101_fpn_dconv_c3-c5_gn-neck%2Bhead_2x_coco/reppoints_moment_x101_fpn_dconv_c3-c5_gn-neck%2Bhead_2x_coco_20200329-f87da1ea.pth",
        config="reppoints/reppoints-moment_x101-dconv-c3-c5_fpn-gn_head-gn_2x_coco.py",
    ),
)
