"""LVIS's annotation files: COCO's with addresses in place of file names, and the classes that were looked for."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detzoo.data.annotations import Annotations, concatenate, relabel
from detzoo.data.coco import is_federated, read_coco
from detzoo.data.held_out import take_images
from detzoo.data.problems import DataError
from detzoo.data.read import read_split
from detzoo.data.source import as_data
from detzoo.recipes.classes import LVIS_V05_CLASSES, LVIS_V1_CLASSES
from tests.data_files import draw, thing
from tests.test_data_coco_fuzz import VALUES, text_with

CATEGORIES = [
    {"id": 1, "name": "acorn", "frequency": "r"},
    {"id": 2, "name": "boat", "frequency": "f"},
    {"id": 3, "name": "cat", "frequency": "c"},
]


def image(number: int, folder: str, absent: Any = (), partial: Any = (), name: str | None = None) -> dict[str, Any]:
    """An image of LVIS 1, or with a name one of LVIS 0.5."""
    url = f"http://images.cocodataset.org/{folder}/{number:012d}.jpg"
    lists = {"neg_category_ids": list(absent), "not_exhaustive_category_ids": list(partial)}
    named = {} if name is None else {"file_name": name}
    return {"id": number, "height": 20, "width": 30, "coco_url": url, **lists, **named}


CONTENT = {
    "images": [
        image(7, "train2017", [3, 1], [2]),
        image(5, "val2017"),
        image(9, "train2017", [2], [3, 1]),
    ],
    "annotations": [thing(1, 7, [4, 3, 10, 8], 2), thing(2, 9, [1, 1, 5, 5], 3), thing(3, 9, [1, 1, 5, 5], 1)],
    "categories": CATEGORIES,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """As LVIS 1 lies on disk: pictures of COCO 2017, of whose halves it takes its own."""
    for entry in CONTENT["images"]:
        draw(tmp_path / "/".join(entry["coco_url"].split("/")[-2:]))
    draw(tmp_path / "test2017/000000000001.jpg")
    val = {**CONTENT, "images": CONTENT["images"][:2], "annotations": CONTENT["annotations"][:1]}
    files: dict[str, Any] = {"train": CONTENT, "val": val}
    for name in ("test_dev", "test_challenge"):
        files[f"image_info_{name}"] = {"images": [image(1, "test2017")], "categories": CATEGORIES}
    (tmp_path / "annotations").mkdir()
    for name, content in files.items():
        (tmp_path / f"annotations/lvis_v1_{name}.json").write_text(json.dumps(content))
    return tmp_path


def lists(found: Annotations) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What is absent and what is partly annotated, by file and class, sorted."""
    assert found.federated is not None
    absent, partial = (
        sorted((Path(found.files[row]).stem.lstrip("0"), found.classes[label]) for row, label in pairs.tolist())
        for pairs in (found.federated.absent, found.federated.partial)
    )
    return absent, partial


def test_a_folder_of_lvis(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = as_data(root)
    assert data.metric == "lvis"
    train, val = read_split(data, "train"), read_split(data, "val")
    assert [train.files[row] for row in range(3)] == [
        "train2017/000000000007.jpg",
        "val2017/000000000005.jpg",
        "train2017/000000000009.jpg",
    ]
    assert lists(train) == (
        [("7", "acorn"), ("7", "cat"), ("9", "boat")],
        [("7", "boat"), ("9", "acorn"), ("9", "cat")],
    )
    assert lists(val) == ([("7", "acorn"), ("7", "cat")], [("7", "boat")])
    assert train.federated is not None
    assert train.federated.frequency == ("r", "f", "c")
    assert not caplog.messages
    assert as_data(root / "annotations/lvis_v1_val.json").metric == "lvis"


def test_the_names_of_2014_mean_those_of_2017(tmp_path: Path) -> None:
    draw(tmp_path / "train2017/000000000007.jpg")
    draw(tmp_path / "train2017/000000000009.jpg")
    names = ["COCO_train2014_000000000007.jpg", "COCO_val2014_000000000009.jpg"]
    images = [image(number, "train2017", name=name) for number, name in zip((7, 9), names, strict=True)]
    path = tmp_path / "lvis_v0.5_train.json"
    path.write_text(json.dumps({**CONTENT, "images": images}))
    found = read_coco(path, tmp_path, "train2017")
    assert [found.files[row] for row in range(2)] == ["train2017/000000000007.jpg", "train2017/000000000009.jpg"]


def test_the_lists_follow_images_and_classes(root: Path) -> None:
    found = read_coco(root / "annotations/lvis_v1_train.json", root)
    fewer = relabel(found, ["cat", "dog", "acorn"])
    assert lists(fewer) == ([("7", "acorn"), ("7", "cat")], [("9", "acorn"), ("9", "cat")])
    assert fewer.federated is not None
    assert fewer.federated.frequency == ("c", "", "r")
    assert lists(take_images(fewer, np.array([False, True, True]))) == ([], [("9", "acorn"), ("9", "cat")])
    both = concatenate(
        [take_images(found, np.array([False, False, True])), take_images(found, np.array([True, True, False]))]
    )
    assert lists(both) == lists(found)
    plain = copy.deepcopy(CONTENT)
    for entry in plain["images"]:
        del entry["neg_category_ids"], entry["not_exhaustive_category_ids"]
    path = root / "plain.json"
    path.write_text(json.dumps(plain))
    assert not is_federated(path)
    other = read_coco(path, root)
    assert other.federated is None
    assert concatenate([found, other]).federated is None


@pytest.mark.parametrize("place", ["neg_category_ids", "not_exhaustive_category_ids", "coco_url", "frequency"])
def test_no_value_in_any_place_gives_another_error(root: Path, place: str) -> None:
    path = root / "odd.json"
    where = ("categories", 1, place) if place == "frequency" else ("images", 0, place)
    for value in [*VALUES, [2, 77], [2, "x", None]]:
        path.write_bytes(text_with(CONTENT, where, value))
        try:
            found = read_coco(path, root)
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017
            continue
        assert found.federated is not None
        assert len(found.federated.frequency) == 3
        for pairs in (found.federated.absent, found.federated.partial):
            assert (pairs >= 0).all()
            assert (pairs < [len(found), 3]).all()


def test_categories_that_are_not_there_are_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = root / "odd.json"
    path.write_bytes(text_with(CONTENT, ("images", 0, "neg_category_ids"), [3, 77, "1"]))
    assert lists(read_coco(path, root))[0] == [("7", "acorn"), ("7", "cat"), ("9", "boat")]
    assert "1 of 6 lists of images name categories that are not in the file" in caplog.text


def test_class_names() -> None:
    assert (len(set(LVIS_V05_CLASSES)), len(set(LVIS_V1_CLASSES))) == (1230, 1203)
    assert (LVIS_V05_CLASSES[0], LVIS_V05_CLASSES[-1]) == ("acorn", "zucchini")
    assert (LVIS_V1_CLASSES[0], LVIS_V1_CLASSES[-1]) == ("aerosol_can", "zucchini")
    assert "speaker_(stero_equipment)" in LVIS_V1_CLASSES  # spelled so in the annotation files
    assert all(name == name.strip() and name for name in LVIS_V05_CLASSES + LVIS_V1_CLASSES)
