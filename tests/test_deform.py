"""Deformable convolution against a loop over places, and as a part of a backbone."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from detzoo.backbones.pretrained import load_pretrained
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.layers import ConvNorm, Deform, DeformConv
from detzoo.config import ConfigError, validate
from detzoo.ops.deform_conv import deform_conv
from tests.tiny import compiles

V1, V2 = Deform(version=1), Deform(version=2)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def read(plane: Tensor, row: float, column: float) -> float:
    """Bilinear value of ``plane [H, W]`` with zeros around it."""
    value = 0.0
    for y, x in itertools.product((math.floor(row), math.floor(row) + 1), (math.floor(column), math.floor(column) + 1)):
        if 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]:
            value += float(plane[y, x]) * (1 - abs(row - y)) * (1 - abs(column - x))
    return value


def slow(x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor, step: int, padding: int, dilation: int) -> Tensor:
    """What equation 1 of arXiv:1811.11168 says, one number after the other."""
    outputs, each, k, _ = weight.shape
    groups, shifts = x.shape[1] // each, mask.shape[1] // k**2
    result = torch.zeros(len(x), outputs, *offset.shape[2:])
    for n, o, row, column in itertools.product(*map(range, result.shape)):
        for c, i, j in itertools.product(range(each), range(k), range(k)):
            channel = o // (outputs // groups) * each + c
            cell = channel // (x.shape[1] // shifts) * k * k + i * k + j
            y = row * step - padding + i * dilation + float(offset[n, 2 * cell, row, column])
            z = column * step - padding + j * dilation + float(offset[n, 2 * cell + 1, row, column])
            seen = read(x[n, channel], y, z) * float(mask[n, cell, row, column])
            result[n, o, row, column] += seen * float(weight[o, c, i, j])
    return result


@pytest.mark.parametrize(("step", "dilation", "groups", "shifts"), [(1, 1, 1, 1), (2, 1, 2, 1), (1, 2, 1, 4)])
def test_equals_a_loop_over_places(step: int, dilation: int, groups: int, shifts: int) -> None:
    x, weight = noise(2, 4, 5, 6), noise(2, 4 // groups, 3, 3, seed=1)
    size = F.conv2d(x, weight, None, step, dilation, dilation, groups).shape[2:]
    offset, mask = 2 * noise(2, 18 * shifts, *size, seed=2), noise(2, 9 * shifts, *size, seed=3).sigmoid()
    got = deform_conv(x, offset, weight, mask=mask, stride=step, padding=dilation, dilation=dilation)
    torch.testing.assert_close(got, slow(x, offset, weight, mask, step, dilation, dilation), atol=1e-5, rtol=1e-4)


def test_gradients() -> None:
    parts = [noise(1, 2, 4, 5), 0.3 * noise(1, 18, 4, 5, seed=1) + 0.2, noise(3, 2, 3, 3, seed=2), noise(3, seed=3)]
    mask = noise(1, 9, 4, 5, seed=4).sigmoid()
    inputs = [part.double().requires_grad_() for part in (*parts, mask)]
    assert torch.autograd.gradcheck(lambda *some: deform_conv(*some, padding=1), inputs)


@pytest.mark.parametrize("config", [V1, V2, Deform(version=2, groups=4)])
@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 2, 4)])
def test_a_fresh_layer_is_the_ordinary_convolution(config: Deform, stride: int, dilation: int, groups: int) -> None:
    layer = DeformConv(config, 8, 12, 3, stride, dilation, dilation=dilation, groups=groups)
    x = noise(2, 8, 9, 11)
    wanted = F.conv2d(x, layer.weight, None, stride, dilation, dilation, groups)
    torch.testing.assert_close(layer(x), wanted / config.version, atol=1e-5, rtol=1e-4)


def test_shifts_and_scales_are_learned() -> None:
    layer = DeformConv(Deform(version=2, groups=2), 4, 4, 3, 1, 1, bias=True)
    layer(noise(1, 4, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in layer.parameters())
    assert {name: list(p.shape) for name, p in layer.named_parameters()} == {
        "weight": [4, 4, 3, 3],
        "bias": [4],
        "conv_offset.weight": [54, 4, 3, 3],
        "conv_offset.bias": [54],
    }


def test_an_input_smaller_than_the_kernel_and_shifts_far_outside() -> None:
    layer = DeformConv(V1, 2, 3, 3, 1, 1)
    nn.init.constant_(layer.conv_offset.get_parameter("bias"), 100.0)
    assert not layer(noise(1, 2, 1, 2)).any()
    assert layer(noise(1, 2, 1, 2)).shape == (1, 3, 1, 2)


@pytest.mark.parametrize("config", [V1, V2])
def test_fixed_normalization_is_folded(config: Deform) -> None:
    unit = ConvNorm(4, 8, 3, norm="bn", deform=config)
    for value in unit.state_dict().values():
        if value.is_floating_point():
            value.copy_(noise(*value.shape).abs() / 2)
    x = noise(2, 4, 8, 8)
    assert unit.norm is not None
    unit.norm.eval()
    wanted = F.relu(unit.norm(unit.conv(x)))
    torch.testing.assert_close(unit(x), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shift", [math.nan, math.inf, -math.inf])
def test_shifts_that_are_not_finite_read_zeros(shift: float) -> None:
    """As of a model that has diverged; torchvision's operator would read outside of its memory."""
    x = torch.ones(1, 2, 9, 9, requires_grad=True)
    offset = torch.full((1, 18, 9, 9), shift, requires_grad=True)
    offset.data[..., 0] = 0
    result = deform_conv(x, offset, torch.ones(3, 2, 3, 3), padding=1)
    assert torch.equal(result[..., 1:], torch.zeros(1, 3, 9, 8))
    assert torch.equal(result[:, :, 1:-1, 0], torch.full((1, 3, 7), 12.0))
    result.sum().backward()
    for one in (x.grad, offset.grad):
        assert one is not None
        assert torch.isfinite(one).all()


