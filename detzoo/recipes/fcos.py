"""FCOS (arXiv:1904.01355): ResNet in caffe style and ResNeXt; centre sampling and its companions; deformable layers."""

from __future__ import annotations

from detzoo.blocks.layers import Deform
from detzoo.blocks.losses import BoxLoss
from detzoo.methods.fcos import FCOS
from detzoo.recipes.columns import (
    BGR,
    BGR_DETECTRON,
    COCO,
    R50,
    R101,
    RGB,
    SCHEDULE_1X,
    SCHEDULE_2X,
    X101_64X4D,
    caffe,
    dcn,
    row,
)
from detzoo.recipes.initial import INIT_R50_DETECTRON, INIT_R101_DETECTRON
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import ParamGroup

# biases take twice the learning rate, but for those of normalization layers; no bias decays
BIASES = (
    ParamGroup(pattern=r"\.bias$", of="norm", weight_decay=0.0),
    ParamGroup(of="bias", lr_scale=2.0, weight_decay=0.0),
)
# but biases of the shifts of deformable convolution are learned as weights are; this group stands before those
SHIFT_BIASES = ParamGroup(pattern=r"\.conv_offset\.bias$")
FCOS_1X = SCHEDULE_1X.replace(lr=0.01, groups=BIASES, warmup="constant", warmup_start=1 / 3, clip_norm=35.0)
FCOS_2X = SCHEDULE_2X.replace(lr=0.01, groups=BIASES, warmup="constant", warmup_start=1 / 3, clip_norm=35.0)
FCOS_CENTER_1X = FCOS_1X.replace(warmup="linear", clip_norm=None)
FCOS_DCN_1X = FCOS_CENTER_1X.replace(groups=(SHIFT_BIASES, *BIASES))
TWO_SIZES = COCO.replace(sizes=((640, 1333), (800, 1333)))

CENTER_HEAD = FCOS.Head(
    bias=True,
    in_strides=True,
    centerness_on_reg=True,
    radius=1.5,
    box_loss=BoxLoss(kind="giou"),
    nms=0.6,
)

RECIPES = (
    row(
        name="fcos_r50_caffe_fpn_gn-head_1x_coco",
        model=FCOS.Config(input=BGR_DETECTRON, backbone=caffe(R50)),
        schedule=FCOS_1X,
        init=INIT_R50_DETECTRON,
        published=Published(box_ap=36.6, memory_gb=3.6, fps=22.7),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/fcos/fcos_r50_caffe_fpn_gn-head_1x_coco/fcos_r50_caffe_fpn_gn-head_1x_coco-821213aa.pth",
        config="fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    ),
    row(
        name="fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_1x_coco",
        model=FCOS.Config(input=BGR, backbone=caffe(R50), head=CENTER_HEAD),
        schedule=FCOS_CENTER_1X,
        published=Published(box_ap=38.7, memory_gb=3.7),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/fcos/fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_1x_coco/fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_1x_coco-0a0d75a8.pth",
        config="fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    ),
    row(
        name="fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_dcn_1x_coco",
        model=FCOS.Config(
            input=BGR, backbone=caffe(dcn(R50, version=2)), head=CENTER_HEAD.replace(deform=Deform(version=2))
        ),
        schedule=FCOS_DCN_1X,
        published=Published(box_ap=42.3, memory_gb=3.8),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/fcos/fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_dcn_1x_coco/fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_dcn_1x_coco-ae4d8b3d.pth",
        config="fcos/fcos_r50-dcn-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    ),
    row(
        name="fcos_r101_caffe_fpn_gn-head_1x_coco",
        model=FCOS.Config(input=BGR_DETECTRON, backbone=caffe(R101)),
        schedule=FCOS_1X,
        init=INIT_R101_DETECTRON,
        published=Published(box_ap=39.1, memory_gb=5.5, fps=17.3),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/fcos/fcos_r101_caffe_fpn_gn-head_1x_coco/fcos_r101_caffe_fpn_gn-head_1x_coco-0e37b982.pth",
        config="fcos/fcos_r101-caffe_fpn_gn-head-1x_coco.py",
    ),
    row(
        name="fcos_r50_caffe_fpn_gn-head_mstrain_640-800_2x_coco",
        model=FCOS.Config(input=BGR_DETECTRON, backbone=caffe(R50)),
        data=TWO_SIZES,
        schedule=FCOS_2X,
        init=INIT_R50_DETECTRON,
        published=Published(box_ap=38.5, memory_gb=2.6, fps=22.9),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/fcos/fcos_r50_caffe_fpn_gn-head_mstrain_640-800_2x_coco/fcos_r50_caffe_fpn_gn-head_mstrain_640-800_2x_coco-d92ceeea.pth",
        config="fcos/fcos_r50-caffe_fpn_gn-head_ms-640-800-2x_coco.py",
    ),
    row(
        name="fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco",
        model=FCOS.Config(input=BGR_DETECTRON, backbone=caffe(R101)),
        data=TWO_SIZES,
        schedule=FCOS_2X,
        init=INIT_R101_DETECTRON,
        published=Published(box_ap=40.8, memory_gb=5.5, fps=17.3),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/fcos/fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco/fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco-511424d6.pth",
        config="fcos/fcos_r101-caffe_fpn_gn-head_ms-640-800-2x_coco.py",
    ),
    row(
        name="fcos_x101_64x4d_fpn_gn-head_mstrain_640-800_2x_coco",
        model=FCOS.Config(input=RGB, backbone=X101_64X4D),
        data=TWO_SIZES,
        schedule=FCOS_2X,
        published=Published(box_ap=42.6, memory_gb=10.0, fps=9.7),
        weights="https://openmmlab.oss-cn-hangzhou.aliyuncs.com/mmdetection/v2.0/fcos/fcos_x101_64x4d_fpn_gn-head_mstrain_640-800_2x_coco/fcos_x101_64x4d_fpn_gn-head_mstrain_640-800_2x_coco-ede514a8.pth",
        config="fcos/fcos_x101-64x4d_fpn_gn-head_ms-640-800-2x_coco.py",
    ),
)
