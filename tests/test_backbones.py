"""ResNet and ResNeXt: equal to torchvision's where those exist, and every setting does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.darknet import Darknet
from detzoo.backbones.pretrained import load_pretrained
from detzoo.backbones.resnet import BasicBlock, Bottleneck, ResNet, build_stage, plain_conv3x3
from detzoo.backbones.roi_stage import RoIStage
from detzoo.blocks.layers import ConvNorm, conv_norm
from detzoo.config import ConfigError, validate


def randomize(module: nn.Module, seed: int = 0) -> None:
    """Weights and statistics under which every layer matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if name.endswith("running_var") or (value.dim() == 1 and name.endswith("weight")):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif value.dim() == 1:
            value.copy_(torch.randn(value.shape, generator=generator) * 0.1)


def images(height: int = 64, width: int = 96) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def stages_of_torchvision(network: Any, x: Tensor) -> list[Tensor]:
    x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
    outputs = []
    for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
        x = layer(x)
        outputs.append(x)
    return outputs


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("resnet18", {"depth": 18}),
        ("resnet34", {"depth": 34}),
        ("resnet50", {"depth": 50}),
        ("resnext50_32x4d", {"depth": 50, "groups": 32, "base_width": 4}),
    ],
)
def test_equals_torchvision(name: str, settings: dict[str, Any]) -> None:
    theirs = getattr(torchvision.models, name)().eval()
    randomize(theirs)
    ours = ResNet(ResNet.Config(**settings)).eval()
    names = [key for key in theirs.state_dict() if not key.startswith("fc.")]
    assert list(ours.state_dict()) == names
    load_pretrained(ours, theirs.state_dict())
    with torch.no_grad():
        got, wanted = ours(images()), stages_of_torchvision(theirs, images())
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


def test_caffe_style_strides_in_the_first_convolution() -> None:
    def strides(style: str) -> list[int]:
        block = ResNet(validate(ResNet.Config, {"style": style})).get_submodule("layer2.0")
        assert isinstance(block, Bottleneck)
        assert isinstance(block.conv1, nn.Conv2d)
        assert isinstance(block.conv2, nn.Conv2d)
        return [block.conv1.stride[0], block.conv2.stride[0]]

    assert strides("pytorch") == [1, 2]
    assert strides("caffe") == [2, 1]


def test_deep_stem_and_average_pooled_shortcuts_have_published_names() -> None:
    network = ResNet(ResNet.Config(stem="deep", avg_down=True)).eval()
    names = set(network.state_dict())
    assert {"stem.0.weight", "stem.1.bias", "stem.3.weight", "stem.7.running_var"} <= names
    assert {"layer1.0.downsample.1.weight", "layer2.0.downsample.2.weight"} <= names
    assert "layer1.0.downsample.0.weight" not in names
    with torch.no_grad():
        shapes = [tuple(level.shape[-2:]) for level in network(images(50, 70))]
    assert shapes == [(13, 18), (7, 9), (4, 5), (2, 3)]


def test_channels_strides_and_outputs_follow_the_settings() -> None:
    config = ResNet.Config(depth=18, out_stages=(2, 4), strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))
    network = ResNet(config).eval()
    assert network.channels == (128, 512)
    assert network.strides == (8, 16)
    with torch.no_grad():
        assert [tuple(level.shape) for level in network(images())] == [(1, 128, 8, 12), (1, 512, 4, 6)]


def test_fewer_stages() -> None:
    network = ResNet(ResNet.Config(strides=(1, 2, 2), dilations=(1, 1, 1), out_stages=(3,)))
    assert network.channels == (1024,)
    assert not any(name.startswith("layer4") for name in network.state_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"out_stages": (0, 1)}, "out_stages must lie in 1 to 4"),
        ({"out_stages": (2, 1)}, "out_stages must rise"),
        ({"out_stages": ()}, "out_stages must rise"),
        ({"strides": (1, 2)}, "one to four entries each"),
        ({"strides": (1, 2), "dilations": (1, 1), "out_stages": (2,), "frozen_stages": 3}, "there are 2 stages"),
        ({"depth": 18, "groups": 32}, "bottleneck"),
        ({"depth": 20}, "18, 34, 50, 101, 152 or 200"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(ResNet.Config, settings)


@pytest.mark.parametrize("frozen", [-1, 0, 1, 2, 4])
def test_frozen_stages_take_no_gradient_and_stay_in_evaluation(frozen: int) -> None:
    network = ResNet(ResNet.Config(depth=18, frozen_stages=frozen, norm_eval=False)).train()
    for stage in range(5):
        part = network.get_submodule(f"layer{stage}" if stage else "bn1")
        assert all(parameter.requires_grad == (stage > frozen) for parameter in part.parameters())
        assert all(module.training == (stage > frozen) for module in part.modules())
    features = network(images())
    assert [feature.requires_grad for feature in features] == [stage > frozen for stage in range(1, 5)]


def test_norm_eval_keeps_statistics_and_norm_frozen_keeps_scales() -> None:
    network = ResNet(ResNet.Config(depth=18, frozen_stages=-1, norm_frozen=True)).train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    sum(level.sum() for level in network(images())).backward()  # pyright: ignore[reportAttributeAccessIssue] (a tensor)
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == ("bn" not in name and "downsample.1" not in name), name


def test_a_new_network_keeps_in_evaluation_what_training_keeps() -> None:
    stages = ResNet.Config(depth=18, strides=(1, 2, 2), dilations=(1, 1, 1), out_stages=(3,))
    for network in (ResNet(ResNet.Config(depth=18)), RoIStage(stages), Darknet(Darknet.Config(frozen_stages=1))):
        fresh = {name: module.training for name, module in network.named_modules()}
        assert not all(fresh.values())
        network.train()
        assert fresh == {name: module.training for name, module in network.named_modules()}


def test_without_norm_eval_statistics_are_learned() -> None:
    network = ResNet(ResNet.Config(depth=18, frozen_stages=-1, norm_eval=False)).train()
    network(images())
    assert int(network.get_buffer("layer4.1.bn2.num_batches_tracked")) == 1
    assert not network.eval().get_submodule("layer4.1.bn2").training


def test_folding_changes_neither_values_nor_gradients() -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6).eval()
    randomize(norm)
    x = torch.randn(2, 4, 5, 7, requires_grad=True)
    inputs = (x, conv.weight, conv.bias, norm.weight, norm.bias)
    weights = torch.randn(2, 6, 5, 7)

    def gradients(y: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((y * weights).sum(), [part for part in inputs if part is not None])

    plain, folded = F.relu(norm(conv(x))), conv_norm(x, conv, norm, relu=True)
    torch.testing.assert_close(folded, plain)
    torch.testing.assert_close(gradients(folded), gradients(plain), rtol=1e-4, atol=1e-4)


def test_norm_in_training_is_not_folded() -> None:
    conv, norm = nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)
    result = conv_norm(torch.randn(2, 3, 8, 8), conv, norm)
    torch.testing.assert_close(result.mean((0, 2, 3)), torch.zeros(4), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("norm", "names"), [(None, ["conv.weight", "conv.bias"]), ("gn", ["conv.weight", "gn.weight"])]
)
def test_conv_norm_is_named_as_published(norm: Any, names: list[str]) -> None:
    layer = ConvNorm(32, 64, 3, norm=norm)
    assert list(layer.state_dict())[:2] == names
    assert layer(torch.randn(1, 32, 4, 4)).min() >= 0


