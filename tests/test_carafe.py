"""CARAFE: the operator against the sums written out, its gradient, its memory, and the pyramid on odd sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.blocks.carafe import Carafe
from detzoo.config import ConfigError, validate
from detzoo.necks.fpn_carafe import FPNCarafe
from detzoo.ops.carafe import carafe


def written_out(x: Tensor, kernels: Tensor, size: int, scale: int) -> Tensor:
    """Every new cell on its own, from neighbourhoods that lie in memory."""
    count, channels, height, width = x.shape
    groups = kernels.shape[1]
    around = F.unfold(x, size, padding=size // 2).view(count, groups, channels // groups, size**2, height, width)
    result = x.new_zeros(count, channels, height * scale, width * scale)
    for new in range(scale**2):
        sums = (around * kernels[:, :, None, :, new]).sum(3).flatten(1, 2)
        result[:, :, new // scale :: scale, new % scale :: scale] = sums
    return result


def inputs(groups: int, size: int, scale: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 4, 5, generator=generator, dtype=torch.float64)
    return x, torch.randn(2, groups, size**2, scale**2, 4, 5, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("groups", "size", "scale"), [(1, 5, 2), (2, 3, 2), (3, 1, 3), (1, 7, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_sums_and_gradients(groups: int, size: int, scale: int, layout: torch.memory_format) -> None:
    x, kernels = inputs(groups, size, scale)
    results = []
    for function in (carafe, written_out):
        leaves = [x.clone(memory_format=layout).requires_grad_(), kernels.clone().requires_grad_()]
        found = function(leaves[0], leaves[1], size, scale)
        (found * torch.arange(found.numel()).view_as(found).sin()).sum().backward()
        results.append([found, *(leaf.grad for leaf in leaves)])
    for ours, wanted in zip(*results, strict=True):
        torch.testing.assert_close(ours, wanted)
    with torch.no_grad():
        torch.testing.assert_close(carafe(x, kernels, size, scale), results[1][0])


def test_only_what_is_learned_has_a_gradient() -> None:
    x, kernels = inputs(1, 3, 2)
    carafe(x, kernels.requires_grad_(), 3, 2).sum().backward()
    assert kernels.grad is not None
    assert x.grad is None


def test_half_precision_is_summed_in_full() -> None:
    x, kernels = inputs(1, 5, 2)
    x, kernels = x.bfloat16(), kernels.softmax(2).bfloat16()
    wanted = written_out(x.float(), kernels.float(), 5, 2).bfloat16()
    found = carafe(x, kernels, 5, 2)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted, atol=0, rtol=2**-7)


def test_kernels_are_found_in_the_map_and_sum_to_one() -> None:
    torch.manual_seed(0)
    layer = Carafe(Carafe.Config(kernel=3, groups=2, compressed=4), 6)
    x = torch.randn(2, 6, 4, 5)
    maps = F.pixel_shuffle(layer.content_encoder(layer.channel_compressor(x)), 2)  # as the paper has it
    kernels = maps.view(2, 2, 9, 8, 10).softmax(2)
    torch.testing.assert_close(kernels.sum(2), torch.ones(2, 2, 8, 10))
    by_cell = kernels.view(2, 2, 9, 4, 2, 5, 2).permute(0, 1, 2, 4, 6, 3, 5).flatten(3, 4)
    torch.testing.assert_close(layer(x), written_out(x, by_cell, 3, 2))


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="must be odd, got 4"):
        validate(Carafe.Config, {"kernel": 4})
    with pytest.raises(ValueError, match="6 channels cannot be divided into 4 groups"):
        Carafe(Carafe.Config(groups=4), 6)
    with pytest.raises(ValueError, match="do not fit 2 maps"):
        FPNCarafe.Config(levels=1).build((4, 8), (4, 8))


@pytest.mark.parametrize("levels", [2, 4])
def test_pyramid_of_sizes_that_do_not_divide(levels: int) -> None:
    torch.manual_seed(0)
    neck = validate(FPNCarafe.Config, {"out_channels": 8, "levels": levels}).build((4, 6), (8, 16))
    features = [torch.randn(1, 4, 13, 9), torch.randn(1, 6, 7, 5)]
    outputs = neck(features)
    assert neck.strides == (8, 16, 32, 64)[:levels]
    assert [tuple(level.shape[-2:]) for level in outputs] == [(13, 9), (7, 5), (4, 3), (2, 2)][:levels]
    lateral = [conv(one) for conv, one in zip(neck.lateral_convs, features, strict=False)]
    source = features[1]
    for conv in neck.lateral_convs[2:]:
        source = conv(source)
        lateral.append(source)
    for index in range(levels - 1, 0, -1):
        finer = lateral[index - 1]
        lateral[index - 1] = (
            finer + neck.upsample_modules[index - 1](lateral[index])[..., : finer.shape[2], : finer.shape[3]]
        )
    for level, conv, wanted in zip(outputs, neck.fpn_convs, lateral, strict=True):
        torch.testing.assert_close(level, conv(wanted))
