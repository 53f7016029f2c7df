"""HRNet and its pyramid: the sums of the paper written out, sizes that do not divide, every setting, its importer."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.backbones.hrnet import HRNet
from detzoo.config import ConfigError
from detzoo.interop.mmdet.backbones import backbone
from detzoo.interop.mmdet.necks import neck
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
from detzoo.necks.hrfpn import HRFPN

SMALL = HRNet.Config(width=4, first_width=8, modules=(1, 2, 1), blocks=(2, 1, 1, 2), norm_eval=False)
SIZES = [(64, 96), (50, 70)]


def network(config: HRNet.Config = SMALL) -> HRNet:
    """A network whose statistics matter."""
    torch.manual_seed(0)
    made = HRNet(config)
    for name, value in made.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.dim() == 1:
            value.uniform_(0.2, 0.8)
    return made


def image(size: tuple[int, int] = SIZES[0]) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


class Slow:
    """The network's parameters by name, and the paper's sums."""

    def __init__(self, made: HRNet) -> None:
        self.state, self.config, self.training = made.state_dict(), made.config, made.training

    def conv(self, x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = self.state[f"{conv}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        mean, var, scale, shift = (
            self.state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean.clone(), var.clone(), scale, shift, self.training)

    def block(self, x: Tensor, name: str, convs: int) -> Tensor:
        shortcut = x
        if f"{name}.downsample.0.weight" in self.state:
            shortcut = self.conv(x, f"{name}.downsample.0", f"{name}.downsample.1")
        for number in range(1, convs + 1):
            x = self.conv(x, f"{name}.conv{number}", f"{name}.bn{number}")
            x = x.relu() if number < convs else x
        return (x + shortcut).relu()

    def exchange(self, maps: list[Tensor], name: str) -> list[Tensor]:
        found = []
        for target, own in enumerate(maps):
            total = torch.zeros_like(own)
            for source, x in enumerate(maps):
                step = f"{name}.{target}.{source}"
                if source > target:
                    x = F.interpolate(self.conv(x, f"{step}.0", f"{step}.1"), size=own.shape[-2:])
                for halving in range(target - source):
                    x = self.conv(x, f"{step}.{halving}.0", f"{step}.{halving}.1", stride=2)
                    x = x.relu() if halving < target - source - 1 else x
                total = total + x
            found.append(total.relu())
        return found

    def __call__(self, x: Tensor) -> list[Tensor]:
        for number in (1, 2):
            x = self.conv(x, f"conv{number}", f"bn{number}", stride=2).relu()
        for block in range(self.config.blocks[0]):
            x = self.block(x, f"layer1.{block}", 3)
        maps = [x]
        for stage in (2, 3, 4):
            name = f"transition{stage - 1}"
            added = self.conv(maps[-1], f"{name}.{stage - 1}.0.0", f"{name}.{stage - 1}.0.1", stride=2).relu()
            if stage == 2:
                maps = [self.conv(maps[0], f"{name}.0.0", f"{name}.0.1").relu()]
            maps = [*maps, added]
            for module in range(self.config.modules[stage - 2]):
                name = f"stage{stage}.{module}"
                for branch in range(stage):
                    for block in range(self.config.blocks[stage - 1]):
                        maps[branch] = self.block(maps[branch], f"{name}.branches.{branch}.{block}", 2)
                maps = self.exchange(maps, f"{name}.fuse_layers")
        return maps


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("training", [False, True])
def test_maps_are_the_papers_sums(size: tuple[int, int], training: bool) -> None:
    made = network().double().train(training)
    x = image(size).double()
    wanted = Slow(made)(x)
    found = made(x)
    assert made.channels == (4, 8, 16, 32)
    assert made.strides == (4, 8, 16, 32)
    for level, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert a.shape == (2, made.channels[level], *(-(-edge // made.strides[level]) for edge in size))
        torch.testing.assert_close(a, b)


def test_published_names() -> None:
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in HRNet(HRNet.Config(width=18)).state_dict().items()}
    assert shapes["conv2.weight"] == (64, 64, 3, 3)
    assert shapes["layer1.0.downsample.1.running_mean"] == (256,)
    assert shapes["transition1.0.0.weight"] == (18, 256, 3, 3)
    assert shapes["transition3.3.0.0.weight"] == (144, 72, 3, 3)
    assert shapes["stage4.2.branches.3.3.conv2.weight"] == (144, 144, 3, 3)
    assert shapes["stage4.2.fuse_layers.3.0.1.1.weight"] == (18,)
    assert shapes["stage4.2.fuse_layers.0.3.0.weight"] == (18, 144, 1, 1)
    assert not any(name.startswith("transition2.0") for name in shapes)


@pytest.mark.parametrize("frozen", [-1, 0, 1, 3, 4])
def test_frozen_stages_take_no_gradient_and_stay_in_evaluation(frozen: int) -> None:
    made = network(SMALL.replace(frozen_stages=frozen)).train()
    parts = (("conv1", "bn1", "conv2", "bn2"), ("layer1",), *((f"transition{k - 1}", f"stage{k}") for k in (2, 3, 4)))
    for stage, names in enumerate(parts):
        for name in names:
            part = made.get_submodule(name)
            assert all(parameter.requires_grad == (stage > frozen) for parameter in part.parameters())
            assert all(module.training == (stage > frozen) for module in part.modules())
    assert [level.requires_grad for level in made(image())] == [frozen < 4] * 4


def test_norm_eval_keeps_statistics_and_a_new_network_does_so_at_once() -> None:
    made = network(SMALL.replace(norm_eval=True))
    before = {name: value.clone() for name, value in made.named_buffers()}
    made(image())
    assert all(torch.equal(value, before[name]) for name, value in made.named_buffers())


def test_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpointing in (False, True):
        made = network(SMALL.replace(checkpointing=checkpointing, norm_eval=True))
        torch.stack([level.square().mean() for level in made(image())]).sum().backward()
        gradients.append({name: parameter.grad for name, parameter in made.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient is not None
        torch.testing.assert_close(gradients[1][name], gradient)


def test_group_normalization() -> None:
    config = HRNet.Config(width=32, first_width=32, modules=(1, 1, 1), blocks=(1, 1, 1, 1), norm="gn")
    made = HRNet(config)
    assert {"gn1.weight", "layer1.0.gn3.bias"} <= set(made.state_dict())
    assert [level.shape[1] for level in made(image((32, 32)))] == [32, 64, 128, 256]


CHANNELS = (4, 8, 16)


def maps(size: tuple[int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, c, *(-(-edge // 2**level) for edge in size), generator=generator, dtype=torch.float64)
        for level, c in enumerate(CHANNELS)
    ]


@pytest.mark.parametrize("size", [(24, 40), (21, 35)])
@pytest.mark.parametrize(("pooling", "stride", "levels"), [("avg", 1, 4), ("max", 2, 3)])
def test_pyramid_is_pooled_from_all_maps_joined(size: tuple[int, int], pooling: Any, stride: int, levels: int) -> None:
    torch.manual_seed(0)
    config = HRFPN.Config(out_channels=6, levels=levels, pooling=pooling, stride=stride)
    made, inputs = config.build(CHANNELS, (4, 8, 16)).double(), maps(size)
    torch.nn.init.normal_(made.get_parameter("reduction_conv.conv.bias"))
    state = dict(made.named_parameters())

    def conv(x: Tensor, name: str, **options: Any) -> Tensor:
        return F.conv2d(x, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"], **options)

    joined = torch.cat([F.interpolate(x, size=size, mode="bilinear") for x in inputs], 1)
    mixed = conv(joined, "reduction_conv")
    pool = F.avg_pool2d if pooling == "avg" else F.max_pool2d
    copies = [x.clone() for x in inputs]
    outputs = made(inputs)
    assert made.strides == tuple(4 * stride * 2**level for level in range(levels))
    assert made.channels == (6,) * levels
    assert all(map(torch.equal, inputs, copies))
    for level, found in enumerate(outputs):
        pooled = pool(mixed, 2**level) if level else mixed
        torch.testing.assert_close(found, conv(pooled, f"fpn_convs.{level}", stride=stride, padding=1))


STAGES: dict[str, Any] = {
    f"stage{number}": {
        "num_modules": modules,
        "num_branches": number,
        "block": "BASIC" if number > 1 else "BOTTLENECK",
        "num_blocks": (2,) * number,
        "num_channels": [8 * 2**branch for branch in range(number)],
    }
    for number, modules in ((1, 1), (2, 1), (3, 2), (4, 3))
}


def read(**changes: Any) -> tuple[Any, Features]:
    """What is read of a backbone; ``stage2__num_blocks=...`` changes a stage, another name the backbone itself."""
    values: dict[str, Any] = {"type": "HRNet", "extra": deepcopy(STAGES)}
    for path, value in changes.items():
        stage, _, name = path.rpartition("__")
        (values["extra"][stage] if stage else values)[name] = value
    return backbone(Section(values, "model.backbone", []))


def test_published_settings_are_taken_over() -> None:
    config, features = read()
    assert config == HRNet.Config(width=8, first_width=8, modules=(1, 2, 3), blocks=(2, 2, 2, 2))
    assert features == Features((8, 16, 32, 64), (4, 8, 16, 32))
    config, _ = read(norm_eval=False, with_cp=True, norm_cfg={"type": "SyncBN"}, zero_init_residual=True)
    assert (config.norm_eval, config.checkpointing, config.norm) == (False, True, "bn")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage3__num_channels": (8, 16, 24)}, r"extra\.stage3\.num_channels=.* does not fit .* \[8, 16, 32\]"),
        ({"stage3__block": "BOTTLENECK"}, r"extra\.stage3\.block='BOTTLENECK' has no counterpart; 'BASIC' has"),
        ({"stage2__num_blocks": (2, 3)}, r"extra\.stage2\.num_blocks=.* one number up to 16 for every branch has"),
        ({"stage2__num_modules": 99}, r"extra\.stage2\.num_modules must be a whole number up to 16"),
        ({"multiscale_output": False}, "multiscale_output=False has no counterpart"),
        ({"frozen_stages": 1}, "frozen_stages=1 is not known"),
        (
            {"norm_cfg": {"type": "GN", "num_groups": 32}},
            "model.backbone does not fit: num_channels .* must be divisible",
        ),
        ({"stage4__num_blocks": (0, 0, 0, 0)}, "blocks"),
    ],
)
def test_what_has_no_counterpart_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=message):
        read(**changes)


def test_published_pyramid_is_taken_over() -> None:
    values = {"type": "HRFPN", "in_channels": [8, 16], "out_channels": 4, "norm_cfg": {"type": "BN"}, "with_cp": True}
    known = Features((8, 16), (4, 8))

    def read_neck(**changes: Any) -> tuple[Any, Features]:
        return neck(Section({"neck": {**values, **changes}}, "model", []), known)

    config, features = read_neck(stride=2, num_outs=3, pooling_type="MAX")
    assert config == HRFPN.Config(out_channels=4, levels=3, pooling="max", stride=2)
    assert features == Features((4, 4, 4), (8, 16, 32))
    assert read_neck()[0] == HRFPN.Config(out_channels=4)
    with pytest.raises(ConfigError, match=r"model\.neck\.in_channels=.* does not fit"):
        read_neck(in_channels=[8, 8])
