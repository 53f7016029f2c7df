"""CentripetalNet against slow and obvious versions of its losses and of which corners it pairs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detzoo.blocks.corners import Pairs, corner_targets, pair_corners
from detzoo.methods.centripetalnet import CentripetalMaps, CentripetalNet
from detzoo.types import Images
from tests.tiny import CANVAS, images, targets, tiny


def centripetal_net(**changes: Any) -> CentripetalNet:
    model = tiny(CentripetalNet, **changes)
    assert isinstance(model, CentripetalNet)
    return model


def smooth(gap: float) -> float:
    return gap**2 / 2 if abs(gap) < 1 else abs(gap) - 0.5


@torch.no_grad()
def test_shifts_are_learned_from_the_last_object_of_each_corner() -> None:
    model = centripetal_net().eval()
    batch, given = images(3), targets(5, 1, 0)
    given.boxes[0, 1, :2] = given.boxes[0, 0, :2]  # two objects with one corner, of which the second counts
    losses = model(batch, given)
    kinds = model.heads(model.backbone(batch.pixels))
    shape = kinds[0][0].heat.shape
    expected = {"guiding_loss": 0.0, "centripetal_loss": 0.0}
    for kind, way in ((0, 1), (1, -1)):
        learned = {}
        for n, g in given.valid.nonzero().tolist():
            x1, y1, x2, y2 = (given.boxes[n, g] / 4).tolist()  # cells of four pixels
            column, row = ((x1, y1), (x2, y2))[kind]
            cell = min(int(column), shape[3] - 1), min(int(row), shape[2] - 1)
            centre, half = ((x1 + x2) / 2, (y1 + y2) / 2), ((x2 - x1) / 2, (y2 - y1) / 2)
            learned[n, cell] = centre, half
        for maps in kinds[kind]:
            for (n, cell), (centre, half) in learned.items():
                guess, far = (level[n, :, cell[1], cell[0]].tolist() for level in (maps.guiding, maps.centripetal))
                for axis in (0, 1):
                    found = smooth(guess[axis] - way * (centre[axis] - cell[axis]))
                    expected["guiding_loss"] += 0.05 * found / len(learned) / 2
                    expected["centripetal_loss"] += smooth(far[axis] - math.log(half[axis])) / len(learned) / 2
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(value, rel=1e-4), name


@torch.no_grad()
def test_the_first_guess_leads_the_features_and_learns_from_its_own_loss_alone() -> None:
    head = centripetal_net().top_left[-1]
    x = images(1).pixels.new_ones(1, 32, 6, 7).cumsum(2)
    before = head(x)
    head.get_parameter("guiding_shift.1.conv.bias").add_(3.0)
    after = head(x)
    assert torch.equal(before.heat, after.heat)
    assert not torch.equal(before.centripetal, after.centripetal)
    with torch.enable_grad():
        head(x).centripetal.sum().backward()
    assert head.get_parameter("guiding_shift.0.conv.weight").grad is None
    assert head.get_parameter("adaption.conv_offset.weight").grad is not None


def slow_agree(place: list[float], other: list[float], one: list[float], two: list[float], distance: float) -> bool:
    """Whether corners at ``place`` and ``other`` are of one object, whose centre they expect at ``one`` and ``two``."""
    edges = [max(b, 0) - max(a, 0) for a, b in zip(place, other, strict=True)]
    share = 1 / 2.1 if abs(edges[0] * edges[1]) > 3500 else 1 / 2.4
    for axis in (0, 1):
        low, high = max(place[axis], 0), max(other[axis], 0)
        for centre in (one[axis], two[axis]):
            if not abs(max(centre, 0) - (low + high) / 2) < share * (high - low) / 2:
                return False
    gap = [abs(max(b, 0) - max(a, 0)) for a, b in zip(one, two, strict=True)]
    return gap[0] * gap[1] <= distance * share**2 * edges[0] * edges[1]


def scene(seed: int) -> tuple[CentripetalMaps, CentripetalMaps]:
    """Maps of both kinds of corners that expect centres all over; many pairs agree, and more do not."""
    generator = torch.Generator().manual_seed(seed)

    def kind() -> CentripetalMaps:
        heat = torch.randn(2, 2, 24, 32, generator=generator) * 4
        offset, guess = torch.rand(2, 2, 24, 32, generator=generator), torch.zeros(2, 2, 24, 32)
        return CentripetalMaps(heat, offset, guess, torch.rand(2, 2, 24, 32, generator=generator) * 2.5 + 0.5)

    return kind(), kind()


def expected_centres(pairs: Pairs, kinds: tuple[CentripetalMaps, CentripetalMaps]) -> list[Tensor]:
    """``[N, K, 2]`` of each kind, in pixels, cell by cell."""
    found = []
    for maps, peaks, place, way in zip(kinds, pairs.peaks, pairs.places, (1, -1), strict=True):
        centre = place.clone()
        for n, cells in enumerate(peaks.cells.tolist()):
            for k, cell in enumerate(cells):
                centre[n, k] += way * 4 * maps.centripetal[n].flatten(1)[:, cell].exp()
        found.append(centre)
    return found


@pytest.mark.parametrize("distance", [0.5, 0.05])
def test_corners_are_paired_that_expect_one_centre_in_the_middle(distance: float) -> None:
    model = centripetal_net(head={"corners": 30, "distance": distance})
    kinds, canvas = scene(0), torch.Size((2, 3, *CANVAS))
    shift = torch.tensor([[0, 0], [6, 3]])
    pairs = pair_corners(*kinds, canvas, shift, model.head)
    agree = model._agree(kinds, pairs, canvas) & pairs.fit
    one, two = (centre.tolist() for centre in expected_centres(pairs, kinds))
    places, others = (place.tolist() for place in pairs.places)
    large = ((pairs.boxes[..., 2:] - pairs.boxes[..., :2]).prod(-1) > 3500) & agree
    assert large.any()
    assert (agree & ~large).any()
    for n, i, k in pairs.fit.nonzero().tolist():
        wanted = slow_agree(places[n][i], others[n][k], one[n][i], two[n][k], distance)
        assert bool(agree[n, i, k]) == wanted, (n, i, k)
    assert agree.sum() < pairs.fit.sum() / 2


@torch.no_grad()
def test_detections_are_pairs_that_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    model = centripetal_net(head={"corners": 30, "pairs": 900, "detections": 900, "threshold": 0.0}).eval()
    kinds = iter(scene(0))
    for head in (model.top_left[-1], model.bottom_right[-1]):
        monkeypatch.setattr(head, "forward", lambda feature: next(kinds))
    found = model.detect(Images(images(2).pixels, torch.tensor([CANVAS] * 2)))
    maps, canvas = scene(0), torch.Size((2, 3, *CANVAS))
    pairs = pair_corners(*maps, canvas, torch.zeros(2, 2), model.head)
    agree = model._agree(maps, pairs, canvas) & pairs.fit
    assert found.valid.sum(1).tolist() == agree.flatten(1).sum(1).tolist()
    for n in range(2):
        best = int(torch.where(agree[n], pairs.scores[n], -1).argmax())
        limit = torch.tensor([CANVAS[1], CANVAS[0]] * 2)
        assert torch.equal(found.boxes[n, 0], pairs.boxes[n].flatten(0, 1)[best].minimum(limit))
        assert found.labels[n, 0] == pairs.labels[n].flatten()[best]


def test_targets_without_a_size_are_finite() -> None:
    model = centripetal_net().train()
    given = targets(2, 0)
    given.boxes[0, 1, 2:] = given.boxes[0, 1, :2]
    losses = model(images(), given)
    assert all(bool(torch.isfinite(value)) for value in losses.values())
    wanted = corner_targets(given, torch.Size((2, 3, *CANVAS)), torch.Size((2, 3, 24, 32)), 0.3)
    assert wanted[0].number == 2
