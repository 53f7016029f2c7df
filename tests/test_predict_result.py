"""What `predict` returns: one image's result, to print, index, filter, walk through and hand on."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import detzoo
from detzoo.overwrite import OverwritesSource
from detzoo.predict import showing
from detzoo.predict.outlines import outlines
from detzoo.predict.result import Detection, Result
from detzoo.recipes.classes import COCO_CLASSES
from detzoo.types import Detections
from tests.oracle import Oracle, answers, level, scene, write_images

CLASSES = ("person", "dog", "traffic light")
LABELS = [0, 1, 0, 0]
SCORES = [0.9, 0.8, 0.5, 0.3]


def result(**changes: Any) -> Result:
    crops = torch.zeros(4, 28, 28)
    crops[:, 7:21, 7:21] = 1
    settings: dict[str, Any] = {
        "boxes": torch.tensor([[20.0, 40, 90, 110], [100, 10, 150, 60], [0, 0, 30, 20], [50, 50, 60, 70]]),
        "scores": torch.tensor(SCORES),
        "labels": torch.tensor(LABELS),
        "valid": torch.ones(4, dtype=torch.bool),
        "crops": crops,
        "canvas": (120, 160),
        "classes": CLASSES,
        "picture": np.full((120, 160, 3), 128, np.uint8),
        "path": None,
    }
    return Result(Detections(**(settings | changes)))


def test_it_prints_as_one_line() -> None:
    assert str(result()) == "image 120 x 160: 3 person, 1 dog"
    assert str(result(path="photos/street.jpg")) == "photos/street.jpg 120 x 160: 3 person, 1 dog"
    assert repr([result(), result()[:0]]) == (
        "[<Result image 120 x 160: 3 person, 1 dog>, <Result image 120 x 160: nothing>]"
    )
    assert repr(result()[1]) == "<Detection dog 0.80 at 100.0 10.0 150.0 60.0>"
    many = result(labels=torch.arange(4), classes=None, picture=None, crops=None, canvas=None)
    assert str(many) == "image: 1 0, 1 1, 1 2, 1 3"


def test_a_long_or_hostile_name_stays_one_harmless_line() -> None:
    names = [f"class {number}" for number in range(30)]
    found = Detections(
        torch.zeros(30, 4), torch.ones(30), torch.arange(30), torch.ones(30).bool(), classes=tuple(names)
    )
    assert str(Result(found)).endswith(", 20 more classes")
    text = str(result(classes=("a\nb", "\x1b]0;pwned\x07", "c"), path="x\ny.jpg"))
    assert text.isprintable()
    assert r"3 a\nb, 1 \x1b]0;pwned\x07" in text
    assert repr(result(classes=("a\nb", "b", "c"))[0]).isprintable()


def test_numbers_slices_masks_and_lists_index_it() -> None:
    found = result()
    assert len(found) == 4
    assert isinstance(found[0], Detection)
    assert found[-1].score == pytest.approx(0.3)
    assert found[np.int64(1)].name == "dog"
    number: Any = torch.tensor(1)
    assert found[number].name == "dog"
    for some, rows in [
        (found[1:], [1, 2, 3]),
        (found[::-1], [3, 2, 1, 0]),
        (found[found.scores > 0.5], [0, 1]),
        (found[np.asarray(found.scores) > 0.5], [0, 1]),
        (found[[False, True, False, True]], [1, 3]),
        (found[[2, 0, -1]], [2, 0, 3]),
        (found[torch.tensor([2, 0])], [2, 0]),
        (found[np.array([3])], [3]),
        (found[()], []),
        (found[[]], []),
        (found[:0], []),
        (found.above(0.5), [0, 1, 2]),
        (found.filter(classes="dog"), [1]),
        (found.filter(classes=["dog", 0], threshold=0.6), [0, 1]),
        (found.filter(classes="0"), [0, 2, 3]),
        (found.filter(classes=[]), []),
        (found.filter(threshold=0.85), [0]),
    ]:
        assert isinstance(some, Result)
        assert torch.equal(some.boxes, found.boxes[rows])
        assert some.labels.tolist() == [LABELS[row] for row in rows]
        assert some.names == [CLASSES[LABELS[row]] for row in rows]
        assert (some.size, some.path) == (found.size, found.path)
        masks, whole = some.masks, found.masks
        assert masks is not None
        assert whole is not None
        assert torch.equal(masks, whole[rows])


def test_wrong_indices_are_a_sentence() -> None:
    found = result()
    for index in (4, -5, [0, 4], torch.tensor([-5])):
        with pytest.raises(IndexError, match=r"there is no detection -?[45]: the result has 4"):
            found[index]
    with pytest.raises(IndexError, match="the mask has 3 values, but there are 4 detections"):
        found[[True, False, True]]
    with pytest.raises(TypeError, match=r"filter\(classes='dog'\)"):
        found["dog"]
    wrong: Any
    for wrong in ([0.5], [None], ["dog"], [found[0]], torch.zeros(2, 2).long(), 0.5, None):
        with pytest.raises(TypeError):
            found[wrong]


def test_a_loop_goes_over_detections() -> None:
    found = result()
    rows = list(found)
    assert [one.name for one in rows] == found.names
    for one, row in zip(rows, found.to_dict(), strict=True):
        assert one.box.tolist() == row["box"]
        assert (one.score, one.label, one.name) == (row["score"], row["label"], row["name"])
        assert one.to_dict() == row
        assert one.mask is not None
        assert one.mask.shape == (120, 160)
    assert result(crops=None, canvas=None)[0].mask is None
    assert result(crops=None, canvas=None)[0].polygons is None


def test_unknown_classes_and_thresholds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'persn' is not a class of this detector; did you mean 'person'"):
        result().filter(classes="persn")
    wrong: Any
    for wrong in (3, -1, [0, 7], 1.5, [None], True, "12"):
        with pytest.raises(ValueError, match=r"is not a class: give names, or numbers from 0 to 2"):
            result().filter(classes=wrong)
    for call in (result().above, result().plot, lambda value: result().filter(threshold=value)):
        with pytest.raises(ValueError, match="threshold must be a number from 0 to 1"):
            call(float("nan"))


def test_plain_values_are_json() -> None:
    found = result()
    assert json.loads(found.to_json()) == found.to_dict()
    assert json.loads(found.to_json(indent=2)) == found.to_dict()
    assert json.loads(result()[:0].to_json()) == []


def test_coco_ids() -> None:
    found = result(labels=torch.tensor([79, 0, 11, 79]), classes=COCO_CLASSES)
    assert [entry["category_id"] for entry in found.to_coco(139)] == [90, 1, 13, 90]
    shuffled = result(labels=torch.tensor([0, 79, 68, 0]), classes=COCO_CLASSES[::-1])
    assert [entry["category_id"] for entry in shuffled.to_coco(139)] == [90, 1, 13, 90]
    # nobody knows the numbers of other classes, also where they are called as some of COCO's are
    assert [entry["category_id"] for entry in result().to_coco()] == LABELS
    assert [entry["category_id"] for entry in result().to_coco(category_ids=[7, 5, 3])] == [7, 5, 7, 7]
    by_name = {"dog": 5, "person": 7}
    assert [entry["category_id"] for entry in result().to_coco("a", category_ids=by_name)] == [7, 5, 7, 7]
    assert {entry["image_id"] for entry in result().to_coco("a")} == {"a"}
    with pytest.raises(ValueError, match="category_ids has no number for class 1, 'dog'"):
        result().to_coco(category_ids={"person": 7})
    with pytest.raises(ValueError, match="category_ids has 2 numbers, but there are 3 classes"):
        result().to_coco(category_ids=[7, 5])


def test_ids_of_any_library_become_plain() -> None:
    numbers = np.array([7, 5, 3])
    for ids in (numbers, dict(zip(("person", "dog", "cat"), numbers, strict=True)), torch.tensor([7, 5, 3])):
        entries = result().to_coco(np.int64(7), category_ids=ids)  # pyright: ignore[reportArgumentType]
        json.dumps(entries)
        assert [entry["category_id"] for entry in entries] == [7, 5, 7, 7]
        assert {type(entry["image_id"]) for entry in entries} == {int} == {type(e["category_id"]) for e in entries}


def test_pandas_is_asked_for_only_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match="to_pandas needs pandas: pip install pandas"):
        result().to_pandas()

    class Frame(dict[str, Any]):
        def assign(self, **more: Any) -> Frame:
            return Frame(self | more)

    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=Frame))
    frame = result(path="street.jpg").to_pandas()
    assert list(frame) == ["name", "label", "score", "x1", "y1", "x2", "y2", "path"]
    assert frame["name"] == ["person", "dog", "person", "person"]
    assert frame["x2"].tolist() == [90, 150, 30, 60]
    assert frame["path"] == "street.jpg"


def area(polygon: np.ndarray) -> float:
    """Signed: positive for an outline that is clockwise as seen."""
    x, y = polygon.astype(float).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


@pytest.mark.parametrize("masks", ["crops", "dense"])
def test_polygons_enclose_the_masks(masks: str) -> None:
    found = result()
    whole = found.masks
    assert whole is not None
    if masks == "dense":
        found = result(crops=None, canvas=None, dense=whole)
    polygons = found.polygons
    assert polygons is not None
    for one, mask in zip(polygons, whole, strict=True):
        assert sum(map(area, one)) == mask.sum()
        points = np.concatenate(one)
        rows, columns = torch.nonzero(mask, as_tuple=True)
        assert points.min(0).tolist() == [columns.min(), rows.min()]
        assert points.max(0).tolist() == [columns.max() + 1, rows.max() + 1]
    assert len(found[0].polygons or []) == 1
    assert result(crops=None, canvas=None).polygons is None


def test_outlines_of_any_mask_fill_back_to_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        inside = rng.random((9, 7)) < 0.6
        found = outlines(inside, top=3, left=5)
        assert sum(map(area, found)) == inside.sum()
        # a pixel is inside where the outlines wind around its middle
        ys, xs = np.mgrid[3:12, 5:12] + 0.5
        crossings = np.zeros(inside.shape, int)
        for polygon in found:
            for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
                assert (x0 == x1) != (y0 == y1)  # along the edges, with a corner at every end
                crossings += (x0 == x1) & (x0 > xs) & (ys > min(y0, y1)) & (ys < max(y0, y1))
        assert np.array_equal(crossings % 2 == 1, inside)


def test_outlines_of_simple_masks() -> None:
    assert outlines(np.zeros((3, 3), bool)) == []
    (square,) = outlines(np.ones((2, 3), bool), top=10, left=20)
    assert sorted(map(tuple, square.tolist())) == [(20, 10), (20, 12), (23, 10), (23, 12)]
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    assert sorted(map(area, outlines(ring))) == [-1, 25]
    assert [area(part) for part in outlines(np.eye(3, dtype=bool))] == [1, 1, 1]  # corners join nothing


def test_an_image_is_read_again_and_never_saved_over(tmp_path: Path) -> None:
    files = write_images(tmp_path / "images", [(40, 50), (40, 50)])
    truth = answers(scene(1, [(40, 50), (40, 50)], {1: "dog"}), ["dog"], noise=0)
    first, second = Oracle(["dog"], truth).predict(tmp_path / "images", threshold=0)
    assert first.image.shape == (40, 50, 3)
    assert first.size == (40, 50)
    for target in (files[0], files[1]):  # its own image, and that of another result of the same call
        for one in (first, first[:1], second):
            with pytest.raises(OverwritesSource, match="in another folder"):
                one.save(target)
    with Image.open(files[1]) as opened:
        (held,) = Oracle(["dog"], truth).predict(opened, threshold=0)
    with pytest.raises(OverwritesSource):
        held.save(files[1])
    assert first.save(tmp_path / "out" / "0.png").is_file()
    assert np.asarray(Image.open(files[1]))[0, 0].tolist() == [level(1)] * 3


def test_show(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(Image.Image, "show", lambda image, title: shown.append((image.size, title)))
    result(path="street.jpg").show(0.5, masks=False)
    assert shown == [((160, 120), "street.jpg")]
    notebook = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(config={"IPKernelApp": {}}), display=SimpleNamespace(display=shown.append)
    )
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    result().show()
    assert len(shown) == 2
    assert shown[1].size == (160, 120)
    assert showing.show is not None


def test_it_is_a_public_word_and_travels() -> None:
    assert detzoo.Result is Result
    copied = pickle.loads(pickle.dumps(result(path="street.jpg")))
    assert str(copied) == str(result(path="street.jpg"))
    assert torch.equal(copied.boxes, result().boxes)
    batch = Detections(torch.zeros(1, 2, 4), torch.zeros(1, 2), torch.zeros(1, 2).long(), torch.ones(1, 2).bool())
    with pytest.raises(TypeError, match="index the batch first"):
        Result(batch)
    half = Detections(torch.ones(2, 4), torch.ones(2), torch.zeros(2).long(), torch.tensor([True, False]))
    assert len(Result(half)) == 1


def test_detections_of_one_image_hand_on_to_a_result() -> None:
    """What `Detections` offered before there were results keeps working."""
    found = result()
    raw = Detections(found.boxes, found.scores, found.labels, torch.ones(4).bool(), classes=CLASSES,
                     picture=found.image)  # fmt: skip
    assert raw.result().names == found.names
    assert raw.to_coco(7) == raw.result().to_coco(7)
    assert raw.to_dict() == raw.result().to_dict()
    assert np.array_equal(np.asarray(raw.plot(0.5)), np.asarray(raw.result().plot(0.5)))
