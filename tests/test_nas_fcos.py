"""NAS-FCOS's neck against its cells written out one by one, and the searched towers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import detzoo
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.layers import BatchNorm2d, DeformConv
from detzoo.blocks.towers import searched_tower
from detzoo.necks.nas_fcos import NASFCOSNeck


def small(**settings: object) -> NASFCOSNeck:
    torch.manual_seed(0)
    config = NASFCOSNeck.Config.model_validate({"out_channels": 8, "deform": {"version": 2, "groups": 2}} | settings)
    neck = config.build((4, 8, 16, 32), (4, 8, 16, 32)).eval()
    for module in neck.modules():
        if isinstance(module, BatchNorm2d):
            torch.nn.init.uniform_(module.get_buffer("running_mean"), -0.5, 0.5)
        if isinstance(module, DeformConv):
            torch.nn.init.normal_(module.get_submodule("conv_offset").get_parameter("weight"), std=0.1)
    return neck


def cell(neck: NASFCOSNeck, name: str, one: Tensor, other: Tensor) -> Tensor:
    """One of the figure's cells."""
    at = neck.fpn[name]
    size = max(tuple(one.shape[-2:]), tuple(other.shape[-2:]))
    if name in ("c32", "c02"):
        one = at.get_submodule("input1_conv")(one)
    else:
        one, other = at.get_submodule("input1_conv")(one), at.get_submodule("input2_conv")(other)
    both = torch.cat([F.interpolate(one, size), F.interpolate(other, size)], 1)
    both = at.get_submodule("out_conv.bn")(both).relu()
    # group k of 8 reads channels 2 k and 2 k + 1 of 16
    weight = at.get_submodule("out_conv.conv").get_parameter("weight").view(8, 2, 1, 1)
    return (both.unflatten(1, (8, 2)) * weight).sum(2)


@pytest.mark.parametrize("size", [64, 72])
def test_the_cells_follow_the_figure(size: int):
    neck = small()
    maps = [torch.randn(2, width, -(-size // width), -(-96 // width)) for width in (4, 8, 16, 32)]  # strides, too
    with torch.no_grad():
        found = neck(maps)
        f = [conv(level) for conv, level in zip(neck.adapt_convs, maps[1:], strict=True)]
        f.append(cell(neck, "c22_1", f[2], f[2]))
        f.append(cell(neck, "c22_2", f[2], f[2]))
        f.append(cell(neck, "c32", f[3], f[2]))
        f.append(cell(neck, "c02", f[0], f[2]))
        f.append(cell(neck, "c42", f[4], f[2]))
        f.append(cell(neck, "c36", f[3], f[6]))
        f.append(cell(neck, "c61", f[6], f[1]))
        expected = []
        for index, level in ((9, maps[1]), (8, maps[2]), (7, maps[3])):
            summed = f[index] + F.interpolate(f[5], f[index].shape[-2:], mode="bilinear")
            expected.append(F.interpolate(summed, level.shape[-2:], mode="bilinear"))
        expected.append(neck.extra_downsamples[0](expected[-1]))
        expected.append(neck.extra_downsamples[1](expected[-1].relu()))
    assert neck.strides == (8, 16, 32, 64, 128)
    assert neck.channels == (8,) * 5
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_settings():
    assert not any(isinstance(module, DeformConv) for module in small(deform=None).modules())
    assert len(small(levels=3, norm=None).extra_downsamples) == 0
    with pytest.raises(ValueError, match="the last 3 maps of a backbone, which has 2"):
        NASFCOSNeck.Config().build((4, 8), (4, 8))


def test_the_towers_are_the_searched_ones():
    layers = [layer.get_submodule("conv") for layer in searched_tower(64, 32, "gn")]
    assert [isinstance(layer, DeformConv) for layer in layers] == [True, False, True, False]
    assert [layer.get_parameter("weight").shape[1:] for layer in layers] == [(64, 3, 3), *[(32, 3, 3)] * 2, (32, 1, 1)]
    assert ["bias" in dict(layer.named_parameters()) for layer in layers] == [True, False, True, False]


def test_the_backbone_adds_nothing_to_the_variance():
    for name in detzoo.names("nas_fcos*"):
        model = detzoo.find(name).model
        backbone = model.backbone
        assert isinstance(backbone, ResNet.Config)
        assert backbone.norm_eps == 0
    network = ResNet(ResNet.Config(depth=18, norm_eps=0))
    norms = [module for module in network.modules() if isinstance(module, BatchNorm2d)]
    assert len(norms) == 20
    assert {norm.eps for norm in norms} == {0}
