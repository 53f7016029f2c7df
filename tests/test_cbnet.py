"""Composite ResNets and SENet: sums written out, published shapes, and what is frozen."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from detzoo.backbones.cbnet import CBNet
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.senet import SENet

SMALL = ResNet.Config(depth=18, strides=(1, 2), dilations=(1, 1), out_stages=(2,), frozen_stages=1)


def test_the_lead_is_told_what_the_assistant_found() -> None:
    torch.manual_seed(0)
    made = CBNet(CBNet.Config(network=SMALL)).eval()
    x = torch.randn(2, 3, 48, 40)
    one, two = made.assistant, made.lead
    found = one(x)
    told = [connection(level) for connection, level in zip(made.connections, found, strict=True)]
    y = F.relu(two.get_submodule("bn1")(two.get_submodule("conv1")(x)))
    y = two.get_submodule("layer1")(F.max_pool2d(y, 3, 2, 1) + told[0])
    y = two.get_submodule("layer2")(y + F.interpolate(told[1], y.shape[-2:]))
    (result,) = made(x)
    torch.testing.assert_close(result, y)
    assert (made.channels, made.strides) == ((128,), (8,))


def test_connections_to_frozen_stages_are_frozen_and_all_else_learns() -> None:
    made = CBNet(CBNet.Config(network=SMALL)).train()
    made(torch.randn(1, 3, 32, 32))[0].sum().backward()
    learned = {name for name, parameter in made.named_parameters() if parameter.grad is not None}
    assert learned == {name for name, parameter in made.named_parameters() if parameter.requires_grad}
    parts = {".".join(name.split(".")[:2]) for name in learned}
    assert parts == {"assistant.layer2", "lead.layer2", "connections.1"}
    assert CBNet.Config(network=SMALL).title == "Dual-ResNet-18"


def test_published_shapes_of_both_forms_of_senet() -> None:
    with torch.device("meta"):
        vd, original = (SENet(SENet.Config(form=form)) for form in ("vd", "original"))
    for made, entry, shortcut in ((vd, 256, (512, 256, 1, 1)), (original, 128, (512, 256, 3, 3))):
        shapes = {name: tuple(value.shape) for name, value in made.state_dict().items()}
        assert shapes["stem.6.weight"] == (128, 64, 3, 3)
        assert shapes["layer1.0.conv1.weight"] == (entry, 128, 1, 1)
        assert shapes["layer1.0.conv2.weight"] == (256, entry // 64, 3, 3)
        assert shapes["layer4.2.conv3.weight"] == (2048, 2048, 1, 1)
        assert shapes["layer3.35.se.squeeze.weight"] == (64, 1024, 1, 1)
        number = 1 if made is vd else 0
        assert shapes[f"layer2.0.downsample.{number}.weight"] == shortcut
    assert SENet.Config().title == "SENet-154"
    pools = [name for name, module in original.named_modules() if isinstance(module, nn.AvgPool2d)]
    assert pools == []
