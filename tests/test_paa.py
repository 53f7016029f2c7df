"""PAA: which anchors learn, against loops over objects and levels; votes; the mixture of two Gaussians."""

from __future__ import annotations

import math
import statistics
from typing import Any, cast

import pytest
import torch

from detzoo.blocks.assign import match
from detzoo.methods.paa import PAA
from detzoo.ops.boxes import pairwise_iou
from detzoo.ops.mixture import CHANGE, LEAST_VARIANCE, STEPS, split_in_two
from detzoo.types import Detections
from tests.tiny import CANVAS, images, targets, tiny

SIZES = [(math.ceil(CANVAS[0] / stride), math.ceil(CANVAS[1] / stride)) for stride in (8, 16, 32, 64, 128)]
CELLS = [height * width for height, width in SIZES]


def paa(**head: Any) -> PAA:
    return cast(PAA, tiny(PAA, head=head))


def slow_split(values: list[float]) -> tuple[list[bool], list[float]]:
    """Expectation maximization as a textbook has it."""
    means, variances, shares, before = [min(values), max(values)], [1.0, 1.0], [0.5, 0.5], -math.inf

    def densities(value: float) -> list[float]:
        normals = [statistics.NormalDist(mean, spread**0.5) for mean, spread in zip(means, variances, strict=True)]
        return [share * normal.pdf(value) for share, normal in zip(shares, normals, strict=True)]

    for _ in range(STEPS):
        each = [densities(value) for value in values]
        now = statistics.mean(math.log(sum(one)) for one in each)
        for index in (0, 1):
            parts = [one[index] / sum(one) for one in each]
            means[index] = sum(p * value for p, value in zip(parts, values, strict=True)) / sum(parts)
            apart = sum(p * (value - means[index]) ** 2 for p, value in zip(parts, values, strict=True))
            variances[index] = apart / sum(parts) + LEAST_VARIANCE
            shares[index] = sum(parts) / len(values)
        if abs(now - before) < CHANGE:
            break
        before = now
    each = [densities(value) for value in values]
    return [first >= second for first, second in each], [math.log(sum(one)) for one in each]


LISTS = [
    [0.3, 0.4, 0.45, 1.9, 2.0, 2.2, 2.3],
    [0.5, 3.0],
    [1.0, 1.0, 1.0],
    [0.1, 0.2, 0.9, 1.0, 1.2, 1.3, 1.4, 4.0, 9.0, 9.5],
]


def test_lists_are_split_as_one_by_one() -> None:
    values, valid = torch.full((5, 10), torch.inf, dtype=torch.float64), torch.zeros(5, 10, dtype=torch.bool)
    for row, numbers in enumerate(LISTS):  # the last row stays empty
        values[row, : len(numbers)] = torch.tensor(numbers)
        valid[row, : len(numbers)] = True
    first, likely = split_in_two(values, valid)
    for row, numbers in enumerate(LISTS):
        low, expected = slow_split(values[row, : len(numbers)].tolist())
        assert first[row, : len(numbers)].tolist() == low
        assert likely[row, : len(numbers)].tolist() == pytest.approx(expected, rel=1e-6)


def slow_positive(detector: PAA, cost: list[float], slots: list[int]) -> set[int]:
    """Numbers of the anchors of an image that learn; ``slots`` are -1 where an anchor may not."""
    chosen: set[int] = set()
    for slot in set(slots) - {-1}:
        candidates: list[int] = []
        first = 0
        for cells in CELLS:
            mine = [index for index in range(first, first + cells) if slots[index] == slot]
            candidates += sorted(mine, key=lambda index: cost[index])[: detector.head.best]
            first += cells
        candidates.sort(key=lambda index: cost[index])
        if len(candidates) < 2:
            continue
        low, likely = slow_split([cost[index] for index in candidates])
        lower = [place for place, is_low in enumerate(low) if is_low]
        if lower:
            last = max(lower, key=lambda place: likely[place])
            chosen |= {candidates[place] for place in lower if place <= last}
    return chosen


@pytest.mark.parametrize("counts", [(4, 1), (30, 0), (0, 0)])
@pytest.mark.parametrize("best", [2, 9])
def test_anchors_learn_as_loops_have_it(counts: tuple[int, ...], best: int) -> None:
    detector, objects = paa(best=best), targets(*counts)
    matches = match(detector.anchors(SIZES), None, objects, detector.head.match)
    generator = torch.Generator().manual_seed(3)
    cost = torch.rand(len(counts), sum(CELLS), generator=generator, dtype=torch.float64).square() * 4
    positive = detector._positive(cost, matches, CELLS, objects.boxes.shape[1])
    for image, count in enumerate(counts):
        slots = torch.where(matches.positive[image], matches.slot[image], -1).tolist()
        expected = slow_positive(detector, cost[image].tolist(), slots)
        assert set(positive[image].nonzero().flatten().tolist()) == expected
        assert len(expected) >= count // 2


def test_a_detection_is_the_mean_of_the_boxes_around_it() -> None:
    detector = paa(threshold=0.3)
    boxes = torch.tensor([[[0.0, 0.0, 20.0, 20.0], [2.0, 0.0, 22.0, 20.0], [1.0, 1.0, 19.0, 19.0], [60.0, 0, 80, 20]]])
    scores = torch.tensor([[[0.9, 0.1], [0.6, 0.9], [0.2, 0.9], [0.9, 0.9]]])  # the third is below the threshold
    labels, valid = torch.zeros(1, 2, dtype=torch.int64), torch.tensor([[True, False]])
    kept = Detections(boxes[:, :2] * valid[..., None], torch.tensor([[0.9, 0.0]]), labels, valid)
    voted = detector._voted(kept, boxes, scores)
    overlap = float(pairwise_iou(boxes[0, :1], boxes[0, 1:2]))
    weights = [0.9, 0.6 * math.exp(-((1 - overlap) ** 2) / 0.025)]
    expected = sum(w * x for w, x in zip(weights, (0.0, 2.0), strict=True)) / sum(weights)
    assert voted.boxes[0, 0].tolist() == pytest.approx([expected, 0.0, expected + 20, 20.0])
    assert voted.boxes[0, 1].tolist() == [0.0] * 4


def test_votes_move_boxes_and_nothing_else() -> None:
    detector, plain = paa(threshold=0.0).eval(), paa(threshold=0.0, voting=False).eval()
    with torch.no_grad():
        voted, kept = detector.detect(images()), plain.detect(images())
    assert torch.equal(voted.scores, kept.scores)
    assert torch.equal(voted.labels, kept.labels)
    assert not torch.equal(voted.boxes, kept.boxes)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="must compare boxes"):
        paa(box_loss={"kind": "l1"})
