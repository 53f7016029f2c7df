"""Weights that published schedules start from: backbones trained on ImageNet.

Behind each stands how MMDetection's configs call it.
"""

from __future__ import annotations

from detzoo.recipes.recipe import Init

INIT_R18 = Init(  # torchvision://resnet18
    url="https://download.pytorch.org/models/resnet18-f37072fd.pth", sha256="f37072fd"
)
INIT_R34 = Init(  # torchvision://resnet34
    url="https://download.pytorch.org/models/resnet34-b627a593.pth", sha256="b627a593"
)
INIT_R50 = Init(  # torchvision://resnet50
    url="https://download.pytorch.org/models/resnet50-0676ba61.pth", sha256="0676ba61"
)
INIT_R101 = Init(  # torchvision://resnet101
    url="https://download.pytorch.org/models/resnet101-63fe2227.pth", sha256="63fe2227"
)
INIT_R50_CAFFE = Init(  # open-mmlab://detectron2/resnet50_caffe
    url="https://download.openmmlab.com/pretrain/third_party/resnet50_msra-5891d200.pth", sha256="5891d200"
)
INIT_R101_CAFFE = Init(  # open-mmlab://detectron2/resnet101_caffe
    url="https://download.openmmlab.com/pretrain/third_party/resnet101_msra-6cc46731.pth", sha256="6cc46731"
)
INIT_R50_DETECTRON = Init(  # open-mmlab://detectron/resnet50_caffe
    url="https://download.openmmlab.com/pretrain/third_party/resnet50_caffe-788b5fa3.pth", sha256="788b5fa3"
)
INIT_R101_DETECTRON = Init(  # open-mmlab://detectron/resnet101_caffe
    url="https://download.openmmlab.com/pretrain/third_party/resnet101_caffe-3ad79236.pth", sha256="3ad79236"
)
INIT_X101_32X8D = Init(  # open-mmlab://detectron2/resnext101_32x8d
    url="https://download.openmmlab.com/pretrain/third_party/resnext101_32x8d-1516f1aa.pth", sha256="1516f1aa"
)
INIT_X101_32X4D = Init(  # open-mmlab://resnext101_32x4d
    url="https://download.openmmlab.com/pretrain/third_party/resnext101_32x4d-a5af3160.pth", sha256="a5af3160"
)
INIT_X101_64X4D = Init(  # open-mmlab://resnext101_64x4d
    url="https://download.openmmlab.com/pretrain/third_party/resnext101_64x4d-ee2c6f71.pth", sha256="ee2c6f71"
)
INIT_R50_GN = Init(  # open-mmlab://detectron/resnet50_gn
    url="https://download.openmmlab.com/pretrain/third_party/resnet50_gn-9186a21c.pth", sha256="9186a21c"
)
INIT_R101_GN = Init(  # open-mmlab://detectron/resnet101_gn
    url="https://download.openmmlab.com/pretrain/third_party/resnet101_gn-cac0ab98.pth", sha256="cac0ab98"
)
INIT_R50_GN_CONTRIB = Init(  # open-mmlab://contrib/resnet50_gn
    url="https://download.openmmlab.com/pretrain/third_party/resnet50_gn_thangvubk-ad1730dd.pth", sha256="ad1730dd"
)
INIT_VGG16 = Init(  # open-mmlab://vgg16_caffe
    url="https://download.openmmlab.com/pretrain/third_party/vgg16_caffe-292e1171.pth", sha256="292e1171"
)
INIT_DARKNET53 = Init(  # open-mmlab://darknet53
    url="https://download.openmmlab.com/pretrain/third_party/darknet53-a628ea1b.pth", sha256="a628ea1b"
)
INIT_R50_WS = Init(  # open-mmlab://jhu/resnet50_gn_ws
    url="https://download.openmmlab.com/pretrain/third_party/resnet50_gn_ws-15beedd8.pth", sha256="15beedd8"
)
INIT_R101_WS = Init(  # open-mmlab://jhu/resnet101_gn_ws
    url="https://download.openmmlab.com/pretrain/third_party/resnet101_gn_ws-3e3c308c.pth", sha256="3e3c308c"
)
INIT_X50_32X4D_WS = Init(  # open-mmlab://jhu/resnext50_32x4d_gn_ws
    url="https://download.openmmlab.com/pretrain/third_party/resnext50_32x4d_gn_ws-0d87ac85.pth", sha256="0d87ac85"
)
INIT_X101_32X4D_WS = Init(  # open-mmlab://jhu/resnext101_32x4d_gn_ws
    url="https://download.openmmlab.com/pretrain/third_party/resnext101_32x4d_gn_ws-34ac1a9e.pth", sha256="34ac1a9e"
)
INIT_REGNETX_800MF = Init(  # open-mmlab://regnetx_800mf
    url="https://download.openmmlab.com/pretrain/third_party/regnetx_800mf-1f4be4c7.pth", sha256="1f4be4c7"
)
INIT_REGNETX_1_6GF = Init(  # open-mmlab://regnetx_1.6gf
    url="https://download.openmmlab.com/pretrain/third_party/regnetx_1.6gf-5791c176.pth", sha256="5791c176"
)
INIT_REGNETX_3_2GF = Init(  # open-mmlab://regnetx_3.2gf
    url="https://download.openmmlab.com/pretrain/third_party/regnetx_3.2gf-c2599b0f.pth", sha256="c2599b0f"
)
INIT_REGNETX_4GF = Init(  # open-mmlab://regnetx_4.0gf
    url="https://download.openmmlab.com/pretrain/third_party/regnetx_4.0gf-a88f671e.pth", sha256="a88f671e"
)
INIT_REGNETX_6_4GF = Init(  # open-mmlab://regnetx_6.4gf
    url="https://download.openmmlab.com/pretrain/third_party/regnetx_6.4gf-006af45d.pth", sha256="006af45d"
)
INIT_REGNETX_8GF = Init(  # open-mmlab://regnetx_8.0gf
    url="https://download.openmmlab.com/pretrain/third_party/regnetx_8.0gf-3c68abe7.pth", sha256="3c68abe7"
)
INIT_REGNETX_12GF = Init(  # open-mmlab://regnetx_12gf
    url="https://download.openmmlab.com/pretrain/third_party/regnetx_12gf-4c2a3350.pth", sha256="4c2a3350"
)
INIT_RESNEST50 = Init(  # open-mmlab://resnest50
    url="https://download.openmmlab.com/pretrain/third_party/resnest50_d2-7497a55b.pth", sha256="7497a55b"
)
INIT_RESNEST101 = Init(  # open-mmlab://resnest101
    url="https://download.openmmlab.com/pretrain/third_party/resnest101_d2-f3b931b2.pth", sha256="f3b931b2"
)
INIT_HRNET_W18 = Init(  # open-mmlab://msra/hrnetv2_w18
    url="https://download.openmmlab.com/pretrain/third_party/hrnetv2_w18-00eb2006.pth", sha256="00eb2006"
)
INIT_HRNET_W32 = Init(  # open-mmlab://msra/hrnetv2_w32
    url="https://download.openmmlab.com/pretrain/third_party/hrnetv2_w32-dc9eeb4f.pth", sha256="dc9eeb4f"
)
INIT_HRNET_W40 = Init(  # open-mmlab://msra/hrnetv2_w40
    url="https://download.openmmlab.com/pretrain/third_party/hrnetv2_w40-ed0b031c.pth", sha256="ed0b031c"
)
INIT_R2_101 = Init(  # open-mmlab://res2net101_v1d_26w_4s
    url="https://download.openmmlab.com/pretrain/third_party/res2net101_v1d_26w_4s_mmdetv2-f0a600f9.pth",
    sha256="f0a600f9",
)
