"""Libra R-CNN's parts: balanced draws counted one by one, the bound on negatives, and the balanced pyramid."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from detzoo.blocks.assign import sample
from detzoo.blocks.balanced_sampling import Balance, balanced_keys
from detzoo.necks.bfp import BFP
from detzoo.necks.fpn import FPN


def drawn(
    slots: list[int], overlaps: list[float], count: int, most: int, **settings: Any
) -> tuple[list[int], list[int], torch.Tensor]:
    """Positives (of ``slots``, -1: none) and negatives that are drawn, and all overlaps."""
    slot, overlap = torch.tensor([slots]), torch.tensor([overlaps])
    positive, negative = slot >= 0, (slot < 0) & (overlap < 0.5)
    key = balanced_keys(slot.clamp(min=0), positive, negative, overlap, 4, count, most, Balance(**settings))
    assert bool((key >= 0).all() and (key < 1).all())
    index, chosen, is_positive = sample(positive, negative, count, most / count, key)
    picked = index[chosen]
    return slot[0, index[is_positive]].tolist(), picked[~is_positive[chosen]].tolist(), overlap[0]


# of the first object 20 positives, of the second 2, of the third 6
CROWD = [0] * 20 + [1] * 2 + [2] * 6
# negatives: 30 of no overlap, 40 of little, 6 of much
NONE, LITTLE, MUCH = 30, 40, 6
OVERLAPS = [1.0] * len(CROWD) + [0.0] * NONE + [0.1] * LITTLE + [0.4] * MUCH
SLOTS = CROWD + [-1] * (NONE + LITTLE + MUCH)


@pytest.mark.parametrize("most", [6, 9, 12, 40])
def test_every_object_gives_its_share_of_positives(most: int) -> None:
    torch.manual_seed(0)
    found, _, _ = drawn(SLOTS, OVERLAPS, 64, most)
    share = round(most / 3) + 1
    assert len(found) == min(most, len(CROWD))
    if sum(min(CROWD.count(one), share) for one in range(3)) >= most:
        assert all(found.count(one) <= share for one in range(3))
    else:
        assert all(found.count(one) >= min(CROWD.count(one), share) for one in range(3))


def test_every_range_of_overlaps_gives_its_share_of_negatives() -> None:
    torch.manual_seed(0)
    _, found, overlap = drawn(SLOTS, OVERLAPS, 48, 12)
    assert len(found) == 36
    kinds = overlap[found].tolist()
    # a third of 36 is wanted of each range: of the highest there are none, of the middle all
    assert kinds.count(torch.tensor(0.4).item()) == MUCH
    assert kinds.count(0.0) == 0


def test_what_overlaps_nothing_fills_up() -> None:
    torch.manual_seed(0)
    _, found, overlap = drawn(SLOTS, OVERLAPS, 72, 12)
    assert len(found) == 60
    assert int((overlap[found] == 0).sum()) == 60 - LITTLE - MUCH


def test_without_balance_everything_is_as_likely() -> None:
    torch.manual_seed(0)
    crowds, zeros = [], []
    for _ in range(50):
        positives, negatives, overlap = drawn(SLOTS, OVERLAPS, 24, 12, objects=False, ranges=0)
        crowds.append(positives.count(0) / 12)
        zeros.append(float((overlap[negatives] == 0).float().mean()))
    assert sum(crowds) / 50 == pytest.approx(20 / 28, abs=0.06)
    assert sum(zeros) / 50 == pytest.approx(30 / 76, abs=0.06)


@pytest.mark.parametrize(("positives", "wanted"), [(3, 15), (0, 5), (20, 44)])
def test_negatives_are_bounded_by_positives(positives: int, wanted: int) -> None:
    place = torch.arange(100).unsqueeze(0)
    _, chosen, positive = sample(place < positives, place >= positives, 64, 0.5, ratio=5.0)
    assert int(positive.sum()) == positives
    assert int((chosen & ~positive).sum()) == wanted


@pytest.mark.parametrize("refine", ["attention", "conv", None])
@pytest.mark.parametrize("level", [0, 2])
def test_levels_are_balanced(refine: Any, level: int) -> None:
    torch.manual_seed(0)
    config = BFP.Config(pyramid=FPN.Config(out_channels=8, levels=4), level=level, refine=refine)
    neck = config.build((4, 6, 8), (4, 8, 16)).eval()
    assert (neck.channels, neck.strides) == ((8,) * 4, (4, 8, 16, 32))
    maps = [torch.randn(2, width, *size) for width, size in ((4, (20, 25)), (6, (10, 13)), (8, (5, 7)))]
    pyramid: Any = neck[0]
    refining: Any = getattr(neck[1], "refine", None)
    with torch.no_grad():
        levels, found = pyramid(maps), neck(maps)
        size = levels[level].shape[-2:]
        gathered = [
            F.adaptive_max_pool2d(one, size) if number < level else F.interpolate(one, size=size, mode="nearest")
            for number, one in enumerate(levels)
        ]
        mean = sum(gathered[1:], gathered[0]) / 4
        if refine == "conv":
            mean = refining(mean)
        elif refine == "attention":
            values, queries, keys = (getattr(refining, name)(mean).flatten(2) for name in ("g", "theta", "phi"))
            told = torch.zeros_like(values)
            for image in range(2):
                for place in range(values.shape[2]):
                    weights = (queries[image, :, place] @ keys[image]).softmax(0)
                    told[image, :, place] = values[image] @ weights
            mean = mean + refining.conv_out(told.view_as(mean))
        for number, (before, after) in enumerate(zip(levels, found, strict=True)):
            given = F.adaptive_max_pool2d(mean, before.shape[-2:])
            if number < level:
                given = F.interpolate(mean, size=before.shape[-2:], mode="nearest")
            torch.testing.assert_close(after, before + given, atol=1e-5, rtol=1e-4)


def test_a_level_has_to_be_there() -> None:
    with pytest.raises(ValueError, match="level 5 is none of the pyramid's 5"):
        BFP.Config(level=5).build((4, 6, 8), (4, 8, 16))
