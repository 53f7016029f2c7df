"""MobileNetV2: table 2 of the paper, every setting, and MMDetection's settings of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from detzoo.backbones.mobilenet_v2 import MobileNetV2
from detzoo.config import validate
from detzoo.interop.mmdet.backbones import backbone
from detzoo.interop.mmdet.ssd import ssd
from detzoo.interop.mmdet.yolov3 import yolov3
from detzoo.interop.renaming import rename
from detzoo.interop.section import Section
from detzoo.methods.ssd import SSD
from detzoo.methods.yolov3 import YOLOv3

LEAKY = {"type": "LeakyReLU", "negative_slope": 0.1}
CROSS_ENTROPY = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0, "reduction": "sum"}


def build(**settings: Any) -> MobileNetV2:
    torch.manual_seed(0)
    return validate(MobileNetV2.Config, settings).build()


def read(**settings: Any) -> MobileNetV2.Config:
    made, _ = backbone(Section({"type": "MobileNetV2", **settings}, "model.backbone", []))
    assert isinstance(made, MobileNetV2.Config)
    return made


def test_maps_and_sizes_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        whole = build(out_stages=(1, 2, 3, 4, 5, 6, 7, 8))
        maps = whole(torch.empty(2, 3, 100, 130))
    assert whole.channels == (16, 24, 32, 64, 96, 160, 320, 1280)
    assert whole.strides == (2, 4, 8, 16, 16, 32, 32, 32)
    for one, channels, stride in zip(maps, whole.channels, whole.strides, strict=True):
        assert one.shape == (2, channels, -(-100 // stride), -(-130 // stride))
    # 3.4 million with a classifier of 1000 classes (table 4)
    assert sum(one.numel() for one in whole.parameters()) + 1281 * 1000 == 3504872
    with torch.device("meta"):
        assert build(width=0.35).channels == (8, 16, 32, 112)
        assert build(width=1.4, out_stages=(7, 8)).channels == (448, 1792)


@pytest.mark.parametrize(("slope", "least", "most"), [(None, 0.0, 6.0), (0.0, 0.0, 1e9), (0.1, -1e9, 1e9)])
def test_activations(slope: float | None, least: float, most: float) -> None:
    network = build(slope=slope).eval()
    x = 20 * torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        plain, found = torch.conv2d(x, network.conv1.conv.weight, stride=2, padding=1), network.conv1(x)
    plain = plain / (1 + 1e-5) ** 0.5
    wanted = torch.where(plain < 0, plain * (slope or 0), plain).clamp(least, most)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_what_is_frozen_or_not_returned_does_not_learn() -> None:
    network = build(out_stages=(3, 5), frozen_stages=1, norm_eval=True).train()
    torch.stack([one.square().mean() for one in network(torch.randn(1, 3, 64, 64))]).sum().backward()
    parts = {name.split(".")[0] for name, one in network.named_parameters() if one.requires_grad}
    assert parts == {"layer2", "layer3", "layer4", "layer5"}
    assert all((one.grad is not None) == one.requires_grad for one in network.parameters())
    assert not any(one.training for one in network.modules() if isinstance(one, _BatchNorm))
    assert sum(one.training for one in build().modules() if isinstance(one, _BatchNorm)) == 51


def test_checkpointing_changes_no_number() -> None:
    gradients = []
    for checkpointing in (False, True):
        network = build(checkpointing=checkpointing, norm_eval=True, out_stages=(3,))
        network(torch.ones(1, 3, 32, 32))[0].square().mean().backward()
        gradients.append([one.grad for one in network.parameters() if one.grad is not None])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


def test_settings_of_mmdetection() -> None:
    assert read() == MobileNetV2.Config(out_stages=(2, 3, 5, 8))
    assert read(out_indices=(2, 4, 6), act_cfg=LEAKY) == MobileNetV2.Config(out_stages=(3, 5, 7), slope=0.1)
    made = read(widen_factor=0.5, act_cfg={"type": "ReLU"}, frozen_stages=2, norm_eval=True, with_cp=True)
    assert made == MobileNetV2.Config(
        width=0.5, out_stages=(2, 3, 5, 8), slope=0.0, frozen_stages=2, norm_eval=True, checkpointing=True
    )
    for wrong in ({"norm_cfg": {"type": "BN", "eps": -1.0}}, {"norm_cfg": {"type": "GN", "num_groups": 32}}, {"x": 1},
                  {"act_cfg": {"type": "Swish"}}, {"out_indices": (2, 8)}):  # fmt: skip
        with pytest.raises(ValueError, match=r"model\.backbone|out_stages|norm_eps"):
            read(**wrong)


def test_yolov3_on_it_is_read() -> None:
    """As MMDetection publishes it: no Darknet, and convolutions before the outputs that are no wider than the neck."""
    backbone = {"type": "MobileNetV2", "out_indices": (2, 4, 6), "act_cfg": LEAKY}
    narrow = [96, 96, 96]
    neck = {"type": "YOLOV3Neck", "num_scales": 3, "in_channels": [320, 96, 32], "out_channels": narrow}
    priors = YOLOv3.Head().priors
    head = {
        "type": "YOLOV3Head",
        "num_classes": 80,
        "in_channels": narrow,
        "out_channels": narrow,
        "anchor_generator": {"type": "YOLOAnchorGenerator", "base_sizes": priors, "strides": [32, 16, 8]},
        "featmap_strides": [32, 16, 8],
        "loss_cls": CROSS_ENTROPY,
        "loss_conf": CROSS_ENTROPY,
        "loss_xy": {**CROSS_ENTROPY, "loss_weight": 2.0},
        "loss_wh": {"type": "MSELoss", "loss_weight": 2.0, "reduction": "sum"},
    }
    test = {
        "nms_pre": 1000,
        "score_thr": 0.05,
        "conf_thr": 0.005,
        "nms": {"type": "nms", "iou_threshold": 0.45},
        "max_per_img": 100,
    }
    model = {"type": "YOLOV3", "backbone": backbone, "neck": neck, "bbox_head": head, "test_cfg": test}
    config, classes = yolov3(Section(model, "model", []), YOLOv3.Config().input)
    assert (config.backbone, classes) == (MobileNetV2.Config(out_stages=(3, 5, 7), slope=0.1), 80)
    assert (config.neck.out_channels, config.head.bridge_channels) == ((96, 96, 96), (96, 96, 96))
    with torch.device("meta"):
        made = YOLOv3(config, [str(number) for number in range(classes)])
    assert [output.in_channels for output in made.outputs] == narrow


def test_ssdlite_on_it_is_read() -> None:
    """As MMDetection publishes it: convolutions in two, normalization with its own epsilon, no L2 normalization."""
    norm = {"type": "BN", "eps": 0.001, "momentum": 0.03}
    how = {"use_depthwise": True, "norm_cfg": norm, "act_cfg": {"type": "ReLU6"}}
    widths, six = [96, 1280, 512, 256, 256, 128], [[2, 3]] * 6
    neck = {"type": "SSDNeck", "in_channels": (96, 1280), "out_channels": widths, "l2_norm_scale": None, **how}
    neck |= {"level_strides": (2, 2, 2, 2), "level_paddings": (1, 1, 1, 1)}
    boxes = {"type": "SSDAnchorGenerator", "strides": [16, 32, 64, 107, 160, 320], "ratios": six, "scale_major": False}
    boxes |= {"min_sizes": [48, 100, 150, 202, 253, 304], "max_sizes": [100, 150, 202, 253, 304, 320]}
    coder = {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]}
    head = {"type": "SSDHead", "in_channels": widths, "anchor_generator": boxes, "bbox_coder": coder, **how}
    model = {
        "type": "SingleStageDetector",
        "backbone": {"type": "MobileNetV2", "out_indices": (4, 7), "norm_cfg": norm},
        "neck": neck,
        "bbox_head": head,
        "test_cfg": {"nms": {"type": "nms", "iou_threshold": 0.45}, "score_thr": 0.02, "max_per_img": 200},
    }
    config, _ = ssd(Section(model, "model", []), SSD.Config().input)
    assert config.backbone == MobileNetV2.Config(out_stages=(5, 8), norm_eps=0.001)
    with torch.device("meta"):
        made = SSD(config, ["thing"])
    assert made.neck.strides == (16, 32, 64, 128, 256, 512)
    assert {one.eps for one in made.modules() if isinstance(one, _BatchNorm)} == {0.001}
    published = {
        "bbox_head.cls_convs.3.0.conv.weight": "cls.3.dw_conv.weight",
        "bbox_head.reg_convs.0.0.bn.bias": "reg.0.bn.bias",
        "bbox_head.reg_convs.5.1.bias": "reg.5.pw_conv.bias",
        "neck.extra_layers.2.1.depthwise_conv.conv.weight": "neck.extra_layers.2.1.depthwise_conv.conv.weight",
    }
    for name, ours in published.items():
        assert rename(name, SSD.published_names) == ours
        assert made.get_parameter(ours) is not None
