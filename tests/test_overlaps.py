"""Which boxes overlap which: every backend against the plain formula, bit for bit, and what a crowd costs."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.memory import peak_bytes
from detzoo.blocks.anchors import Anchors
from detzoo.blocks.assign import MatchConfig, match
from detzoo.ops import boxes as ops
from detzoo.ops import overlaps_index
from detzoo.ops.boxes import best_overlaps, coverage, covered, pairwise_iou
from detzoo.types import Targets
from tests.triton_interpreter import run_interpreted

SHAPES = Anchors.Config(scales=(4.0, 4 * 2 ** (1 / 3), 4 * 2 ** (2 / 3)))
STRIDES = (8, 16, 32, 64, 128)


@pytest.fixture
def always_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "_few", lambda boxes, valid: False)


def formula(
    boxes: Tensor, usable: Tensor | None, objects: Tensor, valid: Tensor, peak: float | None, ties: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """What `best_overlaps` is, from the matrix of all overlaps."""
    found = pairwise_iou(objects, boxes)
    counted = valid.unsqueeze(2) if usable is None else valid.unsqueeze(2) & usable.unsqueeze(1)
    found = torch.where(counted, found, -1.0)
    best, slot = found.max(1)
    claimed = torch.zeros_like(best, dtype=torch.bool)
    if peak is not None:
        for image in range(len(found)):
            for index, row in enumerate(found[image]):
                if row.max() >= peak and row.max() > 0:
                    first = torch.arange(len(row)) == row.argmax()
                    here = row == row.max() if ties else first
                    slot[image] = torch.where(here, index, slot[image])
                    claimed[image] |= here
    return best, slot, claimed


def some_boxes(kind: str, dice: random.Random, count: int) -> Tensor:
    """Boxes ``[count, 4]`` of a kind; those of ``grid`` as many as they are."""
    generator = torch.Generator().manual_seed(dice.randrange(10**9))

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    if kind == "lattice":  # many ties, boxes without width, and inside out
        step = dice.choice([1, 4, 8])
        corner = (draw(count, 2) * 46 - 6).floor()
        return torch.cat([corner, corner + (draw(count, 2) * dice.choice([4, 12, 30])).floor() - 1], 1) * step
    if kind == "grid":
        rows = dice.randint(1, 7)
        return Anchors(SHAPES, STRIDES[:3])([(rows, rows + 3), (rows // 2 + 1, rows // 2 + 2), (1, 2)])
    if kind == "alike":
        return torch.tensor([3.0, 4, 20, 30]) + draw(count, 1).round() * dice.choice([0, 1, 5])
    spread, far = {"scattered": (1.0, 1000.0), "thin": (3.0, 300.0), "tiny": (0.1, 1e-2), "far": (1.0, 1e6)}[kind]
    if kind == "far" and dice.random() < 0.5:
        far = dice.choice([1e9, 1e17])
    size = torch.exp((draw(count, 2) - 0.5) * 4 * spread) * far / 10
    corner = draw(count, 2) * far + dice.choice([-far, 0, far])
    return torch.cat([corner, corner + size], 1)


KINDS = ("lattice", "grid", "alike", "scattered", "thin", "tiny", "far")


def scene(seed: int) -> tuple[dict[str, Any], random.Random]:
    """Arguments of `best_overlaps` of every kind that there is."""
    dice = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    images, kind = dice.randint(1, 3), dice.choice(KINDS)
    boxes = some_boxes(kind, dice, dice.choice([1, 5, 60, 300]))
    if dice.random() < 0.3:  # each image its own
        boxes = torch.stack([boxes[torch.randperm(len(boxes), generator=generator)] for _ in range(images)])
    slots = dice.choice([1, 4, 32])
    kinds = [dice.choice([kind, kind, dice.choice(KINDS)]) for _ in range(images)]
    objects = [some_boxes(one, dice, slots) for one in kinds]
    if dice.random() < 0.3:  # objects that are boxes, or nearly
        picks = torch.randint(boxes.numel() // 4, (images, slots), generator=generator)
        objects = list(boxes.reshape(-1, 4)[picks] * dice.choice([1.0, 1.25]))
    objects = torch.stack([one.repeat(slots, 1)[:slots] for one in objects])
    chance = torch.rand(images, boxes.shape[-2], generator=generator)
    arguments = {
        "boxes": boxes,
        "usable": None if dice.random() < 0.5 else chance < dice.choice([0.1, 0.9]),
        "objects": objects,
        "valid": torch.rand(images, slots, generator=generator) < dice.choice([0, 0.8, 1]),
        "least": dice.choice([1e-3, 0.05, 0.3, 0.4, 0.5, 0.7, 1.0]),
        "peak": dice.choice([None, 0.0, 0.0, 0.05, 0.3, 0.9]),
        "ties": dice.random() < 0.5,
    }
    return arguments, dice


def check(found: tuple[Tensor, Tensor, Tensor], least: float, **arguments: Any) -> None:
    """What was asked for is the formula's, to the last bit."""
    best, slot, claimed = formula(**arguments)
    asked = best >= least
    assert torch.equal(found[0][asked], best[asked])
    assert bool((found[0][~asked] < least).all())
    assert torch.equal(found[2], claimed)
    assert torch.equal(found[1][asked | claimed], slot[asked | claimed])


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_the_index_is_the_formula_bit_for_bit(seed: int):
    arguments, dice = scene(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "_few", lambda boxes, valid: False)
        patch.setattr(overlaps_index, "_PART", dice.choice([1000, 1 << 17]))
        check(best_overlaps(**arguments), **arguments)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_the_plain_backend_is_the_formula_bit_for_bit(seed: int):
    arguments, dice = scene(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "_few", lambda boxes, valid: True)
        patch.setattr(ops, "_CHUNK", dice.choice([3, 16]))
        check(best_overlaps(**arguments), **arguments)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.0, 0.3, 0.5, 1.0]), few=st.booleans())
