"""Batch normalization by the batch's statistics: gradients, precision, running statistics."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import BatchNorm2d
from detzoo.ops.batch_norm import batch_norm


def test_gradients_are_those_of_the_formula() -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    weight, bias = (torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda *given: batch_norm(given[0], given[1], given[2], 1e-5)[0], (x, weight, bias))


def test_equals_torch_in_double_precision() -> None:
    x, weight, bias = torch.randn(2, 6, 9, 7).double() * 3 + 5, torch.rand(6).double(), torch.randn(6).double()
    y, mean, variance = batch_norm(x, weight, bias, 1e-3)
    torch.testing.assert_close(y, F.batch_norm(x, None, None, weight, bias, True, 0.1, 1e-3))
    torch.testing.assert_close(mean, x.mean((0, 2, 3)))
    torch.testing.assert_close(variance, x.var((0, 2, 3), correction=0))


def test_large_maps_keep_their_digits() -> None:
    """Where torch's own kernel is 1e-4 off: positive values, many places, channels-last."""
    x = torch.relu(torch.randn(2, 16, 192, 256)) + 2
    norm = BatchNorm2d(16)

    def step(norm: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        y = norm(x)
        (y * y.detach().roll(1)).sum().backward()
        assert x.grad is not None
        return y.detach(), x.grad

    y, grad = step(norm, x.to(memory_format=torch.channels_last))
    exact_y, exact_grad = step(nn.BatchNorm2d(16).double(), x.double())
    assert float((y - exact_y).norm() / exact_y.norm()) < 2e-6
    assert float((grad - exact_grad).norm() / exact_grad.norm()) < 2e-6
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_are_torchs(momentum: float | None) -> None:
    ours, torchs = BatchNorm2d(5, momentum=momentum), nn.BatchNorm2d(5, momentum=momentum)
    x = torch.randn(3, 5, 6, 4).to(memory_format=torch.channels_last)
    for step in range(3):
        x = x * (step + 1)
        torch.testing.assert_close(ours(x), torchs(x))
    for name, wanted in torchs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], wanted)
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


@pytest.mark.parametrize("valid", [[True, False, True], [False, True, False], [True, True, True]])
def test_learns_of_valid_ones_as_if_the_others_were_not_there(valid: list[bool]) -> None:
    torch.manual_seed(0)
    kept = torch.tensor(valid)
    whole, alone = BatchNorm2d(4).double(), BatchNorm2d(4).double()
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    few = x.detach()[kept].requires_grad_()
    got, wanted = whole(x, kept), alone(few)
    torch.testing.assert_close(got[kept], wanted)
    weight = torch.randn_like(wanted)
    (got[kept] * weight).sum().backward()
    (wanted * weight).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad[kept], few.grad)
    assert not x.grad[~kept].any()
    torch.testing.assert_close(whole.weight.grad, alone.weight.grad)
    torch.testing.assert_close(whole.bias.grad, alone.bias.grad)
    torch.testing.assert_close(whole.state_dict(), alone.state_dict())


def test_without_a_valid_one_nothing_is_learned() -> None:
    norm = BatchNorm2d(3)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    y = norm(x, torch.tensor([False, False]))
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert torch.equal(norm.get_buffer("running_mean"), torch.zeros(3))
    assert torch.equal(norm.get_buffer("running_var"), torch.ones(3))


def test_a_fixed_norm_knows_no_valid_ones() -> None:
    norm = BatchNorm2d(3).eval()
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(norm(x, torch.tensor([True, False])), norm(x))
