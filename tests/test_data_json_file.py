"""Annotation files as programs of other systems save them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from detzoo.data.coco import category_names, first_images, read_coco
from detzoo.data.json_file import number
from detzoo.data.problems import DataError
from detzoo.data.read import read_split
from detzoo.data.source import as_data
from tests.data_files import draw

CONTENT = {
    "images": [{"id": 1, "file_name": "größe.png", "width": 30, "height": 20}],
    "categories": [{"id": 1, "name": "猫"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "iscrowd": 0}],
}
TEXT = json.dumps(CONTENT, ensure_ascii=False)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_every_unicode_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    draw(tmp_path / "größe.png")
    path = tmp_path / "a.json"
    path.write_bytes(TEXT.encode(encoding))
    found = read_coco(path, tmp_path)
    assert (found.classes, found.files[0], len(found.boxes)) == (("猫",), "größe.png", 1)
    assert category_names(path) == ["猫"]
    assert first_images(path) == ["größe.png"]


@pytest.mark.parametrize(
    ("encoding", "name"), [("latin-1", "größe"), ("cp1252", "größe"), ("shift-jis", "猫"), ("cp1251", "дом")]
)
@pytest.mark.parametrize("field", ["file_name", "name"])
def test_other_encodings_say_what_to_do(tmp_path: Path, encoding: str, name: str, field: str) -> None:
    names = {"file_name": "a.png", "name": "cat"} | {field: f"{name}.png"}
    content = {
        **CONTENT,
        "images": [{**CONTENT["images"][0], "file_name": names["file_name"]}],
        "categories": [{"id": 1, "name": names["name"]}],
    }
    draw(tmp_path / "a.png")
    (tmp_path / "a.json").write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    with pytest.raises(DataError, match=r"a\.json is not UTF-8: byte 0x.* save it as UTF-8"):
        read_coco(tmp_path / "a.json", tmp_path)


@pytest.mark.parametrize(
    "data", [b"\xff\xfe{", b"\xff\xfe\x00\xd8\x00\xd8{\x00", b"\xef\xbb\xbf", b"\x00\x00\x00\x00", b"\x89PNG\r\n"]
)
def test_damaged_files_name_themselves(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    for read in (category_names, first_images, read_coco):
        with pytest.raises(DataError, match=r"a\.json"):
            read(tmp_path / "a.json")


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_coco(tmp_path)


def test_nan_in_utf_16(tmp_path: Path) -> None:
    draw(tmp_path / "größe.png")
    (tmp_path / "a.json").write_bytes(TEXT.replace('"iscrowd": 0', '"area": NaN').encode("utf-16"))
    assert read_coco(tmp_path / "a.json", tmp_path).areas.tolist() == [25]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_or_a_folder_of_them_is_data(tmp_path: Path, encoding: str, alone: bool) -> None:
    draw(tmp_path / "images/größe.png")
    text = TEXT.replace('"iscrowd": 0', '"area": NaN').replace("größe.png", "GR%C3%B6%C3%9Fe.PNG")
    (tmp_path / "val.json").write_bytes(text.encode(encoding))
    data = as_data(tmp_path / "val.json" if alone else tmp_path)
    found = read_split(data, "val")
    assert (found.files[0], found.areas.tolist()) == ("images/größe.png", [25])


def test_no_locale_matters(tmp_path: Path) -> None:
    draw(tmp_path / "größe.png")
    (tmp_path / "a.json").write_text(TEXT, encoding="utf-8")
    code = (
        "import sys; from detzoo.data.coco import read_coco; "
        "from detzoo.data.images import read_image; found = read_coco(sys.argv[1], sys.argv[2]); "
        "assert found.classes == (chr(0x732B),); read_image(sys.argv[2] + '/' + found.files[0])"
    )
    system = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.json", tmp_path], env=system, check=True, timeout=120)


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        (1, 1.0),
        ("1.5", 1.5),
        (" -2e1 ", -20.0),
        (".5", 0.5),
        *[
            (bad, None)
            for bad in (None, True, "nan", "inf", "1_0", "", "1,5", "1e999", 10**400, float("inf"), [1], {}, "٣")
        ],
    ],
)
def test_numbers(value: object, meaning: float | None) -> None:
    assert number(value) == meaning
