import numpy as np
import pytest

from detzoo.evaluate.arrays import Found, Truth, iou
from detzoo.evaluate.voc import average_precision, voc_metrics


def truth_of(rows: list[tuple], images: int = 2, classes: tuple[str, ...] = ("a", "b")) -> Truth:
    """Rows of image, label, box, difficult."""
    return Truth(
        images=images,
        classes=classes,
        image=np.array([row[0] for row in rows], dtype=np.int64),
        labels=np.array([row[1] for row in rows], dtype=np.int64),
        boxes=np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 4),
        areas=np.ones(len(rows)),
        crowd=np.zeros(len(rows), dtype=bool),
        ignore=np.array([row[3] for row in rows], dtype=bool),
    )


def found_of(rows: list[tuple]) -> Found:
    """Rows of image, label, box, score."""
    return Found(
        image=np.array([row[0] for row in rows], dtype=np.int64),
        labels=np.array([row[1] for row in rows], dtype=np.int64),
        boxes=np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 4),
        scores=np.array([row[3] for row in rows], dtype=np.float64),
    )


HERE, THERE, FAR = (0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)


def test_by_hand():
    truth = truth_of([(0, 0, HERE, False), (0, 0, THERE, False), (1, 0, HERE, False), (1, 0, THERE, True)])
    found = found_of(
        [
            (0, 0, HERE, 0.9),  # right: recall 1/3, precision 1
            (0, 0, HERE, 0.8),  # a second claim: wrong, precision 1/2
            (1, 0, THERE, 0.7),  # difficult: does not count
            (1, 0, FAR, 0.6),  # wrong, precision 1/3
            (1, 0, HERE, 0.5),  # right: recall 2/3, precision 1/2
        ]
    )
    area, per_class = voc_metrics(truth, found, mode="area")
    assert area["box_ap50"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 0.5)
    assert per_class == [{"box_ap50": pytest.approx(0.5)}, {"box_ap50": -1.0}]
    # recall 0 to 0.3 reaches precision 1, 0.4 to 0.6 precision 1/2, the rest nothing
    assert voc_metrics(truth, found, mode="11point")[0]["box_ap50"] == pytest.approx((4 * 1 + 3 * 0.5) / 11)


def test_a_detection_claims_only_its_best_object():
    """The nearest object is taken; the second nearest is not tried, as in VOC's own evaluation."""
    truth = truth_of([(0, 0, (0, 0, 10, 10), False), (0, 0, (0, 0, 10, 12), False)])
    found = found_of([(0, 0, (0, 0, 10, 10), 0.9), (0, 0, (0, 0, 10, 10.5), 0.8)])
    assert voc_metrics(truth, found)[0]["box_ap50"] == pytest.approx(0.5)


def test_border_counts_the_last_pixel():
    truth, found = truth_of([(0, 0, (0, 0, 1, 1), False)]), found_of([(0, 0, (0, 0, 1, 3), 1.0)])
    assert voc_metrics(truth, found)[0]["box_ap50"] == 0  # 1 of 3
    assert voc_metrics(truth, found, border=1.0)[0]["box_ap50"] == 1  # 4 of 8


def test_recall_thresholds_are_exact():
    """Three of ten found reaches recall 0.3 although 0.1 * 3 is more than 0.3 in floating point."""
    right = np.array([True, True, True])
    assert average_precision(right, ~right, 10, "11point") == pytest.approx(4 / 11)


def test_nothing_found_and_nothing_to_find():
    truth = truth_of([(0, 0, HERE, False)])
    assert voc_metrics(truth, found_of([]))[0]["box_ap50"] == 0
    assert voc_metrics(truth_of([]), found_of([(0, 0, HERE, 0.5)]))[0]["box_ap50"] == -1
    only_difficult = truth_of([(0, 0, HERE, True)])
    assert voc_metrics(only_difficult, found_of([(0, 0, HERE, 0.5)]))[0]["box_ap50"] == -1


def brute_force(truth: Truth, found: Found, label: int, eleven: bool) -> float:
    """One detection and one object at a time."""

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
        height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
        shared = width * height
        return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)

    total = sum(1 for row in range(len(truth)) if truth.labels[row] == label and not truth.ignore[row])
    rows = [row for row in range(len(found)) if found.labels[row] == label]
    rows.sort(key=lambda row: -found.scores[row])
    taken, right, seen, curve = set(), 0, 0, []
    for row in rows:
        best, value = None, 0.5
        for other in range(len(truth)):
            if truth.image[other] == found.image[row] and truth.labels[other] == label:
                now = overlap(found.boxes[row], truth.boxes[other])
                if now >= value and (best is None or now > value):
                    best, value = other, now
        if best is not None and truth.ignore[best]:
            continue
        seen += 1
        if best is not None and best not in taken:
            taken.add(best)
            right += 1
        curve.append((right, right / seen))
    if eleven:
        return sum(max([p for r, p in curve if 10 * r >= step * total], default=0) for step in range(11)) / 11
    return sum(max([p for r, p in curve if r >= count], default=0) for count in range(1, total + 1)) / total


@pytest.mark.parametrize("seed", range(4))
def test_brute_force_agrees(seed: int):
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(30):
        x, y = random.uniform(0, 40, 2)
        rows.append((random.integers(4), random.integers(2), (x, y, x + 10, y + 12), random.random() < 0.2))
    truth, guesses = truth_of(rows, images=4), []
    for _ in range(120):
        image, label, box, _ = rows[random.integers(30)]
        x, y = np.array(box[:2]) + random.normal(0, 3, 2)
        guesses.append((image, label, (x, y, x + 10, y + 12), random.random()))
    found = found_of(guesses)
    for eleven in (False, True):
        expected = [brute_force(truth, found, label, eleven) for label in range(2)]
        mean, per_class = voc_metrics(truth, found, mode="11point" if eleven else "area")
        assert [row["box_ap50"] for row in per_class] == pytest.approx(expected)
        assert mean["box_ap50"] == pytest.approx(np.mean(expected))
        assert 0.02 < np.mean(expected) < 0.98


def test_iou_of_empty_boxes_is_zero():
    assert iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0.0]]
