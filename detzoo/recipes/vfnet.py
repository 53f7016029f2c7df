"""VarifocalNet (arXiv:2008.13367): ResNet and ResNeXt, some with deformable convolution in backbone and head."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.layers import Deform
from detzoo.methods.vfnet import VFNet
from detzoo.recipes.columns import (
    COCO,
    R50,
    R101,
    SCHEDULE_1X,
    SCHEDULE_2X,
    X101_32X4D,
    X101_64X4D,
    dcn,
    multi_scale_range,
    row,
)
from detzoo.recipes.fcos import BIASES, SHIFT_BIASES
from detzoo.recipes.recipe import Published

VFNET_1X = SCHEDULE_1X.replace(lr=0.01, groups=BIASES, warmup_start=0.1)
VFNET_2X = SCHEDULE_2X.replace(lr=0.01, groups=BIASES, warmup_start=0.1)
VFNET_DCN_2X = VFNET_2X.replace(groups=(SHIFT_BIASES, *BIASES))
VFNET_SCALES = multi_scale_range(COCO, 480, 960)


def deformed(backbone: ResNet.Config) -> VFNet.Config:
    """VarifocalNet with deformable convolution in backbone and head."""
    return VFNet.Config(backbone=dcn(backbone, version=2), head=VFNet.Head(deform=Deform(version=2)))


RECIPES = (
    row(
        name="vfnet_r50_fpn_1x_coco",
        model=VFNet.Config(),
        schedule=VFNET_1X,
        published=Published(box_ap=41.6),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/vfnet/vfnet_r50_fpn_1x_coco/vfnet_r50_fpn_1x_coco_20201027-38db6f58.pth",
        config="vfnet/vfnet_r50_fpn_1x_coco.py",
    ),
    row(
        name="vfnet_r50_fpn_mstrain_2x_coco",
        model=VFNet.Config(),
        data=VFNET_SCALES,
        schedule=VFNET_2X,
        published=Published(box_ap=44.5),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/vfnet/vfnet_r50_fpn_mstrain_2x_coco/vfnet_r50_fpn_mstrain_2x_coco_20201027-7cc75bd2.pth",
        config="vfnet/vfnet_r50_fpn_ms-2x_coco.py",
    ),
    row(
        name="vfnet_r50_fpn_mdconv_c3-c5_mstrain_2x_coco",
        model=deformed(R50),
        data=VFNET_SCALES,
        schedule=VFNET_DCN_2X,
        published=Published(box_ap=47.8),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/vfnet/vfnet_r50_fpn_mdconv_c3-c5_mstrain_2x_coco/vfnet_r50_fpn_mdconv_c3-c5_mstrain_2x_coco_20201027pth-6879c318.pth",
        config="vfnet/vfnet_r50-mdconv-c3-c5_fpn_ms-2x_coco.py",
    ),
    row(
        name="vfnet_r101_fpn_1x_coco",
        model=VFNet.Config(backbone=R101),
        schedule=VFNET_1X,
        published=Published(box_ap=43.0),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/vfnet/vfnet_r101_fpn_1x_coco/vfnet_r101_fpn_1x_coco_20201027pth-c831ece7.pth",
        config="vfnet/vfnet_r101_fpn_1x_coco.py",
    ),
    row(
        name="vfnet_r101_fpn_mstrain_2x_coco",
        model=VFNet.Config(backbone=R101),
        data=VFNET_SCALES,
        schedule=VFNET_2X,
        published=Published(box_ap=46.2),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/vfnet/vfnet_r101_fpn_mstrain_2x_coco/vfnet_r101_fpn_mstrain_2x_coco_20201027pth-4a5d53f1.pth",
        config="vfnet/vfnet_r101_fpn_ms-2x_coco.py",
    ),
    row(
        name="vfnet_r101_fpn_mdconv_c3-c5_mstrain_2x_coco",
        model=deformed(R101),
        data=VFNET_SCALES,
        schedule=VFNET_DCN_2X,
        published=Published(box_ap=49.0),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/vfnet/vfnet_r101_fpn_mdconv_c3-c5_mstrain_2x_coco/vfnet_r101_fpn_mdconv_c3-c5_mstrain_2x_coco_20201027pth-7729adb5.pth",
        config="vfnet/vfnet_r101-mdconv-c3-c5_fpn_ms-2x_coco.py",
    ),
    row(
        name="vfnet_x101_32x4d_fpn_mdconv_c3-c5_mstrain_2x_coco",
        model=deformed(X101_32X4D),
        data=VFNET_SCALES,
        schedule=VFNET_DCN_2X,
        published=Published(box_ap=49.7),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/vfnet/vfnet_x101_32x4d_fpn_mdconv_c3-c5_mstrain_2x_coco/vfnet_x101_32x4d_fpn_mdconv_c3-c5_mstrain_2x_coco_20201027pth-d300a6fc.pth",
        config="vfnet/vfnet_x101-32x4d-mdconv-c3-c5_fpn_ms-2x_coco.py",
    ),
    row(
        name="vfnet_x101_64x4d_fpn_mdconv_c3-c5_mstrain_2x_coco",
        model=deformed(X101_64X4D),
        data=VFNET_SCALES,
        schedule=VFNET_DCN_2X,
        published=Published(box_ap=50.4),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/vfnet/vfnet_x101_64x4d_fpn_mdconv_c3-c5_mstrain_2x_coco/vfnet_x101_64x4d_fpn_mdconv_c3-c5_mstrain_2x_coco_20201027pth-b5f6da5e.pth",
        config="vfnet/vfnet_x101-64x4d-mdconv-c3-c5_fpn_ms-2x_coco.py",
    ),
)
