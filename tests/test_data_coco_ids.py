"""Ids that are numbers on one side and text on the other, and ids that occur twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from detzoo.data.annotations import concatenate, relabel
from detzoo.data.coco import category_names, read_coco
from detzoo.data.coco_ids import identity
from detzoo.data.problems import DataError
from tests.data_files import draw, thing, write_coco


def write(root: Path, images: list[Any], categories: list[Any], pairs: list[tuple[Any, Any]]) -> Path:
    """A file with these image and category ids, and objects of these pairs of them."""
    for number in range(len(images)):
        draw(root / f"{number}.png")
    content = {
        "images": [{"id": each, "file_name": f"{n}.png", "height": 20, "width": 30} for n, each in enumerate(images)],
        "categories": [{"id": each, "name": f"class {n}"} for n, each in enumerate(categories)],
        "annotations": [thing(n, image, [1, 1, 5, 5], category) for n, (image, category) in enumerate(pairs)],
    }
    path = root / "a.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def joined(path: Path) -> list[tuple[int, str]]:
    """Image row and class of each object in the order of the file."""
    found = read_coco(path, path.parent)
    rows = zip(found.ids.tolist(), found.image_of().tolist(), found.labels.tolist(), strict=True)
    return [(image, found.classes[label]) for _, image, label in sorted(rows)]


@pytest.mark.parametrize(
    ("listed", "used"),
    [
        (1, "1"),
        ("1", 1),
        (1, 1.0),
        (1.0, "1"),
        ("1", 1.0),
        ("1.0", 1),
        (-3, "-3"),
        (2**70, str(2**70)),
        (2**53, float(2**53)),
        ("000139", 139),
        (139, "000139"),
        (7, " 7 "),
        ("é", "e\u0301"),
        ("0b3-猫", "0b3-猫"),
        (1.5, "1.5"),
        ("a b ", "a b"),
    ],
)
def test_ids_that_mean_the_same_are_joined(tmp_path: Path, listed: Any, used: Any) -> None:
    path = write(tmp_path, [9001, listed], [9001, listed], [(used, used), (listed, 9001)])
    first, second = joined(path)
    assert (first[0], second) == (1, (1, "class 0"))
    assert first[1] == "class 1"


@pytest.mark.parametrize(
    "used", [2, "2", "1x", "", 1.5, None, True, False, [1], {"id": 1}, 2**70, -1, "\u0660\u0661", float("nan")]
)
@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_ids_that_mean_nothing_cost_one_object(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str, used: Any
) -> None:
    path = write(tmp_path, [1], [1], [(1, 1), (1, 1)])
    content = json.loads(path.read_text())
    content["annotations"][1][key] = used
    path.write_text(json.dumps(content))
    assert joined(path) == [(0, "class 0")]
    assert "1 of 2 annotations" in caplog.text
    assert len(caplog.records) == 1


def test_padding_does_not_join_where_it_is_not_plain(tmp_path: Path) -> None:
    path = write(tmp_path, ["007", 7], [1], [("007", 1), (7, 1), ("07", 1)])
    assert joined(path) == [(0, "class 0"), (1, "class 0")]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ((1, 1), r"image id 1 is both '0\.png' and '1\.png'"),
        (("a", "a"), r"image id 'a' is both '0\.png' and '1\.png'"),
        ((1, "1"), r"image ids 1 and '1' cannot be told apart: they are both '0\.png' and '1\.png'"),
        (("1", 1.0), r"image ids '1' and 1\.0 cannot be told apart"),
        ((1, 1.0), r"image ids 1 and 1\.0 cannot be told apart"),
        (("é", "e\u0301"), "image id"),
        ((2**70, str(2**70)), "cannot be told apart"),
    ],
)
def test_an_image_id_twice_is_an_error_that_names_both(tmp_path: Path, ids: tuple[Any, Any], message: str) -> None:
    path = write(tmp_path, list(ids), [1], [])
    with pytest.raises(DataError, match=message) as caught:
        read_coco(path, tmp_path)
    assert "a.json" in str(caught.value)


def test_an_image_listed_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image id 1 is '1\.png' twice"):
        read_coco(write_coco(tmp_path, [], images=(1, 1)), tmp_path, "images")


def test_an_id_twice_is_an_error_even_where_a_picture_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path, [1, 1, 2], [1], [])
    (tmp_path / "0.png").unlink()
    with pytest.raises(DataError, match="image id 1 is both"):
        read_coco(path, tmp_path)


@pytest.mark.parametrize("ids", [(1, 1), (1, "1"), (1.0, 1), ("x", "x")])
def test_a_category_id_twice_is_an_error_that_names_both(tmp_path: Path, ids: tuple[Any, Any]) -> None:
    path = write(tmp_path, [1], [*ids, 5], [(1, ids[0])])
    for read in (lambda: read_coco(path, tmp_path), lambda: category_names(path)):
        with pytest.raises(DataError, match=r"category id.*both 'class 0' and 'class 1'"):
            read()


def test_categories_whose_ids_are_names(tmp_path: Path) -> None:
    path = write(tmp_path, [1], ["dog", "cat", 7, 2**70], [(1, "cat"), (1, 7)])
    found = read_coco(path, tmp_path)
    assert found.classes == ("class 2", "class 3", "class 1", "class 0")
    assert found.category_ids.tolist() == [7, 2**70, "cat", "dog"]
    assert joined(path) == [(0, "class 1"), (0, "class 2")]
    chosen = relabel(found, ["class 0", "class 2", "other"])
    assert chosen.category_ids.tolist() == ["dog", 7, -1]
    assert concatenate([chosen, chosen]).category_ids.tolist() == ["dog", 7, -1]


def test_text_that_is_a_number_gives_category_ids_that_are_numbers(tmp_path: Path) -> None:
    found = read_coco(write(tmp_path, [1], ["10", "9"], [(1, 10)]), tmp_path)
    assert found.category_ids.tolist() == [9, 10]
    assert found.category_ids.dtype.kind == "i"
    assert found.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("value", "meaning"),
    [(1, 1), ("1", 1), (1.0, 1), ("01", "01"), ("1e2", "1e2"), ("-0", 0), (True, None), ("", None)],
)
def test_identity(value: Any, meaning: Any) -> None:
    assert identity(value) == meaning


@pytest.mark.parametrize(
    "category",
    [
        {"id": 2},
        {"id": 2, "name": None},
        {"name": "x"},
        {"id": None, "name": "x"},
        {"id": True, "name": "x"},
        None,
        3,
        ["x"],
    ],
)
def test_a_category_that_cannot_be_understood_is_an_error(tmp_path: Path, category: Any) -> None:
    path = write(tmp_path, [1], [1], [])
    content = json.loads(path.read_text())
    content["categories"].append(category)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"a\.json: category number 1 cannot be understood"):
        read_coco(path, tmp_path)


def test_a_category_whose_name_is_a_number(tmp_path: Path) -> None:
    path = write(tmp_path, [1], [1], [])
    path.write_text(path.read_text().replace('"class 0"', "5"))
    assert category_names(path) == ["5"]
