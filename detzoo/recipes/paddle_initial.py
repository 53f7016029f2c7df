"""Weights that PaddleDetection's published schedules start from: classifiers of its own, trained on ImageNet."""

from __future__ import annotations

from typing import Any

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.recipes.recipe import Init


def paddle_init(backbone: AnyBackbone, static: bool) -> Init:
    """Where training with a backbone starts, in a ``static``-graph release or a later one; no hash is published."""
    if static:
        host, suffix = "https://paddle-imagenet-models-name.bj.bcebos.com", "tar"
    else:
        host, suffix = "https://paddledet.bj.bcebos.com/models/pretrained", "pdparams"
    return Init(url=f"{host}/{_network(backbone)}_pretrained.{suffix}")


def _network(backbone: Any) -> str:
    """What the classifier is called there."""
    if backbone.kind == "cbnet":
        return f"CB{_network(backbone.network)}"
    if backbone.kind == "senet":
        return "SENet154_vd" if backbone.form == "vd" else "SENet154_vd_caffe"
    known = {
        **{"darknet": "DarkNet53", "hrnet": "HRNet_W18_C", "mobilenet_v1": "MobileNetV1"},
        **{"res2net": "Res2Net50_26w_4s", "vgg": "VGG16_caffe"},
    }
    if backbone.kind in known:
        return known[backbone.kind]
    if backbone.groups > 1:
        return "ResNeXt101_vd_64x4d"
    if backbone.depth == 50 and not backbone.avg_down:
        return "ResNet50_cos"
    return f"ResNet{backbone.depth}{'_vd' if backbone.avg_down else ''}"