def test_group_norm_network() -> None:
    network = ResNet(ResNet.Config(depth=50, norm="gn", frozen_stages=-1)).train()
    assert {"gn1.weight", "layer1.0.gn3.bias", "layer1.0.downsample.1.weight"} <= set(network.state_dict())
    assert not list(network.buffers())
    with torch.no_grad():
        assert len(network(images())) == 4


def test_checkpointing_gives_the_same_gradients() -> None:
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = ResNet(ResNet.Config(depth=18, frozen_stages=-1, zero_init=False, checkpointing=checkpointing))
        network.train()(images())[-1].sum().backward()
        results.append([parameter.grad for parameter in network.parameters()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_channels_last_gives_the_same() -> None:
    network = ResNet(ResNet.Config(depth=18)).eval()
    with torch.no_grad():
        wanted = network(images())
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (torch's stubs lack it)
        got = network(images().contiguous(memory_format=torch.channels_last))
    assert got[-1].is_contiguous(memory_format=torch.channels_last)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [18, 50])
def test_zero_init_makes_fresh_blocks_identities(depth: int) -> None:
    network = ResNet(validate(ResNet.Config, {"depth": depth})).eval()
    x = torch.rand(1, network.channels[1], 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(network.get_submodule("layer2.1")(x), x)


def test_a_stage_takes_another_spatial_convolution() -> None:
    class Doubled(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * 2

    def doubled(inputs: int, outputs: int, stride: int, dilation: int, groups: int) -> nn.Module:
        return Doubled(inputs, outputs, 3, stride, dilation, dilation=dilation, groups=groups, bias=False)

    config = ResNet.Config(depth=18)
    plain, other = build_stage(config, 1, 64, plain_conv3x3).eval(), build_stage(config, 1, 64, doubled).eval()
    randomize(plain)
    other.load_state_dict(plain.state_dict())
    first = other[0]
    assert isinstance(first, BasicBlock)
    assert isinstance(first.conv2, Doubled)
    x = torch.rand(1, 64, 4, 4)
    with torch.no_grad():
        assert not torch.allclose(plain(x), other(x))


def test_pretrained_weights_from_files(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    source = torchvision.models.resnet18()
    plain = {name: value for name, value in source.state_dict().items() if "num_batches" not in name}
    torch.save({"state_dict": plain}, tmp_path / "a.pth")
    save_file(plain, tmp_path / "a.safetensors")
    for path in (tmp_path / "a.pth", str(tmp_path / "a.safetensors")):
        network = ResNet(ResNet.Config(depth=18))
        load_pretrained(network, path)
        torch.testing.assert_close(network.get_parameter("layer4.1.conv2.weight"), plain["layer4.1.conv2.weight"])


def test_pretrained_weights_that_do_not_fit(tmp_path: Path) -> None:
    network = ResNet(ResNet.Config(depth=18))
    with pytest.raises(FileNotFoundError, match=r"no weights file at .*missing\.pth"):
        load_pretrained(network, tmp_path / "missing.pth")
    (tmp_path / "broken.pth").write_bytes(b"not a file of weights")
    with pytest.raises(ValueError, match=r"broken\.pth is not a weights file"):
        load_pretrained(network, tmp_path / "broken.pth")
    with pytest.raises(ValueError, match=r"does not fit ResNet(.|\n)*layer3\.5"):
        load_pretrained(network, torchvision.models.resnet34().state_dict())
    weights = torchvision.models.resnet18().state_dict()
    del weights["layer1.0.conv1.weight"]
    with pytest.raises(ValueError, match=r"layer1\.0\.conv1\.weight"):
        load_pretrained(network, weights)
