"""NAS-FPN and FPG: the sums of the papers, sizes that do not divide, and norms that are each level's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.towers import LevelTower
from detzoo.config import ConfigError, validate
from detzoo.interop.renaming import fitted
from detzoo.methods.retinanet import RetinaNet
from detzoo.necks.fpg import FPG
from detzoo.necks.nas_fpn import NASFPN

CHANNELS, STRIDES = (4, 6, 8), (8, 16, 32)
SIZES = ((25, 17), (13, 9), (7, 5), (4, 3), (2, 2))


def features() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, c, *size, generator=generator) for c, size in zip(CHANNELS, SIZES, strict=False)]


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="nearest")


def blocks(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest value of each block of cells; what is cut off at the edge is a block, too."""
    rows, columns = -(-x.shape[2] // size[0]), -(-x.shape[3] // size[1])
    result = x.new_empty(*x.shape[:2], *size)
    for row in range(size[0]):
        for column in range(size[1]):
            block = x[:, :, row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
            result[:, :, row, column] = block.amax((2, 3))
    return result


def test_nas_fpn_merges_in_the_found_order() -> None:
    torch.manual_seed(0)
    neck = NASFPN.Config(out_channels=8, stacks=1, norm=None).build(CHANNELS, STRIDES)
    outputs = neck(features())
    assert neck.strides == (8, 16, 32, 64, 128)
    assert [tuple(level.shape[-2:]) for level in outputs] == list(SIZES)

    def cell(name: str, x: Tensor) -> Tensor:
        return neck.get_submodule(f"fpn_stages.0.{name}.out_conv")(x.relu())

    def gated(one: Tensor, other: Tensor) -> Tensor:
        return other + other.mean((2, 3), keepdim=True).sigmoid() * one

    p3, p4, p5 = (conv(one) for conv, one in zip(neck.lateral_convs, features(), strict=True))
    p6 = blocks(neck.get_submodule("extra_downsamples.0.0")(p5), SIZES[3])
    p7 = blocks(neck.get_submodule("extra_downsamples.1.0")(p6), SIZES[4])
    between = cell("sum_44_4", cell("gp_64_4", gated(nearest(p6, SIZES[1]), p4)) + p4)
    p3 = cell("sum_43_3", nearest(between, SIZES[0]) + p3)
    p4 = cell("sum_34_4", blocks(p3, SIZES[1]) + between)
    p5 = cell("sum_55_5", p5 + gated(blocks(p4, SIZES[2]), blocks(p3, SIZES[2])))
    p7 = cell("sum_77_7", p7 + gated(blocks(p5, SIZES[4]), blocks(between, SIZES[4])))
    p6 = cell("gp_75_6", gated(nearest(p7, SIZES[3]), blocks(p5, SIZES[3])))
    for level, wanted in zip(outputs, (p3, p4, p5, p6, p7), strict=True):
        torch.testing.assert_close(level, wanted)


@pytest.mark.parametrize(("kind", "settings"), [(NASFPN, {"start": 3}), (FPG, {"levels": 2}), (FPG, {"end": 4})])
def test_maps_that_do_not_fit(kind: Any, settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"3 (backbone )?maps"):
        validate(kind.Config, settings).build(CHANNELS, STRIDES)


@pytest.mark.parametrize("extra", ["pool", "conv"])
def test_fpg_sums_its_neighbours(extra: str) -> None:
    torch.manual_seed(0)
    settings = {"out_channels": 6, "inter_channels": 8, "pathways": 5, "extra": extra}
    neck = validate(FPG.Config, settings).build(CHANNELS, STRIDES).eval()
    outputs = neck(features())
    assert neck.strides == (8, 16, 32, 64, 128)
    assert neck.channels == (6,) * 5
    assert [tuple(level.shape[-2:]) for level in outputs] == list(SIZES)

    first = [conv(one) for conv, one in zip(neck.lateral_convs, features(), strict=True)]
    for conv in neck.extra_downsamples:
        first.append(conv(first[-1]))
    before = first
    for pathway in range(5):
        path: list[Tensor] = []
        for level in range(5):
            transitions = neck.get_submodule(f"fpn_transitions.{pathway}.{level}")
            if pathway + level < 4:  # the triangle
                assert not list(transitions.parameters())
                path.append(before[level])
                continue
            total = transitions.get_submodule("across_lateral")(before[level].relu())
            total = total + transitions.get_submodule("across_skip")(first[level].relu())
            if level:
                total = total + transitions.get_submodule("same_up")(path[-1].relu())
            if level < 4:
                coarser = nearest(before[level + 1], SIZES[level]).relu()
                total = total + transitions.get_submodule("across_down.conv")(coarser)
            path.append(total)
        before = path
    for index, level in enumerate(outputs):
        torch.testing.assert_close(
            level, neck.get_submodule(f"output_transition.{index}.conv_out")(before[index].relu())
        )


def test_levels_share_convolutions_and_not_norms() -> None:
    torch.manual_seed(0)
    tower = LevelTower(4, 8, 2, "bn", 2)
    levels = [torch.randn(2, 4, 6, 5), torch.randn(2, 4, 3, 3) * 4]
    for level, (x, found) in enumerate(zip(levels, tower(levels), strict=True)):
        for number in range(2):
            x = F.conv2d(x, tower.get_parameter(f"convs.{number}.weight"), padding=1)
            deviation, mean = torch.std_mean(x, (0, 2, 3), correction=0, keepdim=True)
            x = ((x - mean) / (deviation**2 + 1e-5).sqrt()).relu()
            seen = tower.get_submodule(f"norms.{number}.{level}").get_buffer("num_batches_tracked")
            assert int(seen) == 1
        torch.testing.assert_close(found, x)
    with pytest.raises(ConfigError, match="norm_per_level needs a norm"):
        validate(RetinaNet.Head, {"norm_per_level": True})


def test_published_names_may_share_an_equal_tensor() -> None:
    """What the levels of the original share stands in its files once for each."""
    layer, table = nn.Linear(2, 1, bias=False), ((r"^\d\.", ""),)
    weight = torch.ones(1, 2)
    assert torch.equal(fitted(layer, {"0.weight": weight, "1.weight": weight.clone()}, table)["weight"], weight)
    with pytest.raises(ValueError, match=r"0\.weight and 1\.weight both become weight"):
        fitted(layer, {"0.weight": weight, "1.weight": 2 * weight}, table)
