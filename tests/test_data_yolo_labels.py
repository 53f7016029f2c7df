"""YOLO: which label files belong to which pictures, and what their lines could mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detzoo.data import masks
from detzoo.data.annotations import NO_MASK, POLYGONS
from detzoo.data.read import read_split
from detzoo.data.yolo import read_yolo
from tests.data_files import draw
from tests.test_data_yolo import CAT, OUTLINE, label, one, put

TRIANGLE = "0 0.1 0.1 0.5 0.1 0.5"


def test_label_files_without_a_picture_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = one(tmp_path, CAT)
    (tmp_path / "images/b.heic").write_bytes(b"heic")
    for name in ("b", "c", "images/d"):
        label(tmp_path / ("labels" if "/" not in name else ".") / f"{name}.txt", CAT)
    label(tmp_path / "labels/empty.txt")
    label(tmp_path / "images/classes.txt", "cat", "dog")
    label(tmp_path / "images/list.txt", "images/a.png")
    assert len(read_split(data, "train")) == 1
    assert "3 of 7 label files have objects but no picture and are left out" in caplog.text
    assert "labels/b.txt (but there is b.heic), labels/c.txt, images/d.txt" in caplog.text


def test_label_files_of_other_pictures_are_no_strays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    label(tmp_path / "classes.txt", "cat", "dog")
    for name in ("train/a", "val/b"):
        draw(tmp_path / f"{name}.png")
        label(tmp_path / f"labels/{name[-1]}.txt", CAT)
    label(tmp_path / "list.txt", "train/a.png")
    assert len(read_yolo(tmp_path / "classes.txt", tmp_path, "train").boxes) == 1
    assert len(read_yolo(tmp_path / "classes.txt", tmp_path, "list.txt").boxes) == 1
    assert not caplog.records
    (tmp_path / "val/b.png").unlink()
    read_yolo(tmp_path / "classes.txt", tmp_path, "train")
    assert "1 of 2 label files have objects but no picture and are left out: labels/b.txt" in caplog.text


def test_halves_that_share_a_label_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    label(tmp_path / "classes.txt", "cat", "dog")
    for name in ("train/a", "val/a", "train/b", "val/c"):
        draw(tmp_path / f"{name}.png")
        label(tmp_path / f"labels/{name[-1]}.txt", CAT)
    read_yolo(tmp_path / "classes.txt", tmp_path, "train")
    assert "1 of 2 pictures share their label file with another picture, and each has all of it: a.png" in caplog.text


@pytest.mark.parametrize("asked", [False, True])
def test_only_what_lies_in_the_picture_counts(tmp_path: Path, asked: bool) -> None:
    outside, beyond, line = (
        "0 1.2 0.1 1.6 0.1 1.6 0.5",
        "0 0.5 0.25 1.5 0.25 1.5 0.75 0.5 0.75",
        "0 0.1 0.1 0.5 0.5 0.3 0.3",
    )
    found = read_split(one(tmp_path, OUTLINE, outside, beyond, line).replace(masks=asked), "train")
    # of the picture of 30 x 20 pixels the one beyond its right edge has half: 15 x 10
    assert np.allclose(found.boxes, [[3, 2, 15, 10], [15, 5, 30, 15], [3, 2, 15, 10]])
    assert found.areas.tolist() == pytest.approx([48, 150, 96])  # a line has no outline, only its box
    assert found.mask_kind.tolist() == ([POLYGONS, POLYGONS, NO_MASK] if asked else [NO_MASK] * 3)
    if asked:
        assert masks.decode(found, 1, 20, 30).sum() == 150


def test_pictures_that_share_a_label_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = one(tmp_path, CAT)
    put(tmp_path, "images/a.jpg", None)
    put(tmp_path, "images/b.jpg", "labels/b.txt", CAT)
    assert len(read_split(data, "train").boxes) == 3
    assert (
        "2 of 3 pictures share their label file with another picture, and each has all of it: a.jpg, a.png"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("lines", "boxes", "said"),
    [
        ([f"{TRIANGLE} 0.5"], 0, ""),
        ([f"{TRIANGLE} 1"], 0, "1 of 1 lines may be triangles, or boxes with a confidence and a track id"),
        ([f"{TRIANGLE} 1", "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"], 0, ""),
        ([f"{CAT} 0.9 1", CAT], 2, "1 of 2 lines have a confidence and a track id behind the box"),
        ([f"{CAT} 0.9 1", f"{CAT} 0.8 2"], 2, "2 of 2 lines have a confidence and a track id behind the box"),
        ([f"{CAT} 0.9 17"], 1, "1 of 1 lines have a confidence and a track id behind the box"),
        ([f"{CAT} 0.9 1", CAT, f"{TRIANGLE} 0.5"], 1, "1 of 3 lines may be triangles"),
    ],
)
def test_seven_numbers(
    tmp_path: Path, lines: list[str], boxes: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = read_split(one(tmp_path, *lines), "train")
    assert len(found.boxes) == len(lines)
    assert sum(bool(np.allclose(box, [12, 6, 18, 14])) for box in found.boxes) == boxes
    assert said in caplog.text
    assert bool(caplog.records) == bool(said)
