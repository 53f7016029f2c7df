"""Convolutions of standardized weights: the plain formula, and everywhere that a network asks for them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from detzoo.backbones.resnet import ResNet
from detzoo.backbones.roi_stage import RoIStage
from detzoo.blocks.layers import ConvNorm, Deform, DeformConv, StandardizedConv2d, standardized
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.necks.fpn import FPN


def test_weights_have_mean_zero_and_deviation_one_per_output() -> None:
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0)).double() * 3 + 1
    for ours, filter in zip(standardized(weight), weight, strict=True):
        values = filter.flatten().tolist()
        mean = sum(values) / 36
        deviation = (sum((value - mean) ** 2 for value in values) / 35) ** 0.5
        wanted = torch.tensor([(value - mean) / (deviation + 1e-5) for value in values]).double()
        torch.testing.assert_close(ours.flatten(), wanted)
    assert torch.equal(standardized(torch.ones(2, 3, 1, 1)), torch.zeros(2, 3, 1, 1))


@pytest.mark.parametrize("settings", [{}, {"stride": 2, "padding": 1}, {"groups": 2, "bias": False}, {"dilation": 2}])
def test_convolves_with_them_and_learns_through_them(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    conv = StandardizedConv2d(4, 6, 3, **settings).double()
    x = torch.randn(2, 4, 9, 7, dtype=torch.float64)
    weight = conv.weight.detach().clone().requires_grad_()
    std, mean = torch.std_mean(weight, (1, 2, 3), keepdim=True)
    layout = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | settings
    layout.pop("bias", None)
    wanted = F.conv2d(x, (weight - mean) / (std + 1e-5), conv.bias, **layout)
    got = conv(x)
    torch.testing.assert_close(got, wanted)
    got.square().sum().backward()
    wanted.square().sum().backward()
    torch.testing.assert_close(conv.weight.grad, weight.grad)


def test_half_precision_is_standardized_in_single() -> None:
    weight = torch.randn(4, 64, 3, 3, generator=torch.Generator().manual_seed(0)).bfloat16() * 1e-3 + 1
    assert torch.equal(standardized(weight), standardized(weight.float()).bfloat16())


def test_every_convolution_of_a_backbone_neck_and_heads_that_is_not_deformed_or_a_predictor() -> None:
    backbone = ResNet.Config(depth=50, norm="gn", standardize=True)
    stem = ResNet.Config(depth=18, stem="deep", norm="gn", standardize=True)
    stages = backbone.replace(strides=(1, 2, 2), dilations=(1, 1, 1), out_stages=(3,))
    neck = FPN.Config(out_channels=32, norm="gn", levels=3, extra="on_output", standardize=True)
    box = BoxHead.Config(convs=2, channels=32, fcs=0, norm="gn", standardize=True)
    networks: list[nn.Module] = [
        ResNet(backbone),
        ResNet(stem),
        RoIStage(stages),
        neck.build((32, 64), (4, 8)),
        BoxHead(box, 32, 3).shared_convs,
        MaskHead(MaskHead.Config(convs=2, channels=32, norm="gn", standardize=True), 32, 3).convs,
        ConvNorm(4, 8, 3, standardize=True),
    ]
    for network in networks:
        convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
        assert convs
        assert all(type(conv) is StandardizedConv2d for conv in convs)
    deformed = ResNet(backbone.replace(deform=Deform(), deform_stages=(4,)))
    assert isinstance(deformed.get_submodule("layer4.0.conv2"), DeformConv)
    assert isinstance(deformed.get_submodule("layer4.0.conv1"), StandardizedConv2d)
