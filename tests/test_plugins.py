"""Blocks between the convolutions of a ResNet's stages: against loops over places, with every setting, and as parts."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.context_block import ContextBlock
from detzoo.blocks.generalized_attention import GeneralizedAttention
from detzoo.blocks.non_local import NonLocal
from detzoo.blocks.plugins import Plugin
from detzoo.blocks.squeeze_excitation import SqueezeExcitation
from detzoo.config import ConfigError, from_json, to_json, validate
from detzoo.interop.mmdet.importer import read_config
from tests.mmdet_changes import changed

GC = {"block": {"kind": "context", "ratio": 0.25}, "after": "conv2"}
ATTENTION = {"block": {"kind": "attention", "heads": 8}, "stages": (3, 4), "after": "conv1"}
TERMS = ["".join(bits) for bits in itertools.product("01", repeat=4)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def filled(module: nn.Module) -> nn.Module:
    """In double precision, with weights under which every part matters."""
    module.double()
    for seed, parameter in enumerate(module.parameters()):
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(seed))
    return module


def line(layer: Any, x: Tensor) -> Tensor:
    """A convolution of one place ``x [C]``."""
    found = layer.weight.flatten(1) @ x
    return found if layer.bias is None else found + layer.bias


def slow_context(block: ContextBlock, x: Tensor) -> Tensor:
    """Figure 4 d of arXiv:1904.11492, for one image ``x [C, H, W]``."""
    places = list(itertools.product(range(x.shape[1]), range(x.shape[2])))
    logits = torch.stack(
        [line(block.conv_mask, x[:, i, j])[0] if block.conv_mask else x.new_zeros(()) for i, j in places]
    )
    context = sum(
        (weight * x[:, i, j] for weight, (i, j) in zip(logits.softmax(0), places, strict=True)), x[:, 0, 0] * 0
    )
    found = []
    for transform in (block.channel_mul_conv, block.channel_add_conv):
        if transform is None:
            found.append(None)
            continue
        first, norm, _, last = cast(Any, transform)
        hidden = line(first, context)
        hidden = (hidden - hidden.mean()) / (hidden.var(correction=0) + norm.eps).sqrt()
        found.append(line(last, (hidden * norm.weight.flatten() + norm.bias.flatten()).relu()))
    scale, shift = found
    x = x if scale is None else x * scale.sigmoid()[:, None, None]
    return x if shift is None else x + shift[:, None, None]


@pytest.mark.parametrize("pooling", ["attention", "average"])
@pytest.mark.parametrize("fusion", [("add",), ("multiply",), ("add", "multiply")])
def test_a_context_block_equals_a_loop_over_places(pooling: str, fusion: tuple[str, ...]) -> None:
    config = validate(ContextBlock.Config, {"ratio": 0.5, "pooling": pooling, "fusion": fusion})
    block, x = filled(config.build(6)), noise(2, 6, 3, 5)
    assert isinstance(block, ContextBlock)
    wanted = torch.stack([slow_context(block, one) for one in x])
    torch.testing.assert_close(block(x), wanted)
    torch.testing.assert_close(block(x.contiguous(memory_format=torch.channels_last)), wanted)


def test_a_non_local_block_equals_a_loop_over_places() -> None:
    block, x = filled(NonLocal(6)), noise(2, 6, 3, 5)
    assert isinstance(block, NonLocal)
    wanted = x.clone()
    places = list(itertools.product(range(3), range(5)))
    for number, (i, j) in itertools.product(range(2), places):
        query = line(block.theta, x[number, :, i, j]) / math.sqrt(3)
        match = torch.stack([query @ line(block.phi, x[number, :, k, m]) for k, m in places]).softmax(0)
        mean = match @ torch.stack([line(block.g, x[number, :, k, m]) for k, m in places])
        wanted[number, :, i, j] += line(block.out, mean)
    torch.testing.assert_close(block(x), wanted)
    block.reset_parameters()
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("gate", ["sigmoid", "line", "clip"])
def test_a_squeeze_excitation_block_weighs_channels(gate: str) -> None:
    block, x = (
        filled(validate(SqueezeExcitation.Config, {"reduction": 2, "gate": gate}).build(8)),
        9 * noise(2, 8, 3, 5),
    )
    assert isinstance(block, SqueezeExcitation)
    found = torch.stack([line(block.excite, line(block.squeeze, one).relu()) for one in x.mean((2, 3))])
    gates = {"sigmoid": found.sigmoid(), "line": (found / 5 + 0.5).clamp(0, 1), "clip": found.clamp(0, 1)}
    torch.testing.assert_close(block(x), x * gates[gate][:, :, None, None])
    with pytest.raises(ValueError, match="less than one channel"):
        SqueezeExcitation.Config().build(8)


def test_every_second_block_and_behind_the_block() -> None:
    plugin = {"block": {"kind": "non_local"}, "stages": (2, 3), "after": "block", "every": 2}
    made = validate(ResNet.Config, {"depth": 34, "plugins": (plugin,)}).build().eval()
    names = {name for name, module in made.named_modules() if isinstance(module, NonLocal)}
    assert names == {f"layer{stage}.{index}.non_local" for stage, index in ((2, 1), (2, 3), (3, 1), (3, 3), (3, 5))}
    block = cast(Any, made.get_submodule("layer2.1"))
    x = torch.randn(1, 128, 4, 4)
    filled(made)
    plain = F.relu(block.residual(x.double()) + x.double())
    torch.testing.assert_close(block(x.double()), block.non_local(plain))


def test_first_shortcuts_of_paddle_are_called_the_same_with_and_without_pooling() -> None:
    for stem, avg_down in (("conv7", False), ("deep", True)):
        config = validate(ResNet.Config, {"depth": 34, "stem": stem, "avg_down": avg_down, "project_first": True})
        with torch.device("meta"):
            made = config.build()
        shapes = {name: tuple(value.shape) for name, value in made.state_dict().items() if "downsample.0" in name}
        assert shapes["layer1.0.downsample.0.weight"] == (64, 64, 1, 1)  # although shapes agree
        assert shapes["layer2.0.downsample.0.weight"] == (128, 64, 1, 1)
        pools = [name for name, module in made.named_modules() if isinstance(module, nn.AvgPool2d)]
        assert pools == ([f"layer{stage}.0.downsample.pool" for stage in (2, 3, 4)] if avg_down else [])
    kept = validate(ResNet.Config, {"depth": 50, "avg_down": True, "avg_down_stages": (2, 3), "project_first": True})
    assert not any(isinstance(module, nn.AvgPool2d) for module in kept.build().get_submodule("layer4").modules())


def encoded(distance: float, channels: int) -> Tensor:
    waves = [1000 ** (4 * k / channels) for k in range(channels // 4)]
    values = [f(distance / wave) for f in (math.sin, math.cos) for wave in waves]
    return torch.tensor(values, dtype=torch.float64)


def slow_attention(block: GeneralizedAttention, x: Tensor, terms: str, step: int) -> Tensor:
    """Equations 1 to 5 of arXiv:1904.05873, for one image ``x [C, H, W]``, one pair of places after the other."""
    channels, height, width = x.shape
    keys = list(itertools.product(range(0, height, step), range(0, width, step)))

    def of_head(values: Tensor, head: int) -> Tensor:
        return values.unflatten(0, (block.heads, -1))[head]

    none = x.new_zeros(channels // block.heads)
    result = x.clone()
    for i, j in itertools.product(range(height), range(width)):
        gathered = []
        for head in range(block.heads):
            query = of_head(line(block.query_conv, x[:, i, j]), head) if block.query_conv else none
            turned = of_head(line(block.query_conv, x[:, j, i]), head) if block.transposed else none
            energies = []
            for k, m in keys:
                key = of_head(line(block.key_conv, x[:, k, m]), head) if block.key_conv else none
                across = down = none
                if block.appr_geom_fc_x and block.appr_geom_fc_y:
                    across = block.appr_geom_fc_x.weight @ encoded(j - m, channels)
                    down = block.appr_geom_fc_y.weight @ encoded(i - k, channels)
                    across, down = (of_head(part / math.sqrt(2), head) for part in (across, down))
                of_key = none if block.appr_bias is None else of_head(block.appr_bias, head)
                of_place = none if block.geom_bias is None else of_head(block.geom_bias, head)
                by_distance = query @ across + (turned if block.transposed else query) @ down
                each = (query @ key, by_distance, of_key @ key, of_place @ (across + down))
                energies.append(sum((one for one, on in zip(each, terms, strict=True) if on == "1"), x.new_zeros(())))
            values = torch.stack([of_head(line(block.value_conv, x[:, k, m]), head) for k, m in keys])
            gathered.append(torch.stack(energies).softmax(0) @ values)
        result[:, i, j] += block.gamma * line(block.proj_conv, torch.cat(gathered))
    return result


@pytest.mark.parametrize("terms", TERMS)
def test_attention_equals_a_loop_over_pairs(terms: str) -> None:
    config = GeneralizedAttention.Config(terms=terms, heads=3)
    block, x = filled(config.build(8)), noise(1, 8, 3, 4)
    assert isinstance(block, GeneralizedAttention)
    with torch.no_grad():
        torch.testing.assert_close(block(x)[0], slow_attention(block, x[0], terms, 2))
        torch.testing.assert_close(block(x.contiguous(memory_format=torch.channels_last)), block(x))


@pytest.mark.parametrize("terms", [terms for terms in TERMS if terms[1] == "1" and terms[3] == "0"])
def test_attention_as_published_without_its_fourth_term(terms: str) -> None:
    """With rows and columns of the queries exchanged where their vertical distances count; of square maps only."""
    config = GeneralizedAttention.Config(terms=terms, heads=2, transposed=True)
    block, x = filled(config.build(8)), noise(1, 8, 3, 3)
    assert isinstance(block, GeneralizedAttention)
    with torch.no_grad():
        torch.testing.assert_close(block(x)[0], slow_attention(block, x[0], terms, 2))
        with pytest.raises(ValueError, match="needs square maps, got 3 x 4"):
            block(noise(1, 8, 3, 4))


@pytest.mark.parametrize("settings", [GC, ATTENTION])
def test_fresh_blocks_change_nothing(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    plain = ResNet(ResNet.Config(depth=18)).eval()
    plugged = ResNet(validate(ResNet.Config, {"depth": 18, "plugins": [settings]})).eval()
    plugged.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(1, 3, 50, 70)
    with torch.no_grad():
        for one, other in zip(plain(x), plugged(x), strict=True):
            torch.testing.assert_close(one, other)


def test_blocks_stand_where_the_settings_say() -> None:
    config = validate(ResNet.Config, {"depth": 50, "plugins": [{**GC, "after": "conv3"}, ATTENTION]})
    with torch.device("meta"):
        network = ResNet(config)
    names = {
        name.rpartition(".")[0] for name in network.state_dict() if "conv_mask.w" in name or name.endswith("gamma")
    }
    blocks = {2: 4, 3: 6, 4: 3}
    assert names == {
        *(f"layer{stage}.{i}.context_block.conv_mask" for stage, count in blocks.items() for i in range(count)),
        *(f"layer{stage}.{i}.gen_attention_block" for stage in (3, 4) for i in range(blocks[stage])),
    }
    assert network.get_parameter("layer3.0.context_block.conv_mask.weight").shape == (1, 1024, 1, 1)
    assert network.get_parameter("layer3.0.gen_attention_block.value_conv.weight").shape == (256, 256, 1, 1)
    assert config.title == "ResNet-50-GC-r4-attention-1111"
    assert from_json(ResNet.Config, to_json(config)) == config


def test_a_block_sees_what_its_convolution_gave() -> None:
    """After the first two convolutions behind ReLU, after the last before the shortcut comes to it."""
    seen: list[Tensor] = []
    for after in ("conv1", "conv2", "conv3"):
        plugin = Plugin.model_validate({"block": {"kind": "context"}, "stages": (2,), "after": after})
        network = ResNet(ResNet.Config(plugins=(plugin,), zero_init=False)).eval()
        network.get_submodule("layer2.0.context_block").register_forward_hook(
            lambda _, inputs, __: seen.append(inputs[0])
        )
        with torch.no_grad():
            network(torch.randn(1, 3, 64, 64))
    assert [tuple(x.shape) for x in seen] == [(1, 128, 16, 16), (1, 128, 8, 8), (1, 512, 8, 8)]
    assert [bool((x < 0).any()) for x in seen] == [False, False, True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"plugins": [{**GC, "stages": (4, 5)}]}, r"a plugin's stages must lie in 1 to 4, got \(4, 5\)"),
        ({"depth": 18, "plugins": [{**GC, "after": "conv3"}]}, "a plugin after conv3 needs bottleneck blocks"),
        ({"plugins": [GC, {**GC, "stages": (4,)}]}, "two plugins of one kind"),
        ({"plugins": [{"block": {"kind": "attention", "terms": "0120"}}]}, "terms"),
        ({"plugins": [{"block": {"kind": "nothing"}}]}, "'context', 'attention'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(ResNet.Config, settings)


def test_channels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ratio 0\.0625 of 8 channels is less than one"):
        ContextBlock.Config().build(8)
    with pytest.raises(ValueError, match="9 or more, got 8"):
        GeneralizedAttention.Config().build(8)
    with pytest.raises(ValueError, match="multiple of 4 channels"):
        GeneralizedAttention.Config(heads=2).build(6)


CONTEXT = {"type": "ContextBlock", "ratio": 0.25}
GENERAL = {"type": "GeneralizedAttention", "num_heads": 8, "attention_type": "0010"}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            {"cfg": CONTEXT, "stages": (False, True, True, True), "position": "after_conv3"},
            {"block": {"kind": "context", "ratio": 0.25}},
        ),
        (
            {"cfg": {**CONTEXT, "pooling_type": "avg", "fusion_types": ["channel_mul"]}, "position": "after_conv2"},
            {
                "block": {"kind": "context", "ratio": 0.25, "pooling": "average", "fusion": ("multiply",)},
                "stages": (1, 2, 3, 4),
                "after": "conv2",
            },
        ),
        (
            {"cfg": {**GENERAL, "kv_stride": 1}, "stages": [False, False, True, True], "position": "after_conv2"},
            {
                "block": {"kind": "attention", "terms": "0010", "heads": 8, "key_stride": 1},
                "stages": (3, 4),
                "after": "conv2",
            },
        ),
    ],
)
def test_published_settings_are_read(configs: Path, given: dict[str, Any], wanted: dict[str, Any]) -> None:
    model: Any = read_config(changed(configs, model__backbone__plugins=[given])).recipe.model
    assert model.backbone.plugins == (Plugin.model_validate(wanted),)


@pytest.mark.parametrize("terms", TERMS[1:])
def test_the_exchange_is_read_where_the_original_has_it(configs: Path, terms: str) -> None:
    given = {"cfg": {**GENERAL, "attention_type": terms}, "position": "after_conv2"}
    model: Any = read_config(changed(configs, model__backbone__plugins=[given])).recipe.model
    assert model.backbone.plugins[0].block.transposed == (terms in ("0100", "0110", "1100", "1110"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"cfg": CONTEXT, "stages": (True,), "position": "after_conv3"},
            r"plugins\.0\.stages=.* is no list of 4 times",
        ),
        ({"cfg": CONTEXT}, r"plugins\.0\.position is missing"),
        ({"cfg": CONTEXT, "position": "before"}, "after.*conv1.*conv2"),
        ({"cfg": {"type": "NonLocal2d"}, "position": "after_conv2"}, r"cfg\.type='NonLocal2d' is not known here"),
        ({"cfg": {**CONTEXT, "fusion_types": ["add"]}, "position": "after_conv2"}, "channel_add and channel_mul have"),
        ({"cfg": {**CONTEXT, "postfix": 1}, "position": "after_conv2"}, "postfix=1 is not known"),
        ({"cfg": {**GENERAL, "spatial_range": 3}, "position": "after_conv2"}, "spatial_range=3 has no counterpart"),
        ({"cfg": {**GENERAL, "attention_type": "all"}, "position": "after_conv2"}, "does not fit .*terms"),
    ],
)
def test_published_settings_without_a_counterpart_are_named(configs: Path, given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(changed(configs, model__backbone__plugins=[given]))
