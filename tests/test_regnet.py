"""RegNet: the published designs, torchvision's network, pycls's names, and settings that do not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from detzoo.backbones.pretrained import load_pretrained
from detzoo.backbones.pycls import usual_name
from detzoo.backbones.regnet import TITLES, RegNet
from detzoo.blocks.layers import Deform, DeformConv
from detzoo.config import ConfigError, validate
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.recipes.recipe import Init
from detzoo.train import heads
from tests.test_backbones import images, randomize
from tests.tiny import REGNET, tiny

# blocks and widths of the paper's table 7
DESIGNS = {
    "RegNetX-400MF": ((1, 2, 7, 12), (32, 64, 160, 384)),
    "RegNetX-800MF": ((1, 3, 7, 5), (64, 128, 288, 672)),
    "RegNetX-1.6GF": ((2, 4, 10, 2), (72, 168, 408, 912)),
    "RegNetX-3.2GF": ((2, 6, 15, 2), (96, 192, 432, 1008)),
    "RegNetX-4.0GF": ((2, 5, 14, 2), (80, 240, 560, 1360)),
    "RegNetX-6.4GF": ((2, 4, 10, 1), (168, 392, 784, 1624)),
    "RegNetX-8.0GF": ((2, 5, 15, 1), (80, 240, 720, 1920)),
    "RegNetX-12GF": ((2, 5, 11, 1), (224, 448, 896, 2240)),
}


@pytest.mark.parametrize(("numbers", "title"), TITLES.items(), ids=TITLES.values())
def test_numbers_make_the_published_design(numbers: tuple[Any, ...], title: str) -> None:
    names = ("depth", "initial_width", "slope", "ratio", "group_width")
    config = validate(RegNet.Config, dict(zip(names, numbers, strict=True)))
    blocks, widths = DESIGNS[title]
    assert config.title == title
    assert tuple(stage.blocks for stage in config.stages()) == blocks
    assert tuple(stage.width for stage in config.stages()) == widths
    with torch.device("meta"):
        network = config.build()
    assert (network.channels, network.strides) == (widths, (4, 8, 16, 32))


def in_pycls(name: str) -> str:
    """A parameter of torchvision's RegNet as pycls calls it."""
    name = re.sub(r"^stem\.0\.", "stem.conv.", name)
    name = re.sub(r"^stem\.1\.", "stem.bn.", name)
    name = re.sub(r"^fc\.", "head.fc.", name)
    block = r"^trunk_output\.block(\d)\.block\d-(\d+)\."
    if found := re.match(block, name):
        name = re.sub(block, f"s{found[1]}.b{int(found[2]) + 1}.", name)
    name = name.replace(".proj.0.", ".proj.").replace(".proj.1.", ".bn.")
    return re.sub(r"\.f\.([abc])\.([01])\.", lambda found: f".f.{found[1]}{'_bn' * int(found[2])}.", name)


def test_equals_torchvision_from_weights_named_as_in_pycls(tmp_path: Path) -> None:
    theirs: Any = torchvision.models.regnet_x_800mf().eval()
    randomize(theirs)
    state = {in_pycls(name): value for name, value in theirs.state_dict().items()}
    assert {"s1.b1.f.a.weight", "s2.b2.f.c_bn.running_var", "s4.b1.proj.weight", "head.fc.bias"} <= state.keys()
    torch.save({"epoch": 100, "model_state": state}, tmp_path / "regnet.pyth")
    ours = RegNet(RegNet.Config(depth=16, initial_width=56, slope=35.73, ratio=2.28, group_width=16)).eval()
    load_pretrained(ours, tmp_path / "regnet.pyth")
    x = images()
    with torch.no_grad():
        got, x = ours(x), theirs.stem(x)
        for ours_of_stage, stage in zip(got, theirs.trunk_output, strict=True):
            x = stage(x)
            torch.testing.assert_close(ours_of_stage, x, rtol=1e-4, atol=1e-5 * float(x.abs().max()))


def test_training_starts_from_weights_named_as_in_pycls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = tiny(FasterRCNN, backbone={"kind": "regnet"} | REGNET)
    weight = torch.randn_like(detector.get_parameter("backbone.layer3.1.conv2.weight"))
    torch.save({"model_state": {"s3.b2.f.b.weight": weight, "head.fc.bias": torch.ones(3)}}, tmp_path / "a.pyth")
    monkeypatch.setattr(heads, "fetch", lambda url, sha256: tmp_path / "a.pyth")
    lines = heads.load_init(detector, Init(url="http://127.0.0.1/a.pyth"))
    assert torch.equal(detector.get_parameter("backbone.layer3.1.conv2.weight"), weight)
    assert "1 tensors" in lines[0]


@pytest.mark.parametrize("name", ["layer1.0.conv1.weight", "bn1.bias", "s1.b1.f.d.weight", "stem.0.weight"])
def test_other_names_stay(name: str) -> None:
    assert usual_name(name) == name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 3}, "make 2 stages, but strides has 4"),
        ({"initial_width": 20}, "initial_width"),
        ({"ratio": 1.0}, "ratio"),
        ({"out_stages": (5,)}, "out_stages must lie in 1 to 4"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(RegNet.Config, settings)


def test_deformed_in_the_groups_of_its_stage() -> None:
    config = validate(RegNet.Config, REGNET | {"deform": Deform(version=2)})
    network = RegNet(config).eval()
    assert config.title.endswith("-DCN")
    assert isinstance(network.get_submodule("layer1.0.conv2"), nn.Conv2d)
    conv = network.get_submodule("layer3.0.conv2")
    assert isinstance(conv, DeformConv)
    assert conv.weight.shape == (64, 8, 3, 3)
    with torch.no_grad():
        shapes = [tuple(level.shape[1:]) for level in network(images(50, 70))]
    assert shapes == [(16, 13, 18), (32, 7, 9), (64, 4, 5), (128, 2, 3)]