def test_half_precision_reads_at_exact_places() -> None:
    layer = DeformConv(V2, 4, 4, 3, 1, 1)
    x = noise(1, 4, 16, 300)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        got = layer(x.bfloat16())
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), layer(x).detach(), atol=0.05, rtol=0.05)


def small(deform: Deform, **changes: object) -> ResNet:
    settings = {"depth": 50, "strides": (1, 2), "dilations": (1, 1), "out_stages": (2,), "deform_stages": (2,)}
    return ResNet(ResNet.Config.model_validate({**settings, "deform": deform, **changes}))


def test_stages_of_a_backbone() -> None:
    names = small(V2).state_dict()
    assert not any("conv_offset" in name for name in names if name.startswith("layer1."))
    deformed = [name for name in names if "conv_offset.weight" in name]
    assert deformed == [f"layer2.{block}.conv2.conv_offset.weight" for block in range(4)]
    with pytest.raises(ConfigError, match="deform_stages must lie in 1 to 2"):
        validate(ResNet.Config, {"strides": (1, 2), "dilations": (1, 1), "out_stages": (2,), "deform": {}})


@pytest.mark.parametrize("style", ["pytorch", "caffe"])
def test_a_fresh_backbone_computes_what_an_ordinary_one_does(style: str) -> None:
    ours = small(V1, style=style, groups=4, base_width=16, zero_init=False).eval()
    plain = ResNet(ours.config.replace(deform=None)).eval()
    load_pretrained(ours, plain.state_dict())  # no shifts among them
    with torch.no_grad():
        for got, wanted in zip(ours(noise(1, 3, 32, 64)), plain(noise(1, 3, 32, 64)), strict=True):
            torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


def test_pretrained_weights_must_fit_otherwise() -> None:
    ours = small(V1)
    weights = {key: value for key, value in ours.state_dict().items() if key != "layer2.0.conv2.weight"}
    with pytest.raises(ValueError, match=r"layer2\.0\.conv2\.weight"):
        load_pretrained(ours, weights)


def test_shapes_need_no_values() -> None:
    layer = DeformConv(V2, 4, 6, 3, 2, 1)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        x = mode.from_tensor(noise(2, 4, 9, 11)).requires_grad_()
        got = layer(x)
        got.sum().backward()
    assert got.shape == (2, 6, 5, 6)
    assert x.grad is not None
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("config", [V1, V2])
def test_exports_with_any_batch(config: Deform) -> None:
    unit = ConvNorm(4, 8, 3, norm="bn", deform=config).eval()
    nn.init.normal_(unit.conv.get_parameter("conv_offset.weight"), std=0.1)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(unit, (noise(2, 4, 8, 8),), dynamic_shapes={"x": {0: batch}}).module()
    for count in (1, 5):
        x = noise(count, 4, 8, 8, seed=count)
        torch.testing.assert_close(exported(x), unit(x), atol=1e-5, rtol=1e-4)


@compiles
def test_compiles_whole() -> None:
    layer = DeformConv(V2, 4, 4, 3, 1, 1)
    nn.init.normal_(layer.conv_offset.weight, std=0.1)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = noise(2, 4, 8, 8)
    compiled(x).sum().backward()
    assert layer.conv_offset.weight.grad is not None
    torch.testing.assert_close(compiled(x), layer(x))
