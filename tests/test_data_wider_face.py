"""WIDER Face as it is published: one text file for each half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import detzoo
from detzoo.config import ConfigError
from detzoo.data.problems import DataError
from detzoo.data.read import class_names, read_split
from detzoo.data.source import as_data
from detzoo.data.wider_face import read_wider_face
from detzoo.recipes.settings import Split
from tests.data_files import draw

FACE = "3 2 12 8 0 0 0 0 0 0"
FILE = "wider_face_split/wider_face_{}_bbx_gt.txt"


def write(root: Path, *lines: str, half: str = "train", pictures: tuple[str, ...] = ("0--Parade/a.jpg",)) -> Path:
    """A half with pictures of 20 x 30 pixels."""
    file = root / FILE.format(half)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for name in pictures:
        draw(root / f"WIDER_{half}/images/{name}")
    return file


def test_faces(tmp_path: Path) -> None:
    names = ("0--Parade/a.jpg", "1--Rain or shine/b c.jpg", "2/d.jpg")
    none = "0 0 0 0 0 0 0 0 0 0"
    lines = (names[0], "2", FACE, "20 10 5 5 2 0 0 1 2 0", names[1], "0", none, names[2], "1", "1 1 4 4")
    found = read_wider_face(write(tmp_path, *lines, pictures=names), tmp_path, "WIDER_train/images")
    assert found.classes == ("face",)
    assert [found.files[row] for row in range(3)] == [f"WIDER_train/images/{name}" for name in names]
    assert found.image_id(1) == names[1]
    assert found.starts.tolist() == [0, 2, 2, 3]
    assert found.boxes.tolist() == [[3, 2, 15, 10], [20, 10, 25, 15], [1, 1, 5, 5]]
    assert found.areas.tolist() == [96, 25, 16]
    assert found.ignore.tolist() == [False, True, False]
    assert found.sizes.tolist() == [[20, 30]] * 3


def test_a_folder_as_it_is_published(tmp_path: Path) -> None:
    write(tmp_path, "0--Parade/a.jpg", "1", FACE)
    write(tmp_path, "0--Parade/b.jpg", "1", FACE, half="val", pictures=("0--Parade/b.jpg",))
    data = as_data(tmp_path)
    assert data.kind == "wider_face"
    assert data.train == (Split(annotations=FILE.format("train"), images="WIDER_train/images"),)
    assert data.val == (Split(annotations=FILE.format("val"), images="WIDER_val/images"),)
    assert class_names(data, "val") == ["face"]
    assert read_split(data, "val").files[0] == "WIDER_val/images/0--Parade/b.jpg"
    # the recipes name the same files
    recipe = detzoo.find("pd_blazeface_1000e").data.replace(root=str(tmp_path))
    assert (recipe.train, recipe.val) == (data.train, data.val)
    assert np.array_equal(read_split(recipe, "train").boxes, [[3, 2, 15, 10]])


def test_what_cannot_be_used_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = ["0--Parade/a.jpg", "3", FACE, "1 1 0 4 0 0 0 0 0 0", "gone.jpg", "1", FACE]
    data = as_data(write(tmp_path, *lines).parents[1])
    assert len(read_split(data, "train").boxes) == 1
    assert "1 of 2 pictures are not in" in caplog.text
    assert "have another number of faces than is stated; all that are there count: 0--Parade/a.jpg" in caplog.text
    assert "1 of 2 boxes have no area and are left out: wider_face_train_bbx_gt.txt:4" in caplog.text


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        ((), DataError, "lists no pictures"),
        ((FACE,), DataError, r"gt\.txt:1: '3 2 12 8 .* is not a picture$"),
        (("0--Parade/a.jpg", "1", "3 2 12"), DataError, r"gt\.txt:3: '3 2 12' is not a picture, a number of faces"),
        (("0--Parade/a.jpg", "1", "3 2 12 inf"), DataError, r"gt\.txt:3"),
        (("0--Parade/a.jpg", "1", "many"), DataError, r"gt\.txt:3: 'many'"),
        (("0--Parade/a.jpg", "-1"), DataError, r"gt\.txt:2: '-1' is not the number of faces of 0--Parade/a\.jpg"),
        (("0--Parade/a.jpg", "1", FACE, "1"), DataError, r"gt\.txt:4: '1' is not the number"),
        (("0--Parade/a.jpg", "0", "0--Parade/a.jpg", "0"), DataError, "1 pictures more than once"),
        (("x.jpg", "0"), FileNotFoundError, "none of the 1 pictures"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, lines: tuple[str, ...], error: type[Exception], message: str) -> None:
    file = write(tmp_path, *lines)
    with pytest.raises(error, match=message):
        read_wider_face(file, tmp_path, "WIDER_train/images")


def test_there_are_no_masks(tmp_path: Path) -> None:
    data = as_data(write(tmp_path, "0--Parade/a.jpg", "1", FACE).parents[1])
    with pytest.raises(ConfigError, match="WIDER Face annotations have boxes only"):
        read_split(data.replace(masks=True), "train")
    with pytest.raises(ConfigError, match="learns masks, and WIDER Face has boxes only"):
        detzoo.train("mask_rcnn_r18_fpn_shapes", data=data, out=tmp_path / "run")
