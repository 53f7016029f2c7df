"""Weights that published schedules start from: backbones trained on ImageNet.

Behind each stands how MMDetection's configs call it.
"""

from __future__ import annotations

from typing import Any

from detzoo.backbones.resnet import ResNet, StagesConfig
from detzoo.recipes.recipe import Init


def _torchvision(file: str) -> Init:
    return Init(url=f"https://download.pytorch.org/models/{file}.pth", sha256=file[-8:])


def _openmmlab(file: str) -> Init:
    return Init(url=f"https://download.openmmlab.com/pretrain/third_party/{file}.pth", sha256=file[-8:])


# by a backbone's title and, of residual networks, by the style, the normalization and whether weights are standardized
USUAL = {
    "ResNet-18": _torchvision("resnet18-f37072fd"),  # torchvision://resnet18
    "ResNet-34": _torchvision("resnet34-b627a593"),  # torchvision://resnet34
    "ResNet-50": _torchvision("resnet50-0676ba61"),  # torchvision://resnet50
    "ResNet-101": _torchvision("resnet101-63fe2227"),  # torchvision://resnet101
    "ResNet-50 caffe": _openmmlab("resnet50_msra-5891d200"),  # open-mmlab://detectron2/resnet50_caffe
    "ResNet-101 caffe": _openmmlab("resnet101_msra-6cc46731"),  # open-mmlab://detectron2/resnet101_caffe
    "ResNet-50 gn": _openmmlab("resnet50_gn-9186a21c"),  # open-mmlab://detectron/resnet50_gn
    "ResNet-101 gn": _openmmlab("resnet101_gn-cac0ab98"),  # open-mmlab://detectron/resnet101_gn
    "ResNet-50 gn ws": _openmmlab("resnet50_gn_ws-15beedd8"),  # open-mmlab://jhu/resnet50_gn_ws
    "ResNet-101 gn ws": _openmmlab("resnet101_gn_ws-3e3c308c"),  # open-mmlab://jhu/resnet101_gn_ws
    "ResNeXt-101-32x8d": _openmmlab("resnext101_32x8d-1516f1aa"),  # open-mmlab://detectron2/resnext101_32x8d
    "ResNeXt-101-32x4d": _openmmlab("resnext101_32x4d-a5af3160"),  # open-mmlab://resnext101_32x4d
    "ResNeXt-101-64x4d": _openmmlab("resnext101_64x4d-ee2c6f71"),  # open-mmlab://resnext101_64x4d
    "ResNeXt-50-32x4d gn ws": _openmmlab("resnext50_32x4d_gn_ws-0d87ac85"),  # open-mmlab://jhu/resnext50_32x4d_gn_ws
    "ResNeXt-101-32x4d gn ws": _openmmlab("resnext101_32x4d_gn_ws-34ac1a9e"),  # open-mmlab://jhu/resnext101_32x4d_gn_ws
    "RegNetX-800MF": _openmmlab("regnetx_800mf-1f4be4c7"),  # open-mmlab://regnetx_800mf
    "RegNetX-1.6GF": _openmmlab("regnetx_1.6gf-5791c176"),  # open-mmlab://regnetx_1.6gf
    "RegNetX-3.2GF": _openmmlab("regnetx_3.2gf-c2599b0f"),  # open-mmlab://regnetx_3.2gf
    "RegNetX-4.0GF": _openmmlab("regnetx_4.0gf-a88f671e"),  # open-mmlab://regnetx_4.0gf
    "RegNetX-6.4GF": _openmmlab("regnetx_6.4gf-006af45d"),  # open-mmlab://regnetx_6.4gf
    "RegNetX-8.0GF": _openmmlab("regnetx_8.0gf-3c68abe7"),  # open-mmlab://regnetx_8.0gf
    "RegNetX-12GF": _openmmlab("regnetx_12gf-4c2a3350"),  # open-mmlab://regnetx_12gf
    "ResNeSt-50": _openmmlab("resnest50_d2-7497a55b"),  # open-mmlab://resnest50
    "ResNeSt-101": _openmmlab("resnest101_d2-f3b931b2"),  # open-mmlab://resnest101
    "Res2Net-101": _openmmlab("res2net101_v1d_26w_4s_mmdetv2-f0a600f9"),  # open-mmlab://res2net101_v1d_26w_4s
    "HRNetV2p-W18": _openmmlab("hrnetv2_w18-00eb2006"),  # open-mmlab://msra/hrnetv2_w18
    "HRNetV2p-W32": _openmmlab("hrnetv2_w32-dc9eeb4f"),  # open-mmlab://msra/hrnetv2_w32
    "HRNetV2p-W40": _openmmlab("hrnetv2_w40-ed0b031c"),  # open-mmlab://msra/hrnetv2_w40
    "Darknet-53": _openmmlab("darknet53-a628ea1b"),  # open-mmlab://darknet53
    "VGG-16": _openmmlab("vgg16_caffe-292e1171"),  # open-mmlab://vgg16_caffe
}

# what single rows start from, and say so
INIT_R50, INIT_R50_CAFFE = USUAL["ResNet-50"], USUAL["ResNet-50 caffe"]
INIT_R50_DETECTRON = _openmmlab("resnet50_caffe-788b5fa3")  # open-mmlab://detectron/resnet50_caffe
INIT_R101_DETECTRON = _openmmlab("resnet101_caffe-3ad79236")  # open-mmlab://detectron/resnet101_caffe
INIT_R50_GN_CONTRIB = _openmmlab("resnet50_gn_thangvubk-ad1730dd")  # open-mmlab://contrib/resnet50_gn


def usual_init(backbone: Any) -> Init:
    """What MMDetection's tables start a backbone from: deformed or with plugins, from the plain network's weights.

    Args:
        backbone: its settings.

    Raises:
        ValueError: no weights are known for it.
    """
    title = backbone.title
    if isinstance(backbone, StagesConfig):
        plain: Any = backbone.replace(deform=None, plugins=())
        marks = {
            "caffe": backbone.style == "caffe",
            "gn": backbone.norm == "gn",
            "ws": backbone.standardize,
            "deep stem": isinstance(backbone, ResNet.Config) and backbone.stem == "deep",
        }
        title = " ".join([plain.title, *(mark for mark, marked in marks.items() if marked)])
    if title not in USUAL:
        raise ValueError(f"no usual weights are known for {title}: say init=Init(...), or init=None to start from none")
    return USUAL[title]
