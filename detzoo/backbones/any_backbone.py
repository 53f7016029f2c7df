"""Which backbones a method with a slot for one may have, as one closed union.

Each is a ``nn.Module`` with ``channels`` and ``strides`` of the maps that it returns, finest first; its ``Config`` has
a ``kind``, a ``title`` as papers print it, and ``build()``.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from detzoo.backbones.blazenet import BlazeNet
from detzoo.backbones.cbnet import CBNet
from detzoo.backbones.darknet import Darknet
from detzoo.backbones.detectors_resnet import DetectorsResNet
from detzoo.backbones.faceboxnet import FaceBoxNet
from detzoo.backbones.ghostnet import GhostNet
from detzoo.backbones.hrnet import HRNet
from detzoo.backbones.mobilenet_v1 import MobileNetV1
from detzoo.backbones.mobilenet_v2 import MobileNetV2
from detzoo.backbones.mobilenet_v3 import MobileNetV3
from detzoo.backbones.own import OwnBackbone
from detzoo.backbones.regnet import RegNet
from detzoo.backbones.res2net import Res2Net
from detzoo.backbones.resnest import ResNeSt
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.senet import SENet
from detzoo.backbones.swin import Swin
from detzoo.backbones.timm_backbone import TimmBackbone
from detzoo.backbones.vgg import VGG
from detzoo.config import kind_if_absent

AnyBackbone: TypeAlias = Annotated[
    BlazeNet.Config
    | CBNet.Config
    | Darknet.Config
    | DetectorsResNet.Config
    | FaceBoxNet.Config
    | GhostNet.Config
    | HRNet.Config
    | MobileNetV1.Config
    | MobileNetV2.Config
    | MobileNetV3.Config
    | OwnBackbone.Config
    | RegNet.Config
    | Res2Net.Config
    | ResNeSt.Config
    | ResNet.Config
    | SENet.Config
    | Swin.Config
    | TimmBackbone.Config
    | VGG.Config,
    Field(discriminator="kind"),
    BeforeValidator(kind_if_absent("resnet")),
]
