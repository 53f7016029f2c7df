"""YOLO: labels, ``data.yaml``, layouts, and the way there and back."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import detzoo
from detzoo.config import ConfigError
from detzoo.data import masks
from detzoo.data.annotations import NO_MASK, POLYGONS
from detzoo.data.coco import read_coco
from detzoo.data.problems import DataError
from detzoo.data.read import class_names, read_split
from detzoo.data.source import as_data
from detzoo.data.yolo import read_yolo
from detzoo.data.yolo_sets import read_classes
from detzoo.data.yolo_writer import write_yolo
from detzoo.recipes.settings import Data, Split
from tests.data_files import draw, thing, write_coco
from tests.train_fakes import quick

__all__ = ["quick"]
CAT = "0 0.5 0.5 0.2 0.4"  # 12 to 18, 6 to 14 in a picture of 30 x 20
OUTLINE = "1 0.1 0.1 0.5 0.1 0.5 0.5"


def label(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def put(root: Path, picture: str, labels: str | None, *lines: str) -> None:
    """A picture of 20 x 30 pixels and its label file."""
    draw(root / picture)
    if labels is not None:
        label(root / labels, *lines)


def one(root: Path, *lines: str, names: str = "[cat, dog]") -> Data:
    """A data set of one picture, for training and validation."""
    put(root, "images/a.png", "labels/a.txt", *lines)
    (root / "data.yaml").write_text(f"train: images\nval: images\nnames: {names}\n", encoding="utf-8")
    return as_data(root)


def test_boxes_and_outlines(tmp_path: Path) -> None:
    data = one(tmp_path, CAT, OUTLINE, "")
    assert data.kind == "yolo"
    assert data.metric == "coco"
    found = read_split(data, "train")
    assert found.classes == ("cat", "dog")
    assert found.category_ids.tolist() == [0, 1]
    assert found.image_id(0) == found.files[0] == "images/a.png"
    assert found.sizes.tolist() == [[20, 30]]
    assert np.allclose(found.boxes, [[12, 6, 18, 14], [3, 2, 15, 10]])
    assert np.allclose(found.areas, [48, 48])  # of the outline: half its box
    assert found.labels.tolist() == [0, 1]
    assert found.mask_kind.tolist() == [NO_MASK, NO_MASK]
    assert not found.crowd.any()
    assert not found.ignore.any()


def test_outlines_are_masks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = one(tmp_path, CAT, OUTLINE, OUTLINE).replace(masks=True)
    found = read_split(data, "train")
    assert found.mask_kind.tolist() == [NO_MASK, POLYGONS, POLYGONS]
    drawn = masks.decode(found, 1, 20, 30)
    assert 40 <= drawn.sum() <= 56
    assert drawn[2:10, 3:15].sum() == drawn.sum()
    assert (drawn == masks.decode(found, 2, 20, 30)).all()
    assert "1 of 3 objects have no outline in the picture and are ignored in training: labels/a.txt:1" in caplog.text
    label(tmp_path / "labels/a.txt", CAT)
    with pytest.raises(DataError, match="boxes only, but masks are asked for"):
        read_split(data, "train")


def test_images_without_objects(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = one(tmp_path, CAT)
    put(tmp_path, "images/empty.png", "labels/empty.txt")
    put(tmp_path, "images/bare.png", None)
    found = read_split(data, "train")
    assert found.starts.tolist() == [0, 1, 1, 1]
    assert "1 of 3 pictures have no label file and count as images without objects: images/bare.png" in caplog.text
    for file in (tmp_path / "labels").iterdir():
        file.unlink()
    assert len(read_split(data, "train")) == 3
    (tmp_path / "labels").rmdir()
    with pytest.raises(FileNotFoundError, match=r"no picture of .* has a label file, e\.g\. .*labels/a\.txt or"):
        read_split(data, "train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cat 0.5 0.5 0.2 0.2", "neither `class cx cy w h` nor an outline"),
        ("0 0.5 0.5 0.2", "neither"),
        ("0", "neither"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.3", "neither"),
        ("0.5 0.5 0.5 0.2 0.2", "neither"),
        ("0 0.5 nan 0.2 0.2", "neither"),
        ("0 0.5 0.5 inf 0.2", "neither"),
        ("0 0,5 0,5 0,2 0,2", "neither"),
        ("0\x000.5 0.5 0.2 0.2", "neither"),
        ("2 0.5 0.5 0.2 0.2", "have a class number that data.yaml does not name"),
        ("-1 0.5 0.5 0.2 0.2", "class number"),
        ("1e300 0.5 0.5 0.2 0.2", "class number"),
        ("0 15 10 6 8", "have numbers far beyond 1, no fractions of width and height"),
        ("0 1e300 0.5 0.2 0.2", "no fractions"),
        ("0 0.5 0.5 0 0.2", "have no area"),
        ("0 0.5 0.5 -0.2 0.2", "have no area"),
        ("0 1.5 0.5 0.2 0.2", "lie outside of their image"),
        ("0 0.1 0.1 0.1 0.5 0.1 0.7", "have no area"),
    ],
)
def test_bad_lines_are_counted_by_file_and_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, message: str
) -> None:
    found = read_split(one(tmp_path, "", CAT, line), "train")
    assert len(found.boxes) == 1
    assert message in caplog.text
    assert "labels/a.txt:3" in caplog.text


def test_boxes_beyond_the_edge_are_clipped(tmp_path: Path) -> None:
    found = read_split(one(tmp_path, "0 0.9 0.5 0.4 0.4"), "train")
    assert np.allclose(found.boxes, [[21, 6, 30, 14]])


def test_a_confidence_behind_the_box(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(read_split(one(tmp_path, f"{CAT} 0.93"), "train").boxes) == 1
    assert "1 of 1 lines have a sixth number, which is not used: labels/a.txt:1" in caplog.text


def test_key_points_behind_the_box(tmp_path: Path) -> None:
    data = one(tmp_path, f"{CAT} 0.5 0.5 2 0.4 0.4 1", f"{CAT} 0.5 0.5")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat]\nkpt_shape: [2, 3]\n")
    found = read_split(data, "train")
    assert np.allclose(found.boxes, [[12, 6, 18, 14]] * 2)


NFC, NFD = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("picture", "labels"), [("a.PNG", "a.txt"), ("a.png", "a.TXT"), (f"{NFC}.png", f"{NFD}.txt"), ("A.png", "a.txt")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_label_files_as_tools_write_them(tmp_path: Path, picture: str, labels: str, encoding: str, end: str) -> None:
    draw(tmp_path / "images" / picture)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / labels).write_bytes(f"{CAT}{end}{CAT.replace(' ', chr(9))} {end}".encode(encoding))
    (tmp_path / "classes.txt").write_bytes(f"{NFC}{end}".encode(encoding))
    found = read_split(as_data(tmp_path), "val")
    assert found.classes == (NFC,)
    assert len(found.boxes) == 2


def test_label_files_that_are_no_text(tmp_path: Path) -> None:
    data = one(tmp_path)
    (tmp_path / "labels/a.txt").write_bytes(b"0 0.5 0.5 0.2 0.2\n\xff\xfe\xfd")
    with pytest.raises(DataError, match=r"labels/a\.txt is not UTF-8 text, see line 2"):
        read_split(data, "train")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [cat, dog]", {0: "cat", 1: "dog"}),
        ("names: ['cat', \"dog\"]", {0: "cat", 1: "dog"}),
        ("names:\n- cat\n- dog", {0: "cat", 1: "dog"}),
        ("names:\n  0: cat\n  1: dog", {0: "cat", 1: "dog"}),
        ("names: {0: cat, 5: dog}", {0: "cat", 5: "dog"}),
        ("names: {'0': cat, '1': dog}", {0: "cat", 1: "dog"}),
        ("names: [no, yes, 1.0, null, '~']", dict(enumerate(["no", "yes", "1.0", "null", "~"]))),
        ("names: [\u732b, caf\u00e9]", {0: "\u732b", 1: "caf\u00e9"}),
        ("nc: 1\nnames: [cat]\ndownload: |\n  import os\n  os.remove('x')", {0: "cat"}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_names(tmp_path: Path, text: str, names: dict[int, str], encoding: str) -> None:
    path = tmp_path / "data.yaml"
    path.write_bytes(text.encode(encoding))
    assert read_classes(path).names == names


def test_numbers_without_names_and_names_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = one(tmp_path, CAT, "3 0.5 0.5 0.2 0.4", "7 0.5 0.5 0.2 0.4", names="{0: cat, 7: dog, 3: cat}")
    found = read_split(data, "train")
    assert found.classes == ("cat", "dog")
    assert found.category_ids.tolist() == [0, 7]
    assert found.labels.tolist() == [0, 0, 1]
    assert "1 of 3 class names occur more than once and count as one class: cat" in caplog.text
    assert class_names(data, "val") == ["cat", "dog"]
    chosen = read_split(data.replace(classes=("dog",)), "train")
    assert (chosen.labels.tolist(), chosen.category_ids.tolist()) == ([0], [7])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no settings"),
        ("- a", "holds no settings"),
        ("a: [", "not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']\nnames: [a]", "names no images"),
        ("a: &a [x]\nnames: *a", "not valid YAML: aliases"),
        ("a: &a {x: y}\n<<: *a", "not valid YAML: aliases"),
        ("a: " + "[" * 5000, "nested too deeply|not valid YAML"),
        ("a: \x07", "not valid YAML"),
        ("train: images\nnc: 3", "names no classes"),
        ("train: images\nnames: [cat]\nnames: [dog]", "not valid YAML: `names` is there twice"),
        ("train: images\nnames: {0: cat, 0: dog}", "not valid YAML: `0` is there twice"),
        ("train: images\nnames: cat", "'cat', but should be a list"),
        ("train: images\nnames: {a: cat}", "numbers from 0"),
        ("train: images\nnames: {-1: cat}", "numbers from 0"),
        ("train: images\nnames: {99999999999: cat}", "numbers from 0 to"),
        ("train: images\nnames: [[cat]]", "the name of class 0"),
        ("train: images\nnames: ['']", "the name of class 0"),
        ("train: {a: b}\nnames: [cat]", "train should be a folder"),
        ("names: [cat]", "names no images"),
        ("x: " + "y" * (2 << 20), "more than"),
    ],
)
def test_broken_yaml_is_named(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, "images/a.png", "labels/a.txt", CAT)
    path = tmp_path / "data.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"data\.yaml.*({message})"):
        read_split(as_data(path), "train")


def test_hostile_yaml_takes_little_time(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    started = time.process_time()
    for text in ("{" * 100_000, "[" * 100_000, "- " * 100_000, "? " * 100_000, "a: " * 100_000, "&a " * 100_000):
        path.write_text(text)
        with pytest.raises(DataError, match=r"data\.yaml"):
            as_data(path)
    assert time.process_time() - started < 10


def halves(root: Path, pattern: str, *names: str) -> None:
    """Pictures and labels of halves, where ``pattern`` has ``{kind}`` for images or labels and ``{half}``."""
    for half in names:
        picture = pattern.format(kind="images", half=half)
        put(root, f"{picture}/{half}.png", f"{pattern.format(kind='labels', half=half)}/{half}.txt", CAT)


def text(root: Path, name: str, content: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(content)


Build = Callable[[Path], object]
NAMES = "names: [cat, dog]\n"
LAYOUTS: dict[str, tuple[Build, str | None, str | None]] = {
    "data.yaml, images/train": (
        lambda r: (
            halves(r, "{kind}/{half}", "train", "val"),
            text(r, "data.yaml", f"path: .\ntrain: images/train\nval: images/val\n{NAMES}"),
        ),
        "images/train/train.png",
        "images/val/val.png",
    ),
    "Roboflow": (
        lambda r: (
            halves(r, "{half}/{kind}", "train", "valid", "test"),
            text(r, "data.yaml", f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\n{NAMES}"),
        ),
        "train/images/train.png",
        "valid/images/valid.png",
    ),
    "Roboflow, train and test": (
        lambda r: (
            halves(r, "{half}/{kind}", "train", "test"),
            text(r, "data.yaml", f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\n{NAMES}"),
        ),
        "train/images/train.png",
        "test/images/test.png",
    ),
    "path of another machine": (
        lambda r: (
            halves(r, "{kind}/{half}", "train", "val"),
            text(r, "data.yaml", f"path: /home/me/set\ntrain: images/train\nval: images/val\n{NAMES}"),
        ),
        "images/train/train.png",
        "images/val/val.png",
    ),
    "absolute paths of another machine": (
        lambda r: (
            halves(r, "{kind}/{half}", "train", "val"),
            text(r, "data.yaml", f"train: C:\\set\\images\\train\nval: /home/me/set/images/val/\n{NAMES}"),
        ),
        "images/train/train.png",
        "images/val/val.png",
    ),
    "a path below": (
        lambda r: (
            halves(r / "set", "{kind}/{half}", "train", "val"),
            text(r, "my.yaml", f"path: set\ntrain: images/train\nval: images/val\n{NAMES}"),
        ),
        "images/train/train.png",
        "images/val/val.png",
    ),
    "lists of images": (
        lambda r: (
            halves(r, "{kind}/{half}", "train", "val"),
            text(r, "train.txt", "./images/train/train.png\n"),
            text(r, "val.txt", "/home/me/images/val/val.png\r\n/home/me/images/val/none.png\r\n"),
            text(r, "data.yaml", f"train: train.txt\nval: val.txt\n{NAMES}"),
        ),
        "images/train/train.png",
        "images/val/val.png",
    ),
    "lists of folders": (
        lambda r: (
            halves(r, "{kind}/{half}", "train", "val", "extra"),
            text(r, "data.yaml", f"train: [images/train, images/extra]\nval: [images/val]\n{NAMES}"),
        ),
        "images/train/train.png",
        "images/val/val.png",
    ),
    "folders that hold images and labels": (
        lambda r: (
            halves(r, "{half}/{kind}", "train", "val"),
            text(r, "data.yaml", f"train: train\nval: val\n{NAMES}"),
        ),
        "train/images/train.png",
        "val/images/val.png",
    ),
    "names alone in data.yaml": (
        lambda r: (halves(r, "{kind}/{half}", "Train", "Val"), text(r, "data.yaml", NAMES)),
        "images/Train/Train.png",
        "images/Val/Val.png",
    ),
    "classes.txt": (
        lambda r: (halves(r, "{kind}/{half}", "train", "val"), text(r, "classes.txt", "cat\ndog\n")),
        "images/train/train.png",
        "images/val/val.png",
    ),
    "train/images and classes.txt in labels": (
        lambda r: (halves(r, "{half}/{kind}", "train", "val"), text(r, "train/labels/classes.txt", "cat\ndog\n")),
        "train/images/train.png",
        "val/images/val.png",
    ),
    "Label Studio": (
        lambda r: (
            put(r, "images/a.png", "labels/a.txt", CAT),
            text(r, "classes.txt", "cat\ndog\n"),
            text(r, "notes.json", '{"categories": [{"id": 0, "name": "cat"}], "info": {}}'),
        ),
        "images/a.png",
        "images/a.png",
    ),
    "labelImg, beside the pictures": (
        lambda r: (put(r, "a.png", "a.txt", CAT), text(r, "classes.txt", "cat\ndog\n")),
        "a.png",
        "a.png",
    ),
    "Darknet of Roboflow": (
        lambda r: [
            (put(r, f"{h}/{h}.png", f"{h}/{h}.txt", CAT), text(r, f"{h}/_darknet.labels", "cat\ndog\n"))
            for h in ("train", "valid")
        ],
        "train/train.png",
        "valid/valid.png",
    ),
    "Darknet of CVAT": (
        lambda r: (
            put(r, "obj_train_data/a.png", "obj_train_data/a.txt", CAT),
            put(r, "obj_valid_data/b.png", "obj_valid_data/b.txt", CAT),
            text(r, "train.txt", "data/obj_train_data/a.png\n"),
            text(r, "valid.txt", "data/obj_valid_data/b.png\n"),
            text(r, "obj.names", "cat\ndog\n"),
            text(
                r,
                "obj.data",
                "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n",
            ),
        ),
        "obj_train_data/a.png",
        "obj_valid_data/b.png",
    ),
    "in the only folder": (
        lambda r: (
            halves(r / "set", "{kind}/{half}", "train", "val"),
            text(r, "set/data.yaml", f"train: images/train\n{NAMES}"),
        ),
        "images/train/train.png",
        None,
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path: Path, name: str) -> None:
    build, train, val = LAYOUTS[name]
    build(tmp_path)
    data = as_data(tmp_path)
    assert data.kind == "yolo"
    for split, file in (("train", train), ("val", val)):
        if file is None:
            assert not getattr(data, split)
            continue
        found = read_split(data, split)  # type: ignore[arg-type]
        assert found.files[0] == file
        assert found.classes == ("cat", "dog")
        assert len(found.boxes) == len(found) > 0


def test_several_folders_are_joined(tmp_path: Path) -> None:
    LAYOUTS["lists of folders"][0](tmp_path)
    assert len(read_split(as_data(tmp_path / "data.yaml"), "train")) == 2


@pytest.mark.parametrize("pattern", ["{kind}/{half}", "{half}/{kind}", "{half}"])
def test_several_folders_of_one_half_are_joined(tmp_path: Path, caplog: pytest.LogCaptureFixture, pattern: str) -> None:
    halves(tmp_path, pattern, "train2014", "train2017", "trainval", "val")
    text(tmp_path, "classes.txt", "cat\n")
    found = read_split(as_data(tmp_path), "train")
    assert [Path(found.files[image]).name for image in range(len(found))] == ["train2014.png", "train2017.png"]
    assert not caplog.text
    draw(tmp_path / pattern.format(kind="images", half="val_2") / "a.png")
    draw(tmp_path / pattern.format(kind="images", half="test") / "a.png")
    assert len(read_split(as_data(tmp_path), "val")) == 1
    assert "left out, because there are no labels for it: " in caplog.text
    assert "val_2" in caplog.text
    assert "test" not in caplog.text.rpartition("there are no labels")[2]


def test_what_is_not_divided_trains_beside_a_test_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    halves(tmp_path / "a", "{kind}/{half}", "default", "Test")
    halves(tmp_path / "b", "{kind}/{half}", "val")
    draw(tmp_path / "b/images/a.png")
    for folder in "ab":
        text(tmp_path / folder, "classes.txt", "cat\n")
    assert read_split(as_data(tmp_path / "a"), "train").files[0] == "images/default/default.png"
    assert read_split(as_data(tmp_path / "a"), "val").files[0] == "images/Test/Test.png"
    assert not as_data(tmp_path / "b").train
    assert "only those in its folders count: the pictures beside them" in caplog.text


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("images", "valid/images"),
        ("images", "../valid/images"),
        ("images", "other/images"),
        ("images", "/home/me/set/valid/images"),
        ("images", "D:\\set\\other\\images"),
        ("/home/me/set/images", "/home/me/set/valid/images"),
        ("/home/me/set/images", "/home/me/set/other/images"),
        ("list.txt", "valid/list.txt"),
    ],
)
def test_a_folder_that_is_missing_is_not_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, train: str, val: str
) -> None:
    put(tmp_path, "images/a.png", "labels/a.txt", CAT)
    text(tmp_path, "list.txt", "images/a.png\n")
    text(tmp_path, "data.yaml", f"train: {train}\nval: {val}\n{NAMES}")
    if train.endswith("me/set/images") and "other" in val:  # either could be meant
        with pytest.raises(FileNotFoundError, match="nothing that it names is there"):
            as_data(tmp_path)
        return
    data = as_data(tmp_path)
    assert not data.val
    assert read_split(data, "train").files[0] == "images/a.png"
    assert f"left out, because they are not there: val: {val}" in caplog.text


def test_the_folder_of_another_machine_may_be_called_anything(tmp_path: Path) -> None:
    put(tmp_path / "set", "images/a.png", "labels/a.txt", CAT)
    for path in ("/home/dev/set/images", "set/images", "../set/images"):
        text(tmp_path / "set", "data.yaml", f"train: {path}\nval: {path}\n{NAMES}")
        assert read_split(as_data(tmp_path / "set"), "val").files[0] == "images/a.png"


def test_a_data_set_elsewhere(tmp_path: Path) -> None:
    halves(tmp_path / "set", "{kind}/{half}", "train", "val")
    text(tmp_path, "configs/a.yml", f"path: {tmp_path / 'set'}\ntrain: images/train\nval: images/val\n{NAMES}")
    data = as_data(tmp_path / "configs/a.yml")
    assert data.root == str(tmp_path / "set")
    assert read_split(data, "val").files[0] == "images/val/val.png"
    text(tmp_path, "configs/a.yml", f"train: ../set/images/train\n{NAMES}")
    found = read_split(as_data(tmp_path / "configs/a.yml"), "train")
    assert len(found.boxes) == 1


def test_what_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    halves(tmp_path, "{kind}/{half}", "train")
    text(tmp_path, "data.yaml", f"train: images/train\nval: images/val\n{NAMES}")
    assert not as_data(tmp_path).val
    assert "left out, because they are not there: val: images/val" in caplog.text
    text(tmp_path, "data.yaml", f"train: a\nval: b\n{NAMES}")
    with pytest.raises(FileNotFoundError, match=r"data\.yaml: nothing that it names is there: train: a, val: b"):
        as_data(tmp_path)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(
        ConfigError, match=r"nothing says what their classes are called: write the names into .*classes\.txt"
    ):
        as_data(tmp_path)
    text(tmp_path, "data.yaml", "train: images/train\nnc: 2\n")
    with pytest.raises(ConfigError, match=r"data\.yaml has no `names`"):
        as_data(tmp_path)
    (tmp_path / "data.yaml").unlink()
    for name in ("a.yaml", "b.yaml"):
        text(tmp_path, name, f"train: images/train\n{NAMES}")
    with pytest.raises(ConfigError, match=r"several descriptions of data sets: a\.yaml, b\.yaml"):
        as_data(tmp_path)
    with pytest.raises(ConfigError, match="the annotations of a yolo split"):
        read_split(Data(kind="yolo", root=str(tmp_path), train=(Split(),)), "train")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_yolo(tmp_path / "c.yaml", tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_yolo(tmp_path / "a.yaml", tmp_path, "nowhere")
    with pytest.raises(FileNotFoundError, match="no pictures"):
        read_yolo(tmp_path / "a.yaml", tmp_path, "labels")
    text(tmp_path, "list.txt", "x.png\n")
    with pytest.raises(FileNotFoundError, match=r"none of the 1 images of .*list\.txt is there, e\.g\. x\.png"):
        read_yolo(tmp_path / "a.yaml", tmp_path, "list.txt")
    text(tmp_path, "list.txt", "\n")
    with pytest.raises(DataError, match=r"list\.txt lists no images"):
        read_yolo(tmp_path / "a.yaml", tmp_path, "list.txt")


def test_it_trains_and_evaluates_with_the_masks_that_the_method_wants(
    tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for half in ("train", "val"):
        lines = ("0 0.2 0.2 0.6 0.2 0.6 0.8 0.2 0.8", "1 0.5 0.5 0.9 0.5 0.9 0.9")
        put(tmp_path, f"images/{half}/a.png", f"labels/{half}/a.txt", *lines)
        put(tmp_path, f"images/{half}/b.png", f"labels/{half}/b.txt")
    text(tmp_path, "data.yaml", f"train: images/train\nval: images/val\n{NAMES}")
    small = (
        "input.short=48",
        "input.long=64",
        "neck.out_channels=16",
        "rpn.train_proposals=20",
        "box_head.fc_channels=16",
    )
    done = detzoo.train(
        "mask_rcnn_r18_fpn_shapes",
        data=tmp_path / "data.yaml",
        out=tmp_path / "run",
        device="cpu",
        progress=False,
        overrides=[
            *(f"model.{setting}" for setting in small),
            *("schedule.epochs=1", "schedule.milestones=[]", "schedule.batch=1", "data.workers=0"),
        ],
    )
    assert done.detector.classes == ("cat", "dog")
    assert done.history[0]["losses"]["loss_mask"] > 0
    assert {"box_ap", "mask_ap"} <= set(done.history[0]["metrics"])
    report = detzoo.evaluate(done.detector, tmp_path, workers=0, progress=False)
    assert report.metrics["mask_ap"] >= 0


def test_there_and_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, (24, 14), (40, 2))
    extents = rng.uniform(1, 6, (40, 2))
    objects = [
        thing(number + 1, number % 3 + 1, [*corner, *extent], number % 2 + 1)
        for number, (corner, extent) in enumerate(zip(corners.tolist(), extents.tolist(), strict=True))
    ]
    source = write_coco(tmp_path / "coco", objects, images=(1, 2, 3, 4), categories={1: "no", 2: "caf\u00e9: 'x'"})
    before = read_split(as_data(source), "val")
    file = write_yolo({"train": before, "val": before}, tmp_path / "coco", tmp_path / "yolo")
    data = as_data(file)
    for split in ("train", "val"):
        after = read_split(data, split)
        assert after.classes == before.classes
        assert after.starts.tolist() == before.starts.tolist()
        assert after.labels.tolist() == before.labels.tolist()
        assert np.abs(after.boxes - before.boxes).max() < 1e-3
        assert np.abs(after.areas - before.areas).max() < 1e-2
        assert (after.sizes == before.sizes).all()
        assert [Path(after.files[image]).name for image in range(4)] == ["1.png", "2.png", "3.png", "4.png"]
    assert as_data(tmp_path / "yolo") == data
    with pytest.raises(FileExistsError, match=r"data\.yaml"):
        write_yolo({"train": before}, tmp_path / "coco", tmp_path / "yolo")
    with pytest.raises(ValueError, match="same classes"):
        write_yolo({}, tmp_path / "coco", tmp_path / "other")


def test_outlines_there_and_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    star = [2.13, 3.7, 20.4, 3.1, 11.9, 15.2, 0.0, 18.8]
    pieces = [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0], [10.0, 10.0, 18.0, 10.0, 18.0, 16.0, 10.0, 16.0]]
    runs = {"size": [20, 30], "counts": [100, 40, 460]}
    objects = [
        thing(1, 1, [0, 3.1, 20.4, 15.7], segmentation=[star]),
        thing(2, 1, [1, 1, 17, 15], segmentation=pieces),
        thing(3, 1, [5, 0, 2, 20], segmentation=runs),
        thing(4, 1, [5, 0, 2, 20], segmentation=runs, iscrowd=1),
        thing(5, 2, [3, 4, 5, 6]),
    ]
    source = write_coco(tmp_path / "coco", objects)
    before = read_split(as_data(source).replace(masks=True), "val")
    file = write_yolo({"val": before}, tmp_path / "coco", tmp_path / "yolo")
    for words in (
        "1 of 5 objects are crowds or ignored and are not written: 4",
        "1 of 5 objects have outlines in several pieces, joined by lines: 2",
        "1 of 5 objects have a mask in run lengths and are written as boxes: 3",
    ):
        assert words in caplog.text
    after = read_split(as_data(file).replace(masks=True), "val")
    assert after.mask_kind.tolist() == [POLYGONS, POLYGONS, NO_MASK, NO_MASK]
    assert np.abs(after.boxes - before.boxes[[0, 1, 2, 4]]).max() < 0.21
    one_piece, several = ((masks.decode(before, row, 20, 30), masks.decode(after, row, 20, 30)) for row in (0, 1))
    assert (one_piece[0] == one_piece[1]).all()
    assert (several[0] != several[1]).mean() < 0.02
    again = write_yolo({"val": after}, tmp_path / "yolo", tmp_path / "again")
    assert (tmp_path / "again/labels/val/1.txt").read_text() == (tmp_path / "yolo/labels/val/1.txt").read_text()
    assert again.read_text() == file.read_text()
    boxes = write_yolo({"val": before}, tmp_path / "coco", tmp_path / "boxes", masks=False)
    assert np.abs(read_split(as_data(boxes), "val").boxes - before.boxes[[0, 1, 2, 4]]).max() < 1e-3


def test_pictures_of_one_name_there(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        put(tmp_path, f"images/{folder}/x.png", f"labels/{folder}/x.txt", CAT)
    text(tmp_path, "classes.txt", "cat\n")
    before = read_yolo(tmp_path / "classes.txt", tmp_path, "images")
    after = read_split(as_data(write_yolo({"train": before}, tmp_path, tmp_path / "out")), "train")
    assert [after.files[image] for image in range(2)] == ["images/train/x.png", "images/train/x_1.png"]
    assert len(after.boxes) == 2


def test_a_listed_image_of_another_half_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """``valid/images/a.png`` of another machine is not the training image ``images/a.png``."""
    put(tmp_path, "images/a.png", "labels/a.txt", CAT)
    put(tmp_path, "images/b.png", "labels/b.txt", CAT)
    (tmp_path / "classes.txt").write_text("cat\n")
    (tmp_path / "val.txt").write_text("/x/valid/images/a.png\n/x/images/b.png\n")
    read = read_yolo(tmp_path / "classes.txt", tmp_path, "val.txt")
    assert [read.files[image] for image in range(len(read))] == ["images/b.png"]
    assert "1 of 2 images are not there and are left out: /x/valid/images/a.png" in caplog.text


def test_written_names_are_told_apart(tmp_path: Path) -> None:
    names = ("p/a_2.png", "p/a.png", "q/a.png", "q/A.png", "r/a_3.png")
    for level, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (100, 80), level).save(tmp_path / name)
    images = [{"id": n, "file_name": name, "height": 80, "width": 100} for n, name in enumerate(names)]
    things = [thing(n, n, [n, 10, 20, 20]) for n in range(len(names))]
    content = {"images": images, "annotations": things, "categories": [{"id": 1, "name": "x"}]}
    (tmp_path / "train.json").write_text(json.dumps(content))
    before = read_coco(tmp_path / "train.json", tmp_path)
    file = write_yolo({"train": before}, tmp_path, tmp_path / "out")
    stems = {path.stem: np.asarray(Image.open(path))[0, 0] for path in (tmp_path / "out/images/train").iterdir()}
    assert stems == {"a_2": 0, "a": 1, "a_1": 2, "A_4": 3, "a_3": 4}
    after = read_split(as_data(file), "train")
    assert sorted(after.boxes[:, 0].round().tolist()) == [0, 1, 2, 3, 4]


def test_pictures_that_are_annotated_before_their_turn_are_written_so(tmp_path: Path) -> None:
    turn = Image.Exif()
    turn[274] = 6  # a quarter turn
    pixels = np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8)
    for name, suffix in (("stored", "png"), ("upright", "jpg")):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.{suffix}", exif=turn)
    images = [
        {"id": 1, "file_name": "stored.png", "height": 80, "width": 100},
        {"id": 2, "file_name": "upright.jpg", "height": 100, "width": 80},
    ]
    content = {"images": images, "annotations": [thing(1, 1, [60, 10, 20, 20]), thing(2, 2, [10, 60, 20, 20])]}
    (tmp_path / "train.json").write_text(json.dumps({**content, "categories": [{"id": 1, "name": "x"}]}))
    before = read_coco(tmp_path / "train.json", tmp_path, "images")
    after = read_split(as_data(write_yolo({"train": before}, tmp_path, tmp_path / "out")), "train")
    np.testing.assert_allclose(after.boxes, before.boxes, atol=1e-3)
    assert after.sizes.tolist() == [[80, 100], [100, 80]]
    assert (np.asarray(Image.open(tmp_path / "out/images/train/stored.png")) == pixels).all()
