"""GHM's weights against loops over bins, its moving average, and RetinaNet with it."""

from __future__ import annotations

import copy
import math
from typing import cast

import pytest
import torch

from detzoo.blocks.gradient_harmonizing import GHMC, GHMR, Density
from detzoo.methods.retinanet import RetinaNet
from tests.tiny import images, targets, tiny


def slow_weights(
    lengths: list[list[float]], used: list[list[bool]], edges: list[float], average: list[float], momentum: float
) -> list[list[float]]:
    """Levels in turn, bin by bin; an entry of two bins has the weight of the later one."""
    result = []
    for level, some in zip(lengths, used, strict=True):
        weights, filled = [0.0] * len(level), 0
        for index in range(len(average)):
            inside = [at for at, length in enumerate(level) if some[at] and edges[index] <= length < edges[index + 1]]
            if inside:
                average[index] = momentum * average[index] + (1 - momentum) * len(inside)
                filled += 1
            for at in inside:
                weights[at] = 1 / average[index]
        result.append([weight / max(filled, 1) for weight in weights])
    return result


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("ordered", [True, False])
def test_weights_are_those_of_a_loop_over_bins(momentum: float, ordered: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    density = Density(6, momentum, 1 + 1e-6).train()
    if not ordered:  # as they stand in a file
        density.edges.copy_(torch.tensor([0.1, 0.5, 0.3, 0.9, 0.2, 0.2, 0.8]))
    average = density.acc_sum.tolist()
    for _ in range(3):
        lengths = [torch.rand(count, generator=generator).square() for count in (50, 7, 1)]
        lengths[0][:3] = torch.tensor([0.0, 1.0, 0.5])
        used = [torch.rand(len(level), generator=generator) < 0.7 for level in lengths]
        found = density.weights(lengths, used)
        wanted = slow_weights(
            [level.tolist() for level in lengths],
            [some.tolist() for some in used],
            density.edges.tolist(),
            average,
            momentum,
        )
        for level, expected in zip(found, wanted, strict=True):
            torch.testing.assert_close(level, torch.tensor(expected))
    if momentum:
        torch.testing.assert_close(density.acc_sum, torch.tensor(average))


def test_bins_that_hold_anything_share_one() -> None:
    lengths = torch.linspace(0, 0.45, 40)
    (weights,) = Density(10, 0.0, 1e3).weights([lengths], [torch.ones(40, dtype=torch.bool)])
    assert float(weights.sum()) == pytest.approx(1.0)
    assert float(weights[lengths < 0.1].sum()) == pytest.approx(0.2)


def test_the_average_moves_in_training_alone() -> None:
    detector = cast(RetinaNet, tiny("RetinaNet-ghm")).eval()
    before = copy.deepcopy(detector.state_dict())
    detector(images(), targets(2, 1))
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())
    detector.train()(images(), targets(2, 1))
    moved = {name for name, value in detector.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"ghm_c.acc_sum", "ghm_r.acc_sum"}


def test_losses_are_weighted_sums() -> None:
    logits, labels = torch.tensor([[[2.0, -1.0], [0.5, 3.0]]]), torch.tensor([[0, 2]])
    loss = GHMC(GHMC.Config(bins=4, momentum=0.0, weight=2.0))([logits], [labels], [torch.ones(1, 2) > 0])
    errors = [
        1 / (1 + math.exp(x)) for x in (2.0, 1.0, -0.5, -3.0)
    ]  # lengths 0.12, 0.27, 0.62, 0.95: bins of their own
    assert float(loss) == pytest.approx(2 * sum(-math.log(1 - error) for error in errors) / 4)
    found, wanted = torch.tensor([[[0.5, 0.0, 9.0, 9.0], [math.nan] * 4]]), torch.zeros(1, 2, 4)
    loss = GHMR(GHMR.Config(mu=0.5, bins=2, momentum=0.0))([found], [wanted], [torch.tensor([[True, False]])])
    bends = [math.hypot(gap, 0.5) - 0.5 for gap in (0.5, 0.0, 9.0, 9.0)]  # lengths 0.71, 0, 1, 1
    assert float(loss) == pytest.approx(10 * ((bends[0] + bends[2] + bends[3]) / 3 + bends[1]) / 2)


def test_decoded_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match="compares offsets"):
        tiny("RetinaNet-ghm", head={"box_loss": {"kind": "giou"}})
