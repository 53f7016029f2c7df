"""What `evaluate` writes, which split it takes, and what it says of masks that it cannot use."""

import contextlib
import copy
import io
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import detzoo
from detzoo.config import ConfigError
from detzoo.data.dataset import open_dataset
from detzoo.data.problems import DataError
from detzoo.data.source import as_data
from detzoo.evaluate.report import Report
from detzoo.evaluate.run import evaluate
from detzoo.overwrite import OverwritesSource
from tests.data_files import write_voc
from tests.oracle import Oracle, answers, scene, write_coco

CATEGORIES = {9: "dog", 2: "cat", 31: "cow"}
NAMES = ("bird", "cow", "dog", "cat", "fish")


@pytest.fixture
def contents() -> dict[str, Any]:
    return scene(0, [(90, 120), (120, 80), (100, 100)], CATEGORIES)


def oracle(contents: dict[str, Any], masks: bool = True) -> Oracle:
    return Oracle(NAMES, answers(contents, NAMES, noise=2.0, masks=masks))


def written(contents: dict[str, Any], folder: Path, **more: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The report, and the results that were written."""
    path = write_coco(folder / "data", contents)
    report = evaluate(oracle(contents), path, results=folder / "results.json", workers=0, progress=False, **more)
    return report, json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_results_give_pycocotools_the_same_numbers(contents: dict[str, Any], tmp_path: Path, kind: str) -> None:
    report, results = written(contents, tmp_path)
    assert {entry["image_id"] for entry in results} == {image["id"] for image in contents["images"]}
    assert {entry["category_id"] for entry in results} <= set(CATEGORIES)
    if kind == "segm":
        results = [{key: value for key, value in entry.items() if key != "bbox"} for entry in results]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "data/val.json"))
        evaluation: Any = COCOeval(truth, truth.loadRes(results), kind)  # pyright: ignore[reportArgumentType]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    name = "box" if kind == "bbox" else "mask"
    assert report.metrics[f"{name}_ap"] == pytest.approx(evaluation.stats[0], abs=1e-6)
    assert evaluation.stats[0] > 0.1


@pytest.mark.parametrize("form", [str, float, lambda number: f"frame {number}"])
def test_image_ids_are_those_of_the_file(contents: dict[str, Any], tmp_path: Path, form: Any) -> None:
    for image in contents["images"]:
        image["id"] = form(image["id"])
    for item in contents["annotations"]:
        item["image_id"] = form(item["image_id"])
    _, results = written(contents, tmp_path)
    assert {entry["image_id"] for entry in results} == {image["id"] for image in contents["images"]}
    kind = str if form is not float else int
    assert all(type(entry["image_id"]) is kind for entry in results)


def test_the_same_images_by_text_and_by_number_give_the_same_numbers(contents: dict[str, Any], tmp_path: Path) -> None:
    detector, first = oracle(contents), written(contents, tmp_path / "a")[0]
    for item in contents["annotations"]:
        item["image_id"] = str(item["image_id"])
        item["category_id"] = float(item["category_id"])
    second = evaluate(detector, write_coco(tmp_path / "b", contents), workers=0, progress=False)
    assert first.metrics == second.metrics


def test_a_class_without_an_id_is_counted(
    contents: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_coco(tmp_path / "data", contents)
    data = as_data(path).replace(classes=("cat", "bird", "dog", "cow"))
    found = answers(contents, NAMES, noise=0)
    next(iter(found.values())).labels[0] = NAMES.index("bird")
    evaluate(Oracle(NAMES, found), data, results=tmp_path / "r.json", workers=0, progress=False)
    written = json.loads((tmp_path / "r.json").read_text())
    total = len(contents["annotations"])
    assert len(written) == total - 1
    assert {entry["category_id"] for entry in written} <= set(CATEGORIES)
    lost = f"1 of {total} detections are of classes that the annotations have no id for and are left out: bird"
    assert lost in caplog.text


def test_proposals_have_one_category(contents: dict[str, Any], tmp_path: Path) -> None:
    _, results = written(contents, tmp_path, metric="proposals")
    assert {entry["category_id"] for entry in results} == {1}


def test_voc_results_have_the_names_of_the_images(tmp_path: Path) -> None:
    box = (5.0, 5.0, 15.0, 15.0)
    for split in ("train", "val"):
        write_voc(tmp_path, {"00007": [("dog", box)], "00008": [("cat", box)]}, split)
    detector = detzoo.build("fcos_r18_fpn_shapes", classes=["cat", "dog"])
    evaluate(detector, tmp_path, results=tmp_path / "r.json", workers=0, progress=False)
    found = json.loads((tmp_path / "r.json").read_text())
    assert {entry["image_id"] for entry in found} <= {"00007", "00008"}


def test_results_never_replace_the_annotations(contents: dict[str, Any], tmp_path: Path) -> None:
    path = write_coco(tmp_path / "data", contents)
    before = (path / "val.json").read_bytes()
    with pytest.raises(OverwritesSource):
        evaluate(oracle(contents), path, results=path / "val.json", workers=0, progress=False)
    assert (path / "val.json").read_bytes() == before


@pytest.mark.parametrize("split", ["test", "Train", "validation", "", None, 1])
@pytest.mark.parametrize("open_first", [False, True])
def test_a_split_that_does_not_exist_is_refused(split: Any, open_first: bool) -> None:
    detector = detzoo.build("fcos_r18_fpn_shapes")
    data: Any = "shapes:3/2"
    if open_first:
        data = open_dataset(as_data(data), "val", detector.config.input, augment=False)
    with pytest.raises(ConfigError, match=r"is not a split.*train, val") as caught:
        evaluate(detector, data, split=split, workers=0, progress=False)
    assert repr(str(split)) in str(caught.value)


def test_parts_that_share_image_ids_are_refused(contents: dict[str, Any], tmp_path: Path) -> None:
    path = write_coco(tmp_path / "data", contents)
    part = as_data(path).val[0]
    data = as_data(path).replace(train=(part, part))
    for split in ("train", "val"):
        with pytest.raises(DataError, match="could not be told apart"):
            evaluate(oracle(contents), data.replace(val=(part, part)), split=split, workers=0, progress=False)
    assert evaluate(oracle(contents), data, workers=0, progress=False).images == 3


@pytest.mark.parametrize(("split", "images"), [("train", 3), ("val", 2)])
def test_a_split_that_exists_is_taken(split: Any, images: int) -> None:
    detector = detzoo.build("fcos_r18_fpn_shapes")
    assert evaluate(detector, "shapes:3/2", split=split, workers=0, progress=False).images == images


def test_masks_that_cannot_be_used_are_not_called_none(
    contents: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    detector_side = copy.deepcopy(contents)
    for item in contents["annotations"]:
        item["segmentation"] = [[1, 1, 2, 2]]
    path = write_coco(tmp_path / "data", contents)
    report = evaluate(oracle(detector_side), path, workers=0, progress=False)
    text = "\n".join(report.notes)
    assert "none of those in the annotations can be used" in text
    assert "have none" not in text
    assert "have no usable mask" in caplog.text
    assert "mask_ap" not in report.metrics


def test_one_mask_that_cannot_be_used_is_counted(contents: dict[str, Any], tmp_path: Path) -> None:
    detector = oracle(contents)
    contents["annotations"][0]["segmentation"] = "?"
    report = evaluate(detector, write_coco(tmp_path / "data", contents), workers=0, progress=False)
    assert report.metrics["mask_ap"] > 0
    assert any("1 objects have no mask that can be used" in note for note in report.notes)


def test_annotations_without_masks_are_said_to_have_none(contents: dict[str, Any], tmp_path: Path) -> None:
    detector = oracle(contents)
    for item in contents["annotations"]:
        del item["segmentation"]
    report = evaluate(detector, write_coco(tmp_path / "data", contents), workers=0, progress=False)
    assert any("the annotations have none" in note for note in report.notes)


def test_a_data_set_opened_without_masks_is_said_to_be(contents: dict[str, Any], tmp_path: Path) -> None:
    detector = oracle(contents)
    path = write_coco(tmp_path / "data", contents)
    opened = open_dataset(as_data(path), "val", detector.config.input, augment=False)
    report = evaluate(detector, opened, workers=0, progress=False)
    assert any("opened without them" in note for note in report.notes)
    opened = open_dataset(as_data(path).replace(masks=True), "val", detector.config.input, augment=False)
    report = evaluate(detector, opened, workers=0, progress=False)
    assert report.metrics["mask_ap"] > 0


def test_good_masks_bring_no_note(contents: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    path = write_coco(tmp_path / "data", contents)
    report = evaluate(oracle(contents), path, workers=0, progress=False)
    assert not [note for note in report.notes if "mask" in note]
    assert np.isfinite(list(report.metrics.values())).all()
    assert not caplog.records


def test_a_number_that_is_none_is_null_in_the_file(tmp_path: Path) -> None:
    report = Report({"box_ap": 0.5, "own": math.nan}, [{"name": "a", "box_ap": math.inf}], "box_ap", "coco", 1, 1, 1.0)
    content = json.loads(report.save(tmp_path).read_text(), parse_constant=pytest.fail)
    assert content["metrics"] == {"box_ap": 0.5, "own": None}
    assert content["per_class"] == [{"name": "a", "box_ap": None}]
