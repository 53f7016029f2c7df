"""Results in COCO's format carry the ids of the annotation file that they are compared with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import detzoo
from detzoo import cli
from detzoo.data.problems import DataError
from detzoo.predict.coco_ids import CocoIds, numbered

FILE = {
    "images": [
        {"id": 7, "file_name": "a/one.jpg"},
        {"id": 9, "file_name": "b/one.jpg"},
        {"id": "x", "file_name": "c\\cafe\u0301.png"},
    ],
    "categories": [
        {"id": number, "name": name}
        for name, number in {"circle": 31, "star": 5, "square": 8, "triangle": 2, "whale": 1}.items()
    ],
    "annotations": [],
}


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "val.json"
    path.write_text(json.dumps(FILE), encoding="utf-8-sig")
    return path


def test_images_go_by_the_end_of_their_path(listing: Path) -> None:
    ids = CocoIds(listing)
    one, two, three = Path("photos/a/one.jpg"), Path("/data/b/one.jpg"), Path("caf\u00e9.png")
    assert ids.images([one, two, three]) == {one: 7, two: 9, three: "x"}
    assert ids.categories == {"circle": 31, "star": 5, "square": 8, "triangle": 2, "whale": 1}
    with pytest.raises(ValueError, match=r"lists 2 images one\.jpg in different folders"):
        ids.images([Path("one.jpg")])
    with pytest.raises(ValueError, match=r"val\.json lists no image two\.jpg"):
        ids.images([Path("a/two.jpg")])
    with pytest.raises(ValueError, match="have the same image id, 7"):
        ids.images([Path("a/one.jpg"), Path("z/a/one.jpg")])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not valid JSON"),
        (b"[]", "has no list of images"),
        (b'{"images": [{"id": 1}], "categories": []}', r"images\[0\] has no id or no file_name"),
        (b'{"images": [], "categories": [{"name": "a", "id": 1.5}]}', r"categories\[0\] has no id"),
        (b'{"images": [], "categories": [{"name": "a", "id": 1}, {"name": "a", "id": 2}]}', "two categories are"),
        (b'{"images": [{"file_name": "a", "id": 1}, {"file_name": "a", "id": 2}]}', "two images are called a"),
    ],
)
def test_other_files_are_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(DataError, match=f"odd.json.*{said}"):
        CocoIds(tmp_path / "odd.json")
    with pytest.raises(FileNotFoundError, match=r"no annotation file .*gone\.json"):
        CocoIds(tmp_path / "gone.json")


def test_names_that_are_numbers_are_ids() -> None:
    assert numbered([Path("val/000000000139.jpg"), Path("7.png")]) == {
        Path("val/000000000139.jpg"): 139,
        Path("7.png"): 7,
    }
    with pytest.raises(ValueError, match=r"image id of one\.jpg is not known: .* --data"):
        numbered([Path("one.jpg")])
    with pytest.raises(ValueError, match="same image id, 7"):
        numbered([Path("7.jpg"), Path("007.jpg")])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return detzoo.build("faster_rcnn_r18_fpn_shapes").save(tmp_path_factory.mktemp("weights") / "w.safetensors")


def run(*words: object) -> int:
    return cli.main(["predict", *map(str, words), "--device", "cpu", "--threshold", "0"])


def test_the_command_writes_them(weights: Path, listing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = listing.parent
    for name in ("a/one.jpg", "b/one.jpg", "139.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), (9, 99, 199)).save(folder / name)
    out = folder / "out"
    assert run(weights, folder / "*/*.jpg", "--out", out, "--coco", out / "r.json", "--data", listing) == 0
    said = capsys.readouterr()
    assert "cross is not in" in said.err
    entries: list[dict[str, Any]] = json.loads((out / "r.json").read_text())
    assert {entry["image_id"] for entry in entries} == {7, 9}
    assert {entry["category_id"] for entry in entries} <= {31, 5, 8, 2}
    assert len(entries) > 0
    # without the file only names that are numbers say which image it is
    assert run(weights, folder / "139.jpg", "--out", out, "--coco", out / "r.json") == 0
    assert {entry["image_id"] for entry in json.loads((out / "r.json").read_text())} == {139}
    capsys.readouterr()
    for words, message in [
        ([folder / "a", "--coco", out / "r.json"], "give the annotation file that lists the images with --data"),
        ([folder / "139.jpg", "--coco", out / "r.json", "--data", listing], "lists no image 139.jpg"),
        ([folder / "a", "--coco", listing, "--data", listing], "would be overwritten"),
        ([folder / "a", "--coco", folder / "a/one.jpg", "--data", listing], "would be overwritten"),
        ([folder / "a", "--data", listing], "--data is for --coco"),
    ]:
        assert run("retinanet_r50_fpn_1x_coco", *words, "--out", out) == 2  # before any weights are fetched
        assert message in capsys.readouterr().err
    assert json.loads(listing.read_text(encoding="utf-8-sig")) == FILE


def test_the_command_takes_classes_and_settings(
    weights: Path, listing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = listing.parent
    Image.new("RGB", (64, 48), (9, 99, 199)).save(folder / "1.jpg")
    out = folder / "out"
    words = [folder / "1.jpg", "--out", out, "--json", "--classes", "star, 0", "--nms", "0.1", "--size", "96"]
    assert run(weights, *words, "model.box_head.detections=3") == 0
    (record,) = json.loads((out / "predictions.json").read_text())
    assert {row["name"] for row in record["detections"]} <= {"star", "circle"}
    assert len(record["detections"]) <= 3
    capsys.readouterr()
    for more, message in [
        (["--classes", "sta"], "did you mean 'star'"),
        (["--nms", "2"], "nms must be a number from 0 to 1"),
        (["--size", "big"], "size is a number of pixels"),
        (["model.box_head.nsm=1"], "did you mean"),
        (["schedule.epochs=3"], "only settings of the model"),
    ]:
        assert run(weights, folder / "1.jpg", "--out", out, *more) == 2
        assert message in capsys.readouterr().err
