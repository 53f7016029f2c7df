"""What a row of the tables need not say: `usual_init`, and the data that `row` assumes."""

from __future__ import annotations

import re
from typing import Any

import pytest

import detzoo
from detzoo.backbones.detectors_resnet import DetectorsResNet
from detzoo.backbones.hourglass import Hourglass
from detzoo.backbones.hrnet import HRNet
from detzoo.backbones.regnet import RegNet
from detzoo.backbones.res2net import Res2Net
from detzoo.backbones.swin import Swin
from detzoo.methods.atss import ATSS
from detzoo.methods.htc import HTC
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.recipes.columns import (
    COCO,
    COCO_MASKS,
    COCO_STUFF,
    R18,
    R50,
    R101,
    SCHEDULE_1X,
    X50_32X4D,
    X101_32X4D,
    X101_32X8D,
    caffe,
    dcn,
    gcb,
    gn,
    row,
    sync_bn,
    whole_detector,
)
from detzoo.recipes.initial import INIT_R50_CAFFE, USUAL, usual_init
from detzoo.recipes.paddle_columns import PADDLE_R50_VD
from detzoo.recipes.recipe import Init, Weights
from detzoo.recipes.settings import Data

TORCHVISION = "https://download.pytorch.org/models"
OPENMMLAB = "https://download.openmmlab.com/pretrain/third_party"


def any_row(backbone: Any, **more: Any) -> Any:
    return row(name="one", model=ATSS.Config(backbone=backbone), schedule=SCHEDULE_1X, config=None, **more)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("gfl_r18_fpn_1x_coco", f"{TORCHVISION}/resnet18-f37072fd.pth"),
        ("gfl_r34_fpn_1x_coco", f"{TORCHVISION}/resnet34-b627a593.pth"),
        ("faster_rcnn_r101_fpn_1x_coco", f"{TORCHVISION}/resnet101-63fe2227.pth"),
        ("detr_r50_8x2_150e_coco", f"{TORCHVISION}/resnet50-0676ba61.pth"),
        ("faster_rcnn_r50_caffe_dc5_1x_coco", f"{OPENMMLAB}/resnet50_msra-5891d200.pth"),
        ("mask_rcnn_r101_caffe_fpn_1x_coco", f"{OPENMMLAB}/resnet101_msra-6cc46731.pth"),
        ("mask_rcnn_r101_fpn_gn-all_2x_coco", f"{OPENMMLAB}/resnet101_gn-cac0ab98.pth"),
        ("faster_rcnn_x50_32x4d_fpn_gn_ws-all_1x_coco", f"{OPENMMLAB}/resnext50_32x4d_gn_ws-0d87ac85.pth"),
        ("mask_rcnn_x101_32x8d_fpn_1x_coco", f"{OPENMMLAB}/resnext101_32x8d-1516f1aa.pth"),
        ("retinanet_x101_64x4d_fpn_1x_coco", f"{OPENMMLAB}/resnext101_64x4d-ee2c6f71.pth"),
        ("retinanet_regnetx-800MF_fpn_1x_coco", f"{OPENMMLAB}/regnetx_800mf-1f4be4c7.pth"),
        ("mask_rcnn_regnetx-12GF_fpn_1x_coco", f"{OPENMMLAB}/regnetx_12gf-4c2a3350.pth"),
        ("htc_hrnetv2p_w40_20e_coco", f"{OPENMMLAB}/hrnetv2_w40-ed0b031c.pth"),
        ("htc_r2_101_fpn_20e_coco", f"{OPENMMLAB}/res2net101_v1d_26w_4s_mmdetv2-f0a600f9.pth"),
        ("faster_rcnn_s50_fpn_syncbn-backbone+head_mstrain-range_1x_coco", f"{OPENMMLAB}/resnest50_d2-7497a55b.pth"),
        ("yolov3_d53_320_273e_coco", f"{OPENMMLAB}/darknet53-a628ea1b.pth"),
        ("ssd300_coco", f"{OPENMMLAB}/vgg16_caffe-292e1171.pth"),
    ],
)
def test_rows_start_from_the_published_weights_of_their_backbone(name: str, url: str) -> None:
    init = detzoo.find(name).init
    assert init is not None
    assert (init.url, init.prefixes) == (url, ("backbone.",))
    assert init.sha256 == url.removesuffix(".pth")[-8:]


@pytest.mark.parametrize(
    ("backbone", "of"),
    [
        (dcn(R50), "ResNet-50"),
        (gcb(sync_bn(dcn(X101_32X4D)), 4), "ResNeXt-101-32x4d"),
        (caffe(dcn(R50, version=2)), "ResNet-50 caffe"),
        (gn(R50), "ResNet-50 gn"),
        (gn(R101).replace(standardize=True), "ResNet-101 gn ws"),
        (X101_32X8D, "ResNeXt-101-32x8d"),
        (R50.replace(out_stages=(4,), norm_frozen=True, frozen_stages=-1), "ResNet-50"),
        (RegNet.Config(deform=dcn(R50).deform), "RegNetX-3.2GF"),
        (HRNet.Config(), "HRNetV2p-W32"),
        (DetectorsResNet.Config(with_image=True), "ResNet-50"),
    ],
)
def test_what_decides_is_the_network_that_was_trained_on_imagenet(backbone: Any, of: str) -> None:
    assert usual_init(backbone) is USUAL[of]
    assert any_row(R50).init == USUAL["ResNet-50"]


@pytest.mark.parametrize(
    "backbone",
    [
        gn(R18),
        X50_32X4D,
        caffe(X101_32X4D),
        R50.replace(depth=152),
        PADDLE_R50_VD,
        RegNet.Config(depth=22, initial_width=24, slope=24.48, ratio=2.54, group_width=16),
        Res2Net.Config(),
        HRNet.Config(width=48),
        Swin.Config(),
        Hourglass.Config(),
        DetectorsResNet.Config(switchable_stages=(2, 3, 4)),
    ],
)
def test_an_unknown_backbone_is_refused_until_the_row_says_what_it_starts_from(backbone: Any) -> None:
    with pytest.raises(ValueError, match=rf"no usual weights are known for {re.escape(backbone.title)}.*init=None"):
        usual_init(backbone)


def test_a_row_may_say_what_it_starts_from() -> None:
    with pytest.raises(ValueError, match="no usual weights are known for ResNet-18 gn"):
        any_row(gn(R18))
    assert any_row(gn(R18), init=None).init is None
    assert any_row(R50, init=None).init is None
    assert any_row(R50, init=INIT_R50_CAFFE).init == INIT_R50_CAFFE


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (ATSS.Config(), COCO),
        (MaskRCNN.Config(), COCO_MASKS),
        (HTC.Config(), COCO_STUFF),
        (HTC.Config(semantic_head=None), COCO_MASKS),
    ],
)
def test_a_row_that_says_no_data_is_of_coco_with_what_its_heads_learn(model: Any, data: Data) -> None:
    assert row(name="one", model=model, schedule=SCHEDULE_1X, config=None).data == data
    assert row(name="one", model=model, data=Data(), schedule=SCHEDULE_1X, config=None).data == Data()


def test_addresses_of_weights_give_their_hash() -> None:
    marked, plain = "https://host/detector-0123abcd.pth", "https://host/detector.tar"
    assert any_row(R50, weights=marked).weights == Weights(url=marked, sha256="0123abcd")
    assert any_row(R50, weights=plain).weights == Weights(url=plain)
    assert any_row(R50).weights is None
    assert whole_detector(marked) == Init(url=marked, sha256="0123abcd", prefixes=("",))