def test_covered_is_its_formula(seed: int, share: float, few: bool):
    arguments, _ = scene(seed)
    boxes, regions, valid = (arguments[name] for name in ("boxes", "objects", "valid"))
    inside = coverage(boxes.unsqueeze(-3), regions.unsqueeze(2)) > share
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "_few", lambda boxes, valid: few)
        found = covered(boxes, regions, valid, share)
    assert torch.equal(found, (inside & valid.unsqueeze(2)).any(1))


def crowd(images: int, slots: int, extent: tuple[int, int] = (1333, 800)) -> Tensor:
    """Objects ``[images, slots, 4]`` of COCO's sizes, in a picture of ``extent`` and beyond its sides."""
    generator = torch.Generator().manual_seed(images + slots)
    size = torch.exp(torch.rand(images, slots, 1, generator=generator) * 4.2 + 2)
    size = size * torch.exp(torch.randn(images, slots, 2, generator=generator) * 0.3)
    centre = torch.rand(images, slots, 2, generator=generator) * torch.tensor(extent)
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def pyramid(height: int, width: int) -> Tensor:
    return Anchors(SHAPES, STRIDES)([(-(-height // stride), -(-width // stride)) for stride in STRIDES])


@pytest.mark.parametrize("least", [0.4, 0.3])
def test_a_pyramid_of_anchors_is_the_formula_bit_for_bit(least: float, always_index: None):
    boxes, objects = pyramid(200, 300), crowd(2, 100, (300, 200))
    arguments = {"boxes": boxes, "usable": None, "objects": objects, "peak": 0.0, "ties": True}
    arguments |= {"valid": torch.ones(2, 100, dtype=torch.bool), "least": least}
    check(best_overlaps(**arguments), **arguments)


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize(("boxes", "objects"), [(0, 3), (5, 0), (0, 0)])
def test_nothing_in_nothing_out(boxes: int, objects: int, few: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ops, "_few", lambda boxes, valid: few)
    some, others = torch.ones(boxes, 4), torch.ones(2, objects, 4)
    valid = torch.ones(2, objects, dtype=torch.bool)
    best, slot, claimed = best_overlaps(some, None, others, valid, 0.5, 0.0)
    assert best.shape == slot.shape == claimed.shape == (2, boxes)
    assert not claimed.any()
    assert bool((best < 0.5).all())
    assert not covered(some, others, valid, 0.5).any()


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_what_is_no_box_overlaps_nothing_and_disturbs_nobody(value: float, few: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ops, "_few", lambda boxes, valid: few)
    good = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    for place in range(4):
        bad = torch.tensor([[0.0, 0, 10, 10]])
        bad[0, place] = value
        packed = Targets.pack([{"boxes": torch.cat([bad, good, bad]), "labels": torch.zeros(4)}])
        found = match(torch.cat([good + 1, bad]), None, packed, MatchConfig(low_quality=0.0))
        assert found.slot.tolist() == [[1, 2, 0]]
        assert found.positive.tolist() == [[True, True, False]]
        assert found.negative.tolist() == [[False, False, True]]


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_crowd_takes_no_memory_of_its_own(everywhere: bool):
    """The plain formula's matrix is 160 MB for each picture, and everything overlapping everything costs no more."""
    anchors = pyramid(400, 672) if everywhere else pyramid(800, 1344)
    objects = anchors[:1].expand(2, 20, 4) if everywhere else crowd(4, 200)
    boxes = anchors[:1].expand(len(anchors), 4) if everywhere else anchors
    packed = Targets.pack([{"boxes": some, "labels": torch.zeros(len(some))} for some in objects])
    config = MatchConfig(positive=0.5, negative=0.4, low_quality=0.0, ignore=0.5)
    assert peak_bytes(lambda: match(boxes, None, packed, config)) < 64e6


INTERPRETED = """
import torch
from detzoo.ops import overlaps_triton
from detzoo.ops.boxes import coverage
from tests.test_overlaps import check, scene
for seed, ties in ((0, True), (27, True), (27, False), (55, True)):
    arguments, _ = scene(seed)
    arguments |= {"peak": 0.0, "ties": ties}
    given = {name: value for name, value in arguments.items() if name != "least"}
    check(overlaps_triton.best_overlaps(**given), **arguments)
    boxes, regions, valid = (arguments[name] for name in ("boxes", "objects", "valid"))
    inside = coverage(boxes.unsqueeze(-3), regions.unsqueeze(2)) > 0.3
    found = overlaps_triton.covered(boxes, regions, valid, 0.3)
    assert torch.equal(found, (inside & valid.unsqueeze(2)).any(1)), seed
print("equal")
"""


def test_cuda_kernels_are_the_formula_in_tritons_interpreter():
    run_interpreted(INTERPRETED)


@pytest.mark.gpu
def test_cuda_is_the_formula_bit_for_bit():
    boxes, objects = pyramid(800, 1344), crowd(2, 100)
    valid = torch.ones(2, 100, dtype=torch.bool)
    for ties in (True, False):
        found = best_overlaps(boxes.cuda(), None, objects.cuda(), valid.cuda(), 0.4, 0.0, ties)
        here, slot, claimed = (part.cpu() for part in found)
        check((here, slot, claimed), 0.4, boxes=boxes, usable=None, objects=objects, valid=valid, peak=0.0, ties=ties)
    inside = covered(boxes, objects, valid, 0.5)
    assert torch.equal(covered(boxes.cuda(), objects.cuda(), valid.cuda(), 0.5).cpu(), inside)


def test_one_operator_under_export():
    class Match(torch.nn.Module):
        def forward(self, boxes: Tensor, objects: Tensor, valid: Tensor) -> tuple[Tensor, ...]:
            return best_overlaps(boxes, None, objects, valid, 0.5, 0.0)

    boxes, objects = pyramid(100, 100), crowd(2, 5, (100, 100))
    valid = torch.ones(2, 5, dtype=torch.bool)
    program = torch.export.export(Match(), (boxes, objects, valid))
    calls = [str(node.target) for node in program.graph.nodes if "detzoo" in str(node.target)]
    assert calls == ["detzoo.best_overlaps.default"]
    for ours, exported in zip(Match()(boxes, objects, valid), program.module()(boxes, objects, valid), strict=True):
        assert torch.equal(ours, exported)
