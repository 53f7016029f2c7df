"""Dynamic R-CNN's threshold and beta: what they move to, when, and what a step takes in, against plain sums."""

from __future__ import annotations

import copy
import statistics

import pytest
import torch

from detzoo.blocks.assign import match
from detzoo.methods.dynamic_rcnn import DynamicRCNN, Moving, Pace
from detzoo.ops.boxes import encode, pairwise_iou
from detzoo.types import Targets
from tests.tiny import images, proposals, targets, tiny

FEW = Pace(every=4, least_overlap=0.45, most_beta=0.8)


def moved(overlaps: list[float], shifts: list[float | None], beta: float = 1.0) -> Moving:
    moving = Moving(FEW, 0.5, beta)
    for overlap, shift in zip(overlaps, shifts, strict=True):
        found = torch.tensor(torch.inf if shift is None else shift)
        moving.update(torch.tensor(overlap), found, torch.tensor(shift is not None))
    return moving


@pytest.mark.parametrize("shifts", [[0.3, 0.1, 0.2, 0.6], [0.3, None, 0.1, None], [None, 0.7, None, None]])
def test_the_numbers_move_to_mean_and_median(shifts: list[float | None]) -> None:
    overlaps = [0.5, 0.6, 0.4, 0.7]
    moving = moved(overlaps, shifts)
    assert float(moving.threshold) == pytest.approx(statistics.mean(overlaps))
    assert float(moving.beta) == pytest.approx(statistics.median(shift for shift in shifts if shift is not None))
    assert int(moving.step) == 0
    fresh = Moving(FEW, 0.5, 1.0)
    assert torch.equal(moving.shifts, fresh.shifts)
    assert torch.equal(moving.overlaps, fresh.overlaps)


def test_the_numbers_have_bounds() -> None:
    moving = moved([0.1] * 4, [2.0] * 4)
    assert (float(moving.threshold), float(moving.beta)) == (pytest.approx(0.45), pytest.approx(0.8))


@pytest.mark.parametrize("shifts", [[None] * 4, [0.0] * 4])
def test_beta_stays_where_there_is_nothing_to_go_by(shifts: list[float | None]) -> None:
    assert float(moved([0.6] * 4, shifts, beta=0.7).beta) == pytest.approx(0.7)


def test_nothing_moves_before_its_time() -> None:
    moving = moved([0.9] * 3, [0.1] * 3)
    assert (float(moving.threshold), float(moving.beta), int(moving.step)) == (0.5, 1.0, 3)


@pytest.mark.parametrize("counts", [(3, 1), (0, 2), (0, 0)])
def test_what_a_step_takes_in(counts: tuple[int, int]) -> None:
    detector = tiny(DynamicRCNN, pace={"overlap_rank": 5, "shift_rank": 2})
    assert isinstance(detector, DynamicRCNN)
    objects = targets(*counts)
    boxes = torch.stack([proposals(7), proposals(8)])
    near = objects.boxes[:, :1] + torch.tensor([2.0, 1.0, 3.0, -1.0])
    boxes = torch.cat([near, boxes], 1)
    valid = torch.ones(boxes.shape[:2], dtype=torch.bool)
    valid[0, -3:] = False
    valid[:, 0] = objects.valid[:, 0]
    head = detector.box_head.config
    matches = match(boxes, valid, objects, head.match, threshold=torch.tensor(0.3))
    wanted, every = [], []
    for image in range(2):
        real = objects.boxes[image, objects.valid[image]]
        ious = pairwise_iou(boxes[image, valid[image]], real)
        best = ious.amax(1).tolist() if len(real) else [0.0] * len(ious)
        wanted.append(sorted([1.0] * len(real) + best)[-5])
        positive = matches.positive[image]
        offsets = encode(boxes[image, positive], objects.boxes[image, matches.slot[image, positive]], head.stds)
        every += offsets[:, :2].abs().mean(1).tolist() + [0.0] * len(real)
    overlap = detector._overlap(matches, valid, objects)
    assert float(overlap) == pytest.approx(statistics.mean(wanted), abs=1e-5)
    samples = detector.box_head.config.replace(samples=1000, positives=0.5)
    detector.box_head.config = samples
    drawn = detector.box_head.sample(None, boxes, valid, objects, matches)  # pyright: ignore[reportArgumentType] (no loss)
    shift, seen = detector._shift(drawn, objects)
    assert bool(seen) == bool(every)
    if every:
        assert float(shift) == pytest.approx(sorted(every)[min(4, len(every)) - 1], abs=1e-5)


def test_only_training_steps_count() -> None:
    detector = tiny(DynamicRCNN)
    assert isinstance(detector, DynamicRCNN)
    for training, steps in ((False, 0), (True, 1), (False, 1)):
        detector.train(training)(images(), targets(2, 1))
        assert int(detector.moving.step) == steps


def test_threshold_and_beta_are_those_of_the_losses() -> None:
    """A model that began with the numbers that another one has come to has the same losses."""
    batch: tuple[object, Targets] = images(), targets(3, 2)
    moving = tiny(DynamicRCNN).train()
    other = tiny(
        DynamicRCNN,
        box_head={"match": {"positive": 0.2, "negative": 0.2}, "box_loss": {"kind": "smooth_l1", "beta": 0.1}},
    )
    other.load_state_dict(
        {**moving.state_dict(), "moving.beta": torch.tensor(0.1), "moving.threshold": torch.tensor(0.2)}
    )
    first = copy.deepcopy(moving)
    moving.load_state_dict(other.state_dict())
    results = []
    for detector in (moving, other.train(), first):
        torch.manual_seed(0)
        results.append(detector(*batch))
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name])
    assert float(results[0]["loss_bbox"].detach()) != float(results[2]["loss_bbox"].detach())


def test_published_weights_leave_the_numbers_alone() -> None:
    detector = tiny(DynamicRCNN)
    published = {name: value for name, value in detector.state_dict().items() if not name.startswith("moving.")}
    detector.load_state_dict({**detector.state_dict(), "moving.beta": torch.tensor(0.3)})
    detector.load_published(published)
    assert float(detector.get_buffer("moving.beta")) == pytest.approx(0.3)
