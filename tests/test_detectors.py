"""DetectoRS: adaptive and switchable convolution, and the recursive pyramid, against the sums written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import deform_conv2d

from detzoo.backbones.detectors_resnet import DetectorsResNet
from detzoo.blocks.switchable import AdaptiveConv2d, SwitchableConv
from detzoo.config import validate
from detzoo.necks.rfp import RFP


def filled(network: nn.Module) -> Any:
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network


def test_weights_of_an_ordinary_convolution_are_taken_over() -> None:
    torch.manual_seed(0)
    plain, adaptive = nn.Conv2d(4, 6, 3, padding=1, bias=False), AdaptiveConv2d(4, 6, 3, padding=1, bias=False)
    adaptive.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(adaptive(x), plain(x))
    own = {"weight": plain.weight, "weight_gamma": torch.full((6, 1, 1, 1), 2.0), "weight_beta": torch.ones(6, 1, 1, 1)}
    adaptive.load_state_dict(own)
    variance, mean = torch.var_mean(plain.weight, (1, 2, 3), keepdim=True)
    weight = 2 * (plain.weight - mean) / (variance + 1e-5).sqrt() + 1
    torch.testing.assert_close(adaptive(x), F.conv2d(x, weight, padding=1))


@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 2, 2)])
@pytest.mark.parametrize("size", [(7, 9), (2, 5)])
def test_switchable_convolution(stride: int, dilation: int, groups: int, size: tuple[int, int]) -> None:
    conv = filled(SwitchableConv(4, 6, stride, dilation, groups))
    x = torch.randn(2, 4, *size)
    found = conv(x)
    x = x + conv.pre_context(x.mean((2, 3), keepdim=True))
    around = F.pad(x, (2, 2, 2, 2), mode="reflect" if min(size) > 2 else "replicate").unfold(2, 5, 1).unfold(3, 5, 1)
    around = around.mean((4, 5))
    parts = []
    for times, shifts, weight in (
        (1, conv.offset_s(around), conv.adapted()),
        (3, conv.offset_l(around), conv.adapted() + conv.weight_diff),
    ):
        step = times * dilation
        parts.append(deform_conv2d(x, shifts, weight, None, (stride, stride), (step, step), (step, step)))
    result = parts[1] + conv.switch(around) * (parts[0] - parts[1])
    torch.testing.assert_close(found, result + conv.post_context(result.mean((2, 3), keepdim=True)))


def test_a_fresh_switchable_convolution_is_an_ordinary_one() -> None:
    config = DetectorsResNet.Config(depth=18, strides=(1, 2), dilations=(1, 1), out_stages=(2,), switchable_stages=(2,))
    network = config.build()
    assert isinstance(network.get_submodule("layer2.1.conv2"), SwitchableConv)
    conv = network.get_submodule("layer2.1.conv2")
    x = torch.randn(1, 128, 6, 5)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.get_parameter("weight"), padding=1), atol=1e-4, rtol=1e-4)  # type: ignore[operator]
    assert network.channels == (128,)
    assert config.title == "ResNet-18-SAC"


def pyramid(steps: int = 2, **settings: Any) -> tuple[DetectorsResNet, RFP]:
    inner = {"depth": 18, "zero_init": False, "frozen_stages": -1}
    backbone = validate(DetectorsResNet.Config, {**inner, "with_image": True, **settings}).build()
    changes = {"out_channels": 8, "backbone": inner, "steps": steps, "aspp_channels": 2, "aspp_dilations": (1, 2)}
    return backbone, validate(RFP.Config, changes).build(backbone.channels, backbone.strides)


def test_recursive_pyramid() -> None:
    torch.manual_seed(0)
    backbone, neck = pyramid()
    filled(neck.rfp_aspp)
    filled(neck.rfp_weight)
    again: Any = neck.rfp_modules[0]
    for stage in (2, 3, 4):
        filled(again.get_submodule(f"layer{stage}.0.rfp_conv"))
    backbone.eval()
    neck.eval()
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        features = backbone(image)
        outputs = neck(features)
        assert features[0] is image
        assert backbone.strides == (1, 4, 8, 16, 32)
        assert neck.strides == (4, 8, 16, 32, 64)
        first = neck.top_down(features[1:])
        x = F.max_pool2d(again.bn1(again.conv1(image)).relu(), 3, 2, 1)
        maps = [again.layer1(x)]
        for stage in (2, 3, 4):
            head, tail = again.get_submodule(f"layer{stage}")
            level = first[stage - 1]
            convs = neck.rfp_aspp.aspp
            mean = convs[2](level.mean((2, 3), keepdim=True)).expand(-1, -1, *level.shape[2:])
            pooled = torch.cat([convs[0](level), convs[1](level), mean], 1).relu()
            total = head.residual(maps[-1]) + head.shortcut(maps[-1]) + head.rfp_conv(pooled)
            maps.append(tail(total.relu()))
        for found, old, new in zip(outputs, first, neck.top_down(maps), strict=True):
            share = neck.rfp_weight(new).sigmoid()
            torch.testing.assert_close(found, share * new + (1 - share) * old)


def test_one_look_is_a_feature_pyramid() -> None:
    backbone, neck = pyramid(steps=1)
    with torch.no_grad():
        features = backbone.eval()(torch.randn(1, 3, 32, 32))
        for level, wanted in zip(neck(features), neck.top_down(features[1:]), strict=True):
            assert torch.equal(level, wanted)


def test_what_a_recursive_pyramid_needs() -> None:
    with pytest.raises(ValueError, match="needs the picture as the first map"):
        pyramid(with_image=False)
    with pytest.raises(ValueError, match="the steps' backbone returns"):
        pyramid(depth=50)
