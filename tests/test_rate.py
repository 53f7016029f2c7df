"""What a model's share of the convolution rate is made of."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from benchmarks.rate import PRECISIONS, LargeConvolution, Precision, count_flop


def test_flop_of_layers_and_of_their_gradients() -> None:
    x, weight = torch.randn(2, 3, 8, 8), torch.randn(5, 3, 3, 3, requires_grad=True)
    one = 2 * 2 * 5 * 3 * 9 * 64
    assert count_flop(lambda: F.conv2d(x, weight, padding=1)) == one
    assert count_flop(lambda: F.conv2d(x, weight, padding=1).sum().backward()) == 2 * one
    assert count_flop(lambda: F.relu(torch.randn(4, 6) @ torch.randn(6, 7))) == 2 * 4 * 6 * 7


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("slower", [0, 1])
def test_the_large_convolution_takes_the_faster_layout(
    precision: Precision, slower: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[torch.dtype, bool]] = []
    monkeypatch.setattr(
        LargeConvolution, "_run", lambda _, x, weight: ran.append((x.dtype, x.is_contiguous())), raising=True
    )
    # channels-last is tried first, between the first two readings
    times = itertools.chain([0.0, 2.0, 2.0, 3.0] if slower == 0 else [0.0, 1.0, 1.0, 3.0])
    convolution = LargeConvolution(precision, lambda: next(times))
    ran.clear()
    convolution()
    assert ran == [(PRECISIONS[precision], slower == 0)]
