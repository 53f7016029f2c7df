import contextlib
import io
from typing import Any

import hotcoco
import numpy as np
import pytest
from pycocotools import mask as reference_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detzoo.evaluate.arrays import Found, Truth
from detzoo.evaluate.coco import OUT_OF_RANGE, coco_metrics, proposal_metrics

CATEGORIES = (7, 90, 3)  # unordered and with gaps
SIZE = 400


def box_masks(boxes: np.ndarray) -> list[dict[str, Any]]:
    """An ellipse inside each box."""
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    encoded = []
    for x0, y0, x1, y1 in boxes:
        inside = (2 * (columns - x0) / (x1 - x0) - 1) ** 2 + (2 * (rows - y0) / (y1 - y0) - 1) ** 2 <= 1
        encoded.append(dict(reference_mask.encode(np.asfortranarray(inside.astype(np.uint8)))))
    return encoded


def scene(seed: int, images: int = 5, objects: int = 40, found: int = 400, masks: bool = False) -> tuple[Truth, Found]:
    """Objects of all sizes with crowds, ignored ones, duplicates, equal scores, images and a class without objects."""
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 250, (objects, 2))
    boxes = np.concatenate([corners, corners + np.exp(random.uniform(2.3, 5, (objects, 2)))], 1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    truth_masks = box_masks(boxes) if masks else None
    if truth_masks is not None:
        areas = np.array([float(hotcoco.mask.area(rle)) for rle in truth_masks])
    truth = Truth(
        images=images,
        classes=("a", "b", "c"),
        image=np.sort(random.integers(0, images - 1, objects)),  # the last image has no object
        labels=random.integers(0, 2, objects),  # the last class neither
        boxes=boxes,
        areas=areas,
        crowd=random.random(objects) < 0.15,
        ignore=random.random(objects) < 0.1,
        masks=truth_masks,
    )
    source = random.integers(0, objects, found)
    near = boxes[source] + random.normal(0, 1, (found, 4)) * random.choice([0.5, 4, 15], (found, 1))
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    scores = random.integers(0, 300, found) / 300
    image = np.where(random.random(found) < 0.9, truth.image[source], random.integers(0, images, found))
    labels = np.where(random.random(found) < 0.8, truth.labels[source], random.integers(0, 3, found))
    order = np.lexsort((-scores, image))
    return truth, Found(
        image=image[order],
        labels=labels[order],
        boxes=near[order],
        scores=scores[order],
        masks=box_masks(near[order]) if masks else None,
    )


def pycocotools_run(truth: Truth, found: Found, kind: str, most: tuple[int, ...], by_class: bool = True) -> COCOeval:
    def entry(arrays: Truth | Found, row: int) -> dict[str, Any]:
        x0, y0, x1, y1 = arrays.boxes[row].tolist()
        made = {"image_id": int(arrays.image[row]) + 10, "category_id": CATEGORIES[arrays.labels[row]]}
        if kind == "mask" and isinstance(arrays, Found):
            assert arrays.masks is not None
            return made | {"segmentation": arrays.masks[row]}
        made["bbox"] = [x0, y0, x1 - x0, y1 - y0]
        return made | ({"segmentation": arrays.masks[row]} if arrays.masks else {})

    annotations = []
    for row in range(len(truth)):
        area = OUT_OF_RANGE if truth.ignore[row] else float(truth.areas[row])
        annotations.append(entry(truth, row) | {"id": row + 1, "area": area, "iscrowd": int(truth.crowd[row])})
    results = [entry(found, row) | {"score": float(found.scores[row])} for row in range(len(found))]
    images = [{"id": index + 10, "height": SIZE, "width": SIZE} for index in range(truth.images)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco: Any = COCO()
        coco.dataset = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": number} for number in CATEGORIES],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "segm" if kind == "mask" else "bbox")
        evaluation.params.maxDets = list(most)
        evaluation.params.useCats = int(by_class)
        evaluation.evaluate()
        evaluation.accumulate()
        if most[0] == 1:
            evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_boxes_equal_pycocotools(seed: int):
    truth, found = scene(seed)
    ours, per_class = coco_metrics(truth, found)
    theirs = pycocotools_run(truth, found, "box", (1, 10, 100))
    np.testing.assert_allclose(list(ours.values()), theirs.stats, atol=1e-6, rtol=0)
    assert 0 < ours["box_ap"] < 1
    for label, number in enumerate(CATEGORIES):
        position = sorted(CATEGORIES).index(number)
        precision = theirs.eval["precision"][:, :, position, 0, -1]
        expected = precision[precision > -1].mean() if (precision > -1).any() else -1
        assert per_class[label]["box_ap"] == pytest.approx(expected, abs=1e-6)
    assert per_class[2] == {"box_ap": -1, "box_ap50": -1, "box_ar100": -1}


@pytest.mark.parametrize("seed", [3, 4])
def test_masks_equal_pycocotools(seed: int):
    truth, found = scene(seed, objects=16, found=90, masks=True)
    ours, _ = coco_metrics(truth, found, "mask")
    theirs = pycocotools_run(truth, found, "mask", (1, 10, 100))
    np.testing.assert_allclose(list(ours.values()), theirs.stats, atol=1e-6, rtol=0)
    assert 0 < ours["mask_ap"] < 1


def test_no_more_than_100_detections_per_image():
    truth, found = scene(5, images=2, objects=12, found=500)
    ours, _ = coco_metrics(truth, found)
    theirs = pycocotools_run(truth, found, "box", (1, 10, 100))
    np.testing.assert_allclose(list(ours.values()), theirs.stats, atol=1e-6, rtol=0)


def test_proposals_equal_pycocotools():
    truth, found = scene(6, images=3, objects=30, found=1500)
    ours = proposal_metrics(truth, found)
    recall = pycocotools_run(truth, found, "box", (100, 300, 1000), by_class=False).eval["recall"]
    parts = [recall[..., 0, 0], recall[..., 0, 1], recall[..., 0, 2], *(recall[..., size, 2] for size in (1, 2, 3))]
    expected = [part[part > -1].mean() for part in parts]
    np.testing.assert_allclose(list(ours.values()), expected, atol=1e-6, rtol=0)
    assert ours["proposal_ar100"] < ours["proposal_ar1000"]


def test_perfect_empty_and_missing():
    truth, found = scene(7)
    none, boxes = np.zeros(0, np.int64), np.zeros((0, 4))
    nothing = Found(none, none, boxes, np.zeros(0), masks=[])
    assert coco_metrics(truth, nothing)[0]["box_ap"] == 0
    assert proposal_metrics(truth, nothing)["proposal_ar1000"] == 0
    perfect = Found(truth.image, truth.labels, truth.boxes, np.ones(len(truth)))
    assert coco_metrics(truth, perfect)[0]["box_ap"] == pytest.approx(1)
    bare = Truth(2, ("a",), none, none, boxes, np.zeros(0), none.astype(bool), none.astype(bool), masks=[])
    assert set(coco_metrics(bare, nothing, "mask")[0].values()) == {-1.0}
    with pytest.raises(ValueError, match="needs masks"):
        coco_metrics(truth, found, "mask")
