"""Feature pyramid: the sums of the paper, every way to make extra levels, sizes that do not divide."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.config import validate
from detzoo.necks.fpn import FPN

CHANNELS, STRIDES = (4, 8, 16), (4, 8, 16)


def features(height: int = 12, width: int = 20) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = [(height, width), ((height + 1) // 2, (width + 1) // 2), ((height + 3) // 4, (width + 3) // 4)]
    return [torch.randn(2, c, *size, generator=generator) for c, size in zip(CHANNELS, sizes, strict=True)]


def build(**settings: Any) -> FPN:
    torch.manual_seed(0)
    neck = FPN(validate(FPN.Config, {"out_channels": 8, **settings}), CHANNELS, STRIDES)
    for parameter in neck.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return neck


def conv(neck: FPN, name: str, x: Tensor, **options: Any) -> Tensor:
    return F.conv2d(x, neck.get_parameter(f"{name}.conv.weight"), neck.get_parameter(f"{name}.conv.bias"), **options)


@pytest.mark.parametrize("size", [(12, 20), (13, 21), (12, 21), (5, 7)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("learning", [True, False])
def test_maps_are_the_papers_sums(size: tuple[int, int], layout: torch.memory_format, learning: bool) -> None:
    neck, inputs = build(levels=3), [level.contiguous(memory_format=layout) for level in features(*size)]
    lateral = [conv(neck, f"lateral_convs.{index}", level) for index, level in enumerate(inputs)]
    for index in (1, 0):
        lateral[index] = lateral[index] + F.interpolate(lateral[index + 1], size=lateral[index].shape[-2:])
    with torch.set_grad_enabled(learning):
        outputs = neck(inputs)
    for index, level in enumerate(outputs):
        torch.testing.assert_close(level, conv(neck, f"fpn_convs.{index}", lateral[index], padding=1))


@pytest.mark.parametrize("extra", ["pool", "on_input", "on_lateral", "on_output"])
@pytest.mark.parametrize("relu", [False, True])
def test_extra_levels(extra: str, relu: bool) -> None:
    neck, inputs = build(levels=5, extra=extra, relu_before_extra=relu), features()
    outputs = neck(inputs)
    assert neck.strides == (4, 8, 16, 32, 64)
    assert neck.channels == (8,) * 5
    assert [tuple(level.shape[-2:]) for level in outputs] == [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2)]
    if extra == "pool":
        torch.testing.assert_close(outputs[3], outputs[2][..., ::2, ::2])
        torch.testing.assert_close(outputs[4], outputs[3][..., ::2, ::2])
        assert len(neck.fpn_convs) == 3
        return
    lateral = conv(neck, "lateral_convs.2", inputs[2])
    source = {"on_input": inputs[2], "on_lateral": lateral, "on_output": outputs[2]}[extra]
    fourth = conv(neck, "fpn_convs.3", source, stride=2, padding=1)
    fifth = conv(neck, "fpn_convs.4", F.relu(fourth) if relu else fourth, stride=2, padding=1)
    torch.testing.assert_close(outputs[3], fourth)
    torch.testing.assert_close(outputs[4], fifth)


def test_start_and_end_choose_backbone_maps() -> None:
    neck = build(start=1, end=2, levels=2)
    outputs = neck(features())
    assert neck.strides == (8, 16)
    assert [tuple(level.shape[-2:]) for level in outputs] == [(6, 10), (3, 5)]


def test_inputs_are_left_as_they_were() -> None:
    inputs = features()
    copies = [level.clone() for level in inputs]
    build(levels=4, extra="on_input", relu_before_extra=True)(inputs)
    for level, copy in zip(inputs, copies, strict=True):
        assert torch.equal(level, copy)


@pytest.mark.parametrize("extra", ["pool", "on_input", "on_lateral", "on_output"])
def test_every_parameter_gets_a_gradient(extra: str) -> None:
    neck = build(levels=5, extra=extra)
    torch.stack([level.square().sum() for level in neck(features())]).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in neck.parameters())


@pytest.mark.parametrize("lateral", [True, False])
def test_group_norm_replaces_biases(lateral: bool) -> None:
    neck = build(out_channels=32, levels=3, norm="gn", norm_on_lateral=lateral)
    names = set(neck.state_dict())
    assert ("lateral_convs.0.gn.weight" in names) == lateral
    assert ("lateral_convs.0.conv.bias" in names) != lateral
    assert "fpn_convs.0.gn.weight" in names
    assert "fpn_convs.0.conv.bias" not in names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"levels": 2}, "3 backbone maps are used"),
        ({"start": 3}, "do not fit 3 backbone maps"),
        ({"end": 4}, "do not fit 3 backbone maps"),
    ],
)
def test_settings_that_do_not_fit_the_backbone(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**settings)
