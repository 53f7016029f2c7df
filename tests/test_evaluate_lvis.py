"""LVIS's metric: equal to the package ``lvis``, and what makes it differ from COCO's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import hotcoco
import numpy as np
import pytest

from detzoo.config import ConfigError
from detzoo.data.federated import Federated
from detzoo.data.source import as_data
from detzoo.evaluate.arrays import Found, Truth
from detzoo.evaluate.coco import coco_metrics
from detzoo.evaluate.lvis import lvis_metrics
from detzoo.evaluate.run import evaluate
from tests.oracle import Oracle, answers, scene, write_coco

SIZE, IMAGES, CLASSES = 200, 6, 7

# what lvis 0.5.3 says of `made`: recorded, as that package cannot be installed beside current ones
BOX = {
    **{"ap": 0.344845366233, "ap50": 0.466097784456, "ap75": 0.366107074766},
    **{"ap_small": 0.199558749692, "ap_medium": 0.486775736531, "ap_large": 0.461690209986},
    **{"ap_rare": 0.171287739279, "ap_common": 0.420385510229, "ap_frequent": 0.442862849191},
    **{"ar300": 0.804365079365, "ar_small": 0.578571428571, "ar_medium": 0.858333333333, "ar_large": 0.97619047619},
}
MASK = {
    **{"ap": 0.335605198429, "ap50": 0.451232544262, "ap75": 0.327841893759},
    **{"ap_small": 0.315779207177, "ap_medium": 0.435248012413, "ap_large": -1.0},
    **{"ap_rare": 0.180476732068, "ap_common": 0.393042706799, "ap_frequent": 0.433296156419},
    **{"ar300": 0.821428571429, "ar_small": 0.744047619048, "ar_medium": 0.97619047619, "ar_large": -1.0},
}


def triangles(boxes: np.ndarray) -> list[dict[str, Any]]:
    """The half of each box below its diagonal, in run lengths."""
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    encoded = []
    for x0, y0, x1, y1 in boxes:
        inside = (columns > x0) & (rows < y1) & ((columns - x0) / (x1 - x0) < (rows - y0) / (y1 - y0))
        encoded.append(hotcoco.mask.encode(np.asfortranarray(inside.astype(np.uint8))))
    return encoded


def made(masks: bool = False) -> tuple[Truth, Found]:
    """Objects and detections by sums of whole numbers, so that no random generator can change them.

    Sizes are mixed, scores tie, the last class has no objects and the last image 340 detections.
    """
    number = np.arange(40)
    edges = np.array([14, 40, 110])[number % 3]
    low = np.stack([number * 37 % 80, number * 53 % 85], 1)
    boxes = np.concatenate([low, low + np.stack([edges, edges - number % 5], 1)], 1).astype(np.float64)
    image, labels = np.sort(number * 7 % IMAGES), number * 11 % (CLASSES - 1)
    drawn = triangles(boxes) if masks else None
    areas = np.array(hotcoco.mask.area(drawn), np.float64) if drawn else (boxes[:, 2:] - boxes[:, :2]).prod(1)
    some = np.arange(640)
    source = some * 13 % 40
    shift = np.stack([some * 3 % 7, some * 5 % 8, some * 11 % 9, some * 2 % 5], 1) * (some % 4)[:, None] / 4
    near = boxes[source] + shift
    at = np.where(some < 300, image[source], IMAGES - 1)
    what = np.where(some % 3 > 0, labels[source], some * 17 % CLASSES)
    scores = some * 29 % 97 / 97
    order = np.lexsort((-scores, at))
    found = Found(at[order], what[order], near[order], scores[order], triangles(near[order]) if masks else None)
    shown = {(int(one), int(other)) for one, other in zip(image, labels, strict=True)}
    every = [(one, other) for one in range(IMAGES) for other in range(CLASSES)]
    absent = [pair for pair in every if pair not in shown and sum(pair) % 2]
    partial = [pair for pair in sorted(shown) if (pair[0] + 2 * pair[1]) % 3 == 0]
    known = Federated(
        tuple("rcf"[label % 3] for label in range(CLASSES)), np.array(absent, np.int32), np.array(partial, np.int32)
    )
    nothing = np.zeros(40, dtype=bool)
    names = tuple("abcdefg")
    return Truth(IMAGES, names, image, labels, boxes, areas, nothing, nothing, drawn, known), found


@pytest.mark.parametrize(("kind", "recorded"), [("box", BOX), ("mask", MASK)])
def test_numbers_equal_those_of_lvis(kind: Literal["box", "mask"], recorded: dict[str, float]) -> None:
    metrics, per_class = lvis_metrics(*made(masks=kind == "mask"), kind)
    assert metrics == pytest.approx({f"{kind}_{name}": value for name, value in recorded.items()}, abs=1e-11)
    known = [row[f"{kind}_ap"] for row in per_class if row[f"{kind}_ap"] >= 0]
    assert len(known) == CLASSES - 1
    assert np.mean(known) == pytest.approx(recorded["ap"])


def small(detections: list[tuple[int, int]], absent: list[Any], partial: list[Any]) -> float:
    """AP50 of class 0 with a found object in image 0, and better detections of nothing at ``(image, label)``."""
    none = np.zeros(1, dtype=bool)
    pairs = [np.array(pairs, np.int32).reshape(-1, 2) for pairs in (absent, partial)]
    box = np.array([[10.0, 10, 50, 50]])
    truth = Truth(
        *(2, ("a", "b"), np.zeros(1, np.int64), np.zeros(1, np.int64), box, np.array([1600.0]), none, none),
        federated=Federated(("f", "r"), pairs[0], pairs[1]),
    )
    image, labels = (np.array([0, *column], np.int64) for column in zip(*detections, strict=True))
    boxes = np.concatenate([box, np.tile([[60.0, 60, 90, 90]], (len(detections), 1))])
    order = np.lexsort((np.arange(len(image)) == 0, image))
    scores = np.where(order == 0, 0.5, 0.9)
    return lvis_metrics(truth, Found(image[order], labels[order], boxes[order], scores))[0]["box_ap50"]


def test_what_was_not_looked_for_does_not_count() -> None:
    elsewhere, here = [(1, 0)], [(0, 0)]
    assert small(elsewhere, [], []) == pytest.approx(1)  # image 1 may show one
    assert small(elsewhere, [(1, 0)], []) == pytest.approx(0.5)  # image 1 shows none
    assert small(here, [], []) == pytest.approx(0.5)
    assert small(here, [], [(0, 0)]) == pytest.approx(1)  # image 0 may show others
    assert small([(0, 1)] * 299, [], []) == pytest.approx(1)
    assert small([(0, 1)] * 300, [], []) == 0  # the object is found by the image's 301st detection


def test_without_lists_it_is_no_lvis() -> None:
    truth, found = made()
    bare = dataclasses.replace(truth, federated=None)
    with pytest.raises(ValueError, match="which classes were looked for"):
        lvis_metrics(bare, found)
    assert coco_metrics(bare, found)[0]["box_ap"] < lvis_metrics(truth, found)[0]["box_ap"]


CATEGORIES, DETECTED = {9: "dog", 2: "cat", 31: "cow"}, ("bird", "cow", "dog", "cat")


def test_a_whole_evaluation(tmp_path: Path) -> None:
    content = scene(0, [(90, 120), (120, 80), (100, 100)], CATEGORIES)
    detector = Oracle(DETECTED, answers(content, DETECTED, noise=2.0, masks=True))
    folder = write_coco(tmp_path / "coco", content)
    with pytest.raises(ConfigError, match="neg_category_ids"):
        evaluate(detector, folder, metric="lvis", workers=0, progress=False)
    assert not detector.calls
    for entry in content["annotations"]:
        entry["iscrowd"] = 0
    for entry in content["categories"]:
        entry["frequency"] = "r" if entry["name"] == "cat" else "f"
    for entry in content["images"]:
        entry |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    loose = evaluate(detector, write_coco(tmp_path / "loose", content), workers=0, progress=False)
    for entry in content["images"]:
        entry["neg_category_ids"] = list(CATEGORIES)
    folder = write_coco(tmp_path / "strict", content)
    assert as_data(folder).metric == "lvis"
    strict = evaluate(detector, folder, workers=0, progress=False)
    plain = evaluate(detector, folder, workers=0, progress=False, metric="coco")
    for name in ("box_ap", "box_ap50", "mask_ap", "mask_ap75", "box_ap_medium"):
        assert strict.metrics[name] == pytest.approx(plain.metrics[name])
    assert strict.metrics["mask_ap_rare"] == strict.per_class[0]["mask_ap"] > 0
    assert strict.metrics["mask_ap_common"] == -1
    assert loose.metrics["box_ap"] >= strict.metrics["box_ap"]
    assert (strict.main, strict.metric, loose.metric) == ("box_ap", "lvis", "lvis")
    assert "AP rare" in strict.summary()
