"""NAS-FCOS (arXiv:1906.04423): the searched neck under FCOS's head, and under the searched one."""

from __future__ import annotations

from detzoo.methods.fcos import FCOS
from detzoo.necks.nas_fcos import NASFCOSNeck
from detzoo.recipes.columns import BGR, R50, caffe, row
from detzoo.recipes.fcos import FCOS_DCN_1X
from detzoo.recipes.recipe import Published

NAS_FCOS = FCOS.Config(
    input=BGR,
    backbone=caffe(R50).replace(norm_eps=0.0),
    neck=NASFCOSNeck.Config(),
    head=FCOS.Head(nms=0.6),
)

RECIPES = (
    row(
        name="nas_fcos_nashead_r50_caffe_fpn_gn-head_4x4_1x_coco",
        model=NAS_FCOS.replace(head=FCOS.Head(searched=True, nms=0.6)),
        schedule=FCOS_DCN_1X,
        published=Published(box_ap=39.4),
        weights="http://download.openmmlab.com/mmdetection/v2.0/nas_fcos/nas_fcos_nashead_r50_caffe_fpn_gn-head_4x4_1x_coco/nas_fcos_nashead_r50_caffe_fpn_gn-head_4x4_1x_coco_20200520-1bdba3ce.pth",
        config="nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py",
    ),
    row(
        name="nas_fcos_fcoshead_r50_caffe_fpn_gn-head_4x4_1x_coco",
        model=NAS_FCOS,
        schedule=FCOS_DCN_1X,
        published=Published(box_ap=38.5),
        weights="http://download.openmmlab.com/mmdetection/v2.0/nas_fcos/nas_fcos_fcoshead_r50_caffe_fpn_gn-head_4x4_1x_coco/nas_fcos_fcoshead_r50_caffe_fpn_gn-head_4x4_1x_coco_20200521-7fdcbce0.pth",
        config="nas_fcos/nas-fcos_r50-caffe_fpn_fcoshead-gn-head_4xb4-1x_coco.py",
    ),
)
