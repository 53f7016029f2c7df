"""ResNeSt: split attention against sums written out, its names, and where it halves the size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from detzoo.backbones.resnest import ResNeSt, SplitAttention
from detzoo.blocks.layers import Deform, DeformConv
from detzoo.config import validate
from tests.test_backbones import images, randomize


def slow(layer: SplitAttention, x: Tensor) -> Tensor:
    """Each cardinal group by itself, its splits one after the other."""
    radix, groups = layer.radix, layer.groups
    x = layer.get_submodule("bn0")(layer.conv(x)).relu()
    width = x.shape[1] // radix
    part, splits = width // groups, [x[:, r * width : (r + 1) * width] for r in range(radix)]
    seen = torch.stack(splits).sum(0).mean((2, 3), keepdim=True)
    found = layer.fc2(layer.get_submodule("bn1")(layer.fc1(seen)).relu())
    outputs = []
    for group in range(groups):
        own = found[:, group * radix * part : (group + 1) * radix * part]
        scores = [own[:, r * part : (r + 1) * part] for r in range(radix)]
        total = torch.stack([score.exp() for score in scores]).sum(0)
        weights = [score.sigmoid() if radix == 1 else score.exp() / total for score in scores]
        cells = slice(group * part, (group + 1) * part)
        outputs.append(sum(weight * split[:, cells] for weight, split in zip(weights, splits, strict=True)))
    return layer.pool(torch.cat(outputs, 1))


@pytest.mark.parametrize(
    ("settings", "stride"),
    [
        ({}, 1),
        ({"radix": 1}, 1),
        ({"radix": 4, "reduction": 2}, 2),
        ({"groups": 2}, 2),
        ({"groups": 2, "pool_stride": False}, 2),
        ({"norm": "gn"}, 1),
    ],
)
def test_attention_is_the_written_out_sum(settings: dict[str, Any], stride: int) -> None:
    torch.manual_seed(0)
    config = validate(ResNeSt.Config, settings)
    layer = SplitAttention(config, 1, 32, stride, 1, config.groups).eval()
    randomize(layer)
    if config.norm == "gn":
        for number in (0, 1):
            layer.add_module(f"bn{number}", layer.get_submodule(f"gn{number}"))
    x = torch.randn(2, 32, 9, 7)
    with torch.no_grad():
        got = layer(x)
        torch.testing.assert_close(got, slow(layer, x))
    assert got.shape == ((2, 32, 9, 7) if stride == 1 else (2, 32, 5, 4))
    assert isinstance(layer.pool, torch.nn.AvgPool2d) == (stride == 2 and config.pool_stride)


def test_one_image_is_too_few_to_learn_statistics_of_the_attention() -> None:
    small = {"stem_width": 16, "strides": (1,), "dilations": (1,), "out_stages": (1,), "frozen_stages": -1}
    config = validate(ResNeSt.Config, {**small, "norm_eval": False})
    with pytest.raises(ValueError, match=r"schedule.batch=2.*schedule.sync_bn=true.*model.backbone.norm_eval=true"):
        ResNeSt(config).train()(images(32, 32))
    for network, count in ((ResNeSt(config), 2), (ResNeSt(config.replace(norm_eval=True)), 1)):
        (level,) = network.train()(images(32, 32).expand(count, -1, -1, -1))
        assert level.isfinite().all()


def test_parameters_have_published_names_and_shapes() -> None:
    with torch.device("meta"):
        network = ResNeSt(ResNeSt.Config(depth=101, stem_width=128, groups=2, base_width=40))
    shapes = {name: tuple(value.shape) for name, value in network.named_parameters()}
    assert shapes["stem.6.weight"] == (128, 64, 3, 3)
    assert shapes["layer1.0.conv1.weight"] == (80, 128, 1, 1)
    assert shapes["layer1.0.conv2.conv.weight"] == (160, 20, 3, 3)
    assert shapes["layer1.0.conv2.fc1.weight"] == (40, 40, 1, 1)
    assert shapes["layer1.0.conv2.fc2.weight"] == (160, 20, 1, 1)
    assert shapes["layer2.0.downsample.1.weight"] == (512, 256, 1, 1)
    assert {"layer3.22.conv2.bn0.weight", "layer3.22.conv2.bn1.bias", "layer4.2.bn3.weight"} <= shapes.keys()
    assert not any(".bn2." in name for name in shapes)


def test_odd_sizes_outputs_and_deformation() -> None:
    config = ResNeSt.Config(stem_width=16, deform=Deform(), deform_stages=(4,), out_stages=(2, 3, 4))
    network = ResNeSt(config).eval()
    assert config.title == "ResNeSt-50-DCN"
    assert isinstance(network.get_submodule("layer4.0.conv2.conv"), DeformConv)
    with torch.no_grad():
        shapes = [tuple(level.shape[1:]) for level in network(images(50, 70))]
    assert shapes == [(512, 7, 9), (1024, 4, 5), (2048, 2, 3)]
    assert network.strides == (8, 16, 32)
