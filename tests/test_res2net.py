"""Res2Net: the sums of the paper written out, published names, every setting, its importer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.backbones.res2net import Bottle2neck, Res2Net
from detzoo.interop.mmdet.backbones import backbone
from detzoo.interop.section import Section

SMALL = Res2Net.Config(depth=50, scales=3, base_width=8, strides=(1, 2), dilations=(1, 1), out_stages=(1, 2))


def network(config: Res2Net.Config = SMALL) -> Res2Net:
    """A network whose statistics matter."""
    torch.manual_seed(0)
    made = Res2Net(config)
    for name, value in made.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.dim() == 1:
            value.uniform_(0.2, 0.8)
    return made.double()


def block_of(made: Res2Net, name: str) -> Bottle2neck:
    found = made.get_submodule(name)
    assert isinstance(found, Bottle2neck)
    return found


def slow(block: Bottle2neck, x: Tensor, stride: int = 1) -> Tensor:
    """What a block gives, part by part."""
    state = dict(block.state_dict())

    def conv(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{conv}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        statistics = (state[f"{norm}.running_mean"], state[f"{norm}.running_var"])
        return F.batch_norm(x, *statistics, state[f"{norm}.weight"], state[f"{norm}.bias"])

    shortcut = x
    paddle = "downsample.0.weight" in state
    if paddle:
        shortcut = conv(x, "downsample.0", "downsample.1", stride)
    elif "downsample.1.weight" in state:
        pooled = F.avg_pool2d(x, stride, stride, ceil_mode=True, count_include_pad=False)
        shortcut = conv(pooled, "downsample.1", "downsample.2")
    first, second, third = conv(x, "conv1", "bn1").relu().chunk(3, 1)
    a = conv(first, "convs.0", "bns.0", stride).relu()
    if "downsample.1.weight" in state and not (paddle and stride == 1):  # parts of a stage's first block are alone
        b = conv(second, "convs.1", "bns.1", stride).relu()
        third = F.avg_pool2d(third, 3, stride, 1, count_include_pad=not paddle) if stride > 1 else third
    else:
        b = conv(second + a, "convs.1", "bns.1").relu()
    return (conv(torch.cat([a, b, third], 1), "conv3", "bn3") + shortcut).relu()


@pytest.mark.parametrize("size", [(12, 16), (11, 15)])
@pytest.mark.parametrize(("name", "stride"), [("layer1.0", 1), ("layer1.1", 1), ("layer2.0", 2), ("layer2.2", 1)])
def test_a_block_gives_the_papers_sums(size: tuple[int, int], name: str, stride: int) -> None:
    block = block_of(network().eval(), name)
    inputs = block.get_parameter("conv1.weight").shape[1]
    x = torch.randn(2, inputs, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    copy = x.clone()
    torch.testing.assert_close(block(x), slow(block, x, stride))
    assert torch.equal(x, copy)


@pytest.mark.parametrize(("name", "stride"), [("layer1.0", 1), ("layer2.0", 2)])
def test_a_first_block_as_paddle_has_it(name: str, stride: int) -> None:
    settings = {"stem": "conv7", "avg_down": False, "project_first": True, "first_sums": True, "pool_padding": False}
    made = network(SMALL.replace(**settings)).eval()
    assert made.get_parameter("conv1.weight").shape == (64, 3, 7, 7)
    block = block_of(made, name)
    x = torch.randn(2, block.get_parameter("conv1.weight").shape[1], 11, 15, dtype=torch.float64)
    torch.testing.assert_close(block(x), slow(block, x, stride))


def test_channels_strides_and_sizes() -> None:
    made = network().eval()
    assert (made.channels, made.strides) == ((256, 512), (4, 8))
    assert [tuple(level.shape) for level in made(torch.zeros(1, 3, 50, 70).double())] == [
        (1, 256, 13, 18),
        (1, 512, 7, 9),
    ]


def test_published_names() -> None:
    with torch.device("meta"):
        state = Res2Net(Res2Net.Config(depth=101)).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes["stem.6.weight"] == (64, 32, 3, 3)
    assert shapes["layer1.0.conv1.weight"] == (104, 64, 1, 1)
    assert shapes["layer3.22.convs.2.weight"] == (104, 104, 3, 3)
    assert shapes["layer3.22.bns.2.running_var"] == (104,)
    assert shapes["layer2.0.downsample.2.weight"] == (512,)
    assert not any(".conv2." in name or ".bn2." in name for name in shapes)


def test_frozen_stages_and_norm_eval() -> None:
    made = network(SMALL.replace(frozen_stages=1, norm_eval=False)).train()
    assert not any(parameter.requires_grad for parameter in made.get_submodule("layer1").parameters())
    assert not any(module.training for module in made.get_submodule("layer1").modules())
    assert all(module.training for module in made.get_submodule("layer2").modules())
    norm = network(SMALL.replace(frozen_stages=-1)).train().get_submodule("layer2.1.bns.1")
    assert not norm.training


def test_deformed_parts_start_as_ordinary_ones() -> None:
    changes: dict[str, Any] = {"deform": {"version": 1}, "deform_stages": (2,)}
    deformed = Res2Net.Config.model_validate({**SMALL.model_dump(), **changes})
    assert deformed.title == "Res2Net-50-DCN"
    plain, made = network().eval(), network(deformed).eval()
    made.load_state_dict({**made.state_dict(), **plain.state_dict()})
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    for name in ("layer2.0.convs.1.conv_offset.weight", "layer2.0.convs.1.conv_offset.bias"):
        torch.nn.init.zeros_(made.get_parameter(name))
    assert "layer1.0.convs.0.conv_offset.weight" not in made.state_dict()
    for block in made.get_submodule("layer2").children():
        for conv in block.get_submodule("convs").children():
            conv.start_undeformed()  # pyright: ignore[reportCallIssue] # it is a deformable one
    for a, b in zip(made(x), plain(x), strict=True):
        torch.testing.assert_close(a, b)


def test_published_settings_are_taken_over() -> None:
    values = {"type": "Res2Net", "depth": 101, "scales": 4, "base_width": 26, "frozen_stages": 1, "style": "caffe"}
    config, features = backbone(Section({**values, "avg_down": False}, "model.backbone", []))
    assert config == Res2Net.Config(depth=101)  # MMDetection does not look at style and avg_down either
    assert features.channels == (256, 512, 1024, 2048)
    with pytest.raises(ValueError, match="scales"):
        backbone(Section({**values, "scales": 1}, "model.backbone", []))
