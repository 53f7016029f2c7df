import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as oracle
import pytest

from detzoo.data.annotations import NO_MASK, POLYGONS, RLE, Annotations, Strings
from detzoo.data.coco import category_names, read_coco
from detzoo.data.masks import decode
from detzoo.data.problems import DataError
from tests.data_files import draw, thing, write_coco

# pycocotools has not been built for NumPy 2's __array__ yet
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def read(path: Path, masks: bool = False) -> Annotations:
    return read_coco(path, path.parent, "images", masks)


def test_objects_are_sorted_by_image_and_keep_their_order(tmp_path: Path) -> None:
    path = write_coco(
        tmp_path,
        [
            thing(5, 2, [1, 2, 3, 4], area=7.5),
            thing(6, 1, [0, 0, 5, 5], category=9, iscrowd=1),
            thing(4, 2, [2, 2, 2, 2], ignore=1),
        ],
        images=(1, 2, 3),
        categories={9: "dog", 1: "cat"},
    )
    found = read(path)
    assert found.classes == ("cat", "dog")
    assert found.category_ids.tolist() == [1, 9]
    assert [found.image_id(image) for image in range(3)] == [1, 2, 3]
    assert [found.files[image] for image in range(3)] == ["images/1.png", "images/2.png", "images/3.png"]
    assert found.starts.tolist() == [0, 1, 3, 3]
    assert found.ids.tolist() == [6, 5, 4]
    assert found.boxes.tolist() == [[0, 0, 5, 5], [1, 2, 4, 6], [2, 2, 4, 4]]
    assert found.labels.tolist() == [1, 0, 0]
    assert found.areas.tolist() == [25, 7.5, 4]
    assert found.crowd.tolist() == [True, False, False]
    assert found.ignore.tolist() == [False, False, True]
    assert found.sizes.tolist() == [[20, 30]] * 3


@pytest.mark.parametrize("ids", [(900719925474099, -3), ("b/7", "a"), (2**70, 4), (1.0, 7.0), ("a", 7), ("7", "8")])
def test_unusual_image_ids(tmp_path: Path, ids: tuple[Any, Any]) -> None:
    for number, name in enumerate(("x", "y")):
        draw(tmp_path / "images" / f"{name}.png", seed=number)
    content = {
        "images": [{"id": number, "file_name": f"{name}.png"} for number, name in zip(ids, ("x", "y"), strict=True)],
        "annotations": [thing(3, ids[1], [1, 1, 5, 5], category=2**40)],
        "categories": [{"id": 2**40, "name": "cat"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = read(tmp_path / "a.json")
    assert [found.image_id(image) for image in range(2)] == list(ids)
    assert not any(isinstance(found.image_id(image), float) for image in range(2))
    assert found.starts.tolist() == [0, 0, 1]
    assert found.category_ids.tolist() == [2**40]
    assert found.sizes.tolist() == [[20, 30]] * 2  # read from the files


def test_object_ids_that_are_missing_or_no_numbers_become_their_position(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [{**thing(0, 1, [1, 1, 5, 5]), "id": number} for number in ("x", None, 12)])
    assert read(path).ids.tolist() == [1, 2, 12]


def test_masks_equal_pycocotools(tmp_path: Path) -> None:
    bitmap = np.random.default_rng(0).random((20, 30)) > 0.6
    runs = oracle.encode(np.asfortranarray(bitmap.astype(np.uint8)))
    text = runs["counts"].decode()  # type: ignore[union-attr]
    flat = bitmap.T.reshape(-1)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    counts = np.diff([0, *changes, 600]).tolist()
    shapes: Any = [[2, 3, 25.31, 4.2, 11, 18.77], [1, 12, 5, 12, 5, 17, 1, 17]]
    path = write_coco(
        tmp_path,
        [
            thing(1, 2, [1, 1, 9, 9], segmentation={"size": [20, 30], "counts": text}),
            thing(2, 1, [1, 1, 9, 9], segmentation=shapes),
            thing(3, 1, [1, 1, 9, 9], segmentation={"size": [20, 30], "counts": counts}, iscrowd=1),
            thing(4, 2, [1, 1, 9, 9], segmentation=[[1, 1, 4, 4], shapes[0]]),  # a polygon of 2 points is left out
        ],
    )
    found = read(path, masks=True)
    assert found.ids.tolist() == [2, 3, 1, 4]
    assert found.mask_kind.tolist() == [POLYGONS, RLE, RLE, POLYGONS]
    both = oracle.merge(oracle.frPyObjects(shapes, 20, 30))
    first = oracle.merge(oracle.frPyObjects(shapes[:1], 20, 30))
    for row, expected in enumerate([both, runs, runs, first]):
        assert np.array_equal(decode(found, row, 20, 30), oracle.decode(expected).astype(bool))


def test_masks_are_read_only_when_asked_for(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [thing(1, 1, [1, 1, 9, 9], segmentation=[[1, 1, 9, 1, 9, 9]])])
    assert read(path).mask_kind.tolist() == [NO_MASK]
    assert not len(read(path).mask_bytes)


def test_unusable_masks_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = [[1, 1, 9, 1, 9, 9]]
    bad = [
        None,
        [],
        [[1, 1, 5, 5]],
        [[1, 1, 5, 5, 6, 6, 7]],
        {"size": [5, 5], "counts": [25]},
        {"size": [20, 30], "counts": [3, 4]},
        {"size": [20, 30], "counts": [-1, 601]},
        {"size": [20, 30], "counts": "abc"},
        {"size": [20, 30], "counts": ""},
    ]
    path = write_coco(tmp_path, [thing(n, 1, [1, 1, 9, 9], segmentation=s) for n, s in enumerate([good, *bad])])
    found = read(path, masks=True)
    assert found.mask_kind.tolist() == [POLYGONS] + [NO_MASK] * len(bad)
    assert "9 of 10 objects have no usable mask" in caplog.text


def test_masks_that_no_object_has(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [thing(1, 1, [1, 1, 9, 9])])
    with pytest.raises(DataError, match="masks=false"):
        read(path, masks=True)


def test_bad_boxes_are_counted_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    boxes = [
        [1, 1, 5, 5],
        [1, 1, 0, 5],
        [1, 1, 5, -2],
        [40, 1, 5, 5],
        [-9, 1, 5, 5],
        [float("nan"), 1, 5, 5],
        [1, 1, float("inf"), 5],
        None,
        [1, 2],
        [-2, -3, 50, 60],
    ]
    found = read(write_coco(tmp_path, [thing(n + 1, 1, box) for n, box in enumerate(boxes)]))
    assert found.ids.tolist() == [1, 10]
    assert found.boxes.tolist() == [[1, 1, 6, 6], [0, 0, 30, 20]]
    assert "2 of 10 boxes have no area and are left out: 2, 3" in caplog.text
    assert "2 of 10 boxes lie outside of their image and are left out: 4, 5" in caplog.text
    assert "4 of 10 boxes are missing or not finite and are left out: 6, 7, 8, 9" in caplog.text
    assert "1 of 10 boxes reach more than a pixel out of their image and are clipped: 10" in caplog.text
    assert "train.json" in caplog.text


def test_objects_of_unknown_images_and_categories_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    objects = [thing(1, 1, [1, 1, 5, 5]), thing(2, 77, [1, 1, 5, 5]), thing(3, 1, [1, 1, 5, 5], category=8)]
    found = read(write_coco(tmp_path, objects))
    assert found.ids.tolist() == [1]
    assert "1 of 3 annotations belong to an image id that is not in the file and are left out: 2" in caplog.text
    assert "1 of 3 annotations belong to a category id that is not in the file and are left out: 3" in caplog.text


def test_missing_image_files_are_counted_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_coco(tmp_path, [thing(1, 1, [1, 1, 5, 5]), thing(2, 2, [2, 2, 5, 5])])
    (tmp_path / "images/1.png").unlink()
    found = read(path)
    assert found.image_ids[0] == 2
    assert found.ids.tolist() == [2]
    assert f"1 of 2 images are not in {tmp_path / 'images'} and are left out: 1.png" in caplog.text
    assert len(caplog.records) == 1  # its object is not complained about as well
    (tmp_path / "images/2.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"none of the 2 images .* 1\.png.*`images`"):
        read(path)


def test_repeated_category_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    objects = [thing(1, 1, [1, 1, 5, 5], category=4), thing(2, 1, [1, 1, 5, 5], category=2)]
    found = read(write_coco(tmp_path, objects, categories={4: "cat", 2: "cat"}))
    assert (found.classes, found.labels.tolist(), found.category_ids.tolist()) == (("cat",), [0, 0], [2])
    assert "1 of 2 category names occur more than once" in caplog.text


def test_a_file_without_objects(tmp_path: Path) -> None:
    found = read(write_coco(tmp_path, []), masks=True)
    assert found.starts.tolist() == [0, 0, 0]
    assert found.boxes.shape == (0, 4)


def test_windows_paths(tmp_path: Path) -> None:
    draw(tmp_path / "images/sub/1.png")
    (tmp_path / "a.json").write_text('{"images": [{"id": 1, "file_name": "sub\\\\1.png"}]}')
    assert read(tmp_path / "a.json").files[0] == "images/sub/1.png"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, "is empty"),
        ('{"images": [', DataError, "not valid JSON"),
        ("[1, 2]", DataError, "not a COCO annotation file"),
        ('{"a": 1}', DataError, "`images`"),
        ('{"images": []}', DataError, "lists no images"),
        ('{"images": [{"id": 1}]}', DataError, "file_name"),
        (
            '{"images": [{"id": 1, "file_name": "1.png"}], "annotations": [{"image_id": 1}]}',
            DataError,
            "annotation number 0",
        ),
        (
            '{"images": [{"id": 1, "file_name": "1.png", "height": NaN}], "annotations": [NaN ',
            DataError,
            "not valid JSON",
        ),
    ],
)
def test_broken_files(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    draw(tmp_path / "images/1.png")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(error, match=message) as caught:
        read(tmp_path / "a.json")
    assert "a.json" in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.json"):
        read(tmp_path / "a.json")


def test_an_unreadable_image_whose_size_is_not_stated(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.png").touch()
    (tmp_path / "a.json").write_text('{"images": [{"id": 1, "file_name": "1.png"}]}')
    with pytest.raises(DataError, match=r"1 of 1 images cannot be used\n.*1\.png is empty"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize(
    "names", [("1.png", "./1.png"), ("1.png", "x/../1.png"), ("1.PNG", "1.png"), ("1.PNG", "%31.png")]
)
def test_one_picture_under_two_ids(tmp_path: Path, names: tuple[str, str]) -> None:
    path = write_coco(tmp_path, [thing(1, 7, [1, 1, 9, 9]), thing(2, 8, [9, 9, 9, 9])], images=(1, 2))
    content = json.loads(path.read_text())
    content["images"] = [{"id": id, "file_name": name} for id, name in zip((7, 8), names, strict=True)]
    path.write_text(json.dumps(content))
    (tmp_path / "images/x").mkdir()
    with pytest.raises(DataError, match=r"image ids 7 and 8 are both the picture images/.*1\.png"):
        read(path)


@pytest.mark.parametrize("size", [0, -1, None, 1e12, 1e300, 2**70, 20.5, "x", [20], True])
def test_sizes_that_cannot_be_are_read_from_the_files(tmp_path: Path, size: Any) -> None:
    path = write_coco(tmp_path, [thing(1, 1, [1, 1, 5, 5])], images=(1,))
    content = json.loads(path.read_text())
    for value in ({"height": size}, {"width": size}, {"height": "20", "width": "30.0"}):
        content["images"][0].update(value)
        path.write_text(json.dumps(content))
        assert read(path).sizes.tolist() == [[20, 30]]


def test_category_names(tmp_path: Path) -> None:
    assert category_names(write_coco(tmp_path, [], categories={9: "dog", 3: "cat"})) == ["cat", "dog"]


def test_strings() -> None:
    strings = Strings(["", "a", "äö", ""])
    assert [strings[index] for index in range(4)] == ["", "a", "äö", ""]
    assert strings[-2] == "äö"
    with pytest.raises(IndexError):
        strings[4]


def test_good_files_give_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    read(write_coco(tmp_path, [thing(1, 1, [0, 0, 30, 20], segmentation=[[1, 1, 9, 1, 9, 9]])]), masks=True)
    assert not caplog.records


@pytest.mark.parametrize(
    "box",
    [
        "2,3,5,6",
        "2 3 5 6",
        '["2", "3", "5", "6"]',
        '{"x": 2, "y": 3, "width": 5, "height": 6}',
        "[2, 3, 5, 6]",
        "(2.0, 3.0, 5.0, 6.0)",
        {"x": 2, "y": 3, "width": 5, "height": 6},
        {"x": "2", "y": 3, "w": 5, "h": 6},
        {"left": 2, "top": 3, "width": 5, "height": 6},
    ],
)
def test_boxes_as_tools_write_them(tmp_path: Path, box: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert read(write_coco(tmp_path, [thing(1, 1, box)])).boxes.tolist() == [[2, 3, 7, 9]]
    assert not caplog.records


@pytest.mark.parametrize("box", ["2,3,5", "a,b,c,d", "2;3;5;6", {"left": 2, "top": 3, "right": 5, "bottom": 6}, {}])
def test_boxes_that_are_none(tmp_path: Path, box: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert not len(read(write_coco(tmp_path, [thing(1, 1, box)])).boxes)
    assert "1 of 1 boxes are missing or not finite and are left out" in caplog.text


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_twice_in_one_file(tmp_path: Path, key: str, encoding: str) -> None:
    path = write_coco(tmp_path, [thing(1, 1, [1, 1, 5, 5], images=1, note=key)])
    text = path.read_text()
    path.write_text(f'{{"info": {{"x": "{key}"}}, "{key}": [], {text[1:]}', encoding=encoding)
    with pytest.raises(DataError, match=f"has `{key}` twice"):
        read(path)
    path.write_text(f'{text[:-1]}, "info": {{"{key}": [2], "x": ["{key}"]}}}}', encoding=encoding)
    assert len(read(path).boxes) == 1
