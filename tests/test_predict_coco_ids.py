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
    one, two, three = Path("photos/a/one.jpg"), Path("/data/b/one.jpg"), Path("C/CAF\u00c9.png")
    assert ids.images([one, two, three, Path("one.jpg"), Path("a/two.jpg")]) == {one: 7, two: 9, three: "x"}
    assert ids.categories == {"circle": 31, "star": 5, "square": 8, "triangle": 2, "whale": 1}
    for path in (Path("one.jpg"), Path("a/two.jpg"), Path("val/caf\u00e9.png")):
        with pytest.raises(ValueError, match=rf"val\.json lists no image {path}; it has a/one\.jpg, and folders"):
            ids.images([path])
    with pytest.raises(ValueError, match="have the same image id, 7"):
        ids.images([Path("a/one.jpg"), Path("z/a/one.jpg")])


def written(folder: Path, images: list[Any], categories: list[Any] | None = None) -> Path:
    path = folder / "other.json"
    content = {"images": images, "categories": categories or [{"id": 1, "name": "star"}], "annotations": []}
    path.write_text(json.dumps(content))
    return path


def test_names_are_understood_as_readers_understand_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "val").mkdir()
    names = ["train/1.jpg", "C.JPG", "val/my%20photo.jpg", "D.jpg", "d.JPG", "val\\e.jpg", "/other/machine/val/f.jpg"]
    images: list[Any] = [{"id": number + 1.0, "file_name": name} for number, name in enumerate(names)]
    ids = CocoIds(written(tmp_path, [*images, {"id": None, "file_name": "g.jpg"}]))
    assert "1 of 8 images" in caplog.text
    monkeypatch.chdir(tmp_path / "val")
    for folder in (Path(), tmp_path / "val", Path("../val"), Path("../val/../val")):
        paths = [
            folder / name for name in ("1.jpg", "c.jpg", "my photo.jpg", "d.jpg", "D.jpg", "e.jpg", "f.jpg", "g.jpg")
        ]
        found = {path.name: number for path, number in ids.images(paths).items()}
        assert found == {"c.jpg": 2, "my photo.jpg": 3, "D.jpg": 4, "e.jpg": 6}
        assert {type(number) for number in found.values()} == {int}
    # two files for one name: the one that is called so
    assert ids.images([Path("c.jpg"), Path("C.JPG")]) == {Path("C.JPG"): 2}


def test_ids_are_those_that_an_evaluation_takes(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "1.jpg"}
    with pytest.raises(DataError, match="category id 31 is both 'star' and 'circle'"):
        CocoIds(written(tmp_path, [image], [{"id": 31, "name": "star"}, {"id": 31, "name": "circle"}]))
    with pytest.raises(DataError, match="image ids 1 and '1' cannot be told apart"):
        CocoIds(written(tmp_path, [image, {"id": "1", "file_name": "2.jpg"}]))
    twice = [{"id": "8", "name": "star"}, {"id": 5.0, "name": "star"}, {"id": 6, "name": 4}]
    assert CocoIds(written(tmp_path, [image], twice)).categories == {"star": 5, "4": 6}
    with pytest.raises(DataError, match="is a folder: give the COCO annotation file itself"):
        CocoIds(tmp_path)


def test_one_image_without_an_id_does_not_refuse_the_others(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for name in ("1.jpg", "2.jpg", "cover.jpg"):
        Image.new("RGB", (64, 48), (9, 99, 199)).save(photos / name)
    (photos / "broken.jpg").write_bytes(b"")
    names = written(tmp_path, [{"id": 7, "file_name": "1.jpg"}, {"id": 9, "file_name": "2.jpg"}])
    for more, ids, why in (
        ([], {1, 2}, "their names are no numbers"),
        (["--data", names], {7, 9}, f"{names} does not list them plainly"),
    ):
        assert run(weights, photos, "--out", out, "--coco", out / "r.json", *more) == 0
        said = capsys.readouterr().err.replace("\n", " ")
        assert "2 of 4 images are not in the COCO results, as " + why in said
        assert {entry["image_id"] for entry in json.loads((out / "r.json").read_text())} <= ids
    assert {path.name for path in out.glob("*.jpg")} == {"1.jpg", "2.jpg", "cover.jpg"}


def test_images_of_another_size_than_annotated_are_left_out(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turn = Image.Exif()
    turn[274] = 6  # a quarter turn
    for name, exif in (("plain.jpg", Image.Exif()), ("turned.jpg", turn), ("stored.jpg", turn)):
        Image.new("RGB", (64, 48), (9, 99, 199)).save(tmp_path / name, exif=exif)
    sizes = {"plain.jpg": (48, 64), "turned.jpg": (64, 48), "stored.jpg": (48, 64)}
    images = [
        {"id": number, "file_name": name, "height": height, "width": width}
        for number, (name, (height, width)) in enumerate(sizes.items())
    ]
    data, out = written(tmp_path, images, FILE["categories"]), tmp_path / "out"
    assert run(weights, tmp_path / "*.jpg", "--out", out, "--coco", out / "r.json", "--data", data) == 0
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"1 of 3 images are not in the COCO results, as they have another size than {data} states" in said
    assert {entry["image_id"] for entry in json.loads((out / "r.json").read_text())} == {0, 1}
    assert run(weights, tmp_path / "stored.jpg", "--out", out, "--coco", out / "r.json", "--data", data) == 2
    assert "stored.jpg and all others have another size than" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not valid JSON"),
        (b"[]", "is not a COCO annotation file"),
        (b'{"categories": []}', "is not a COCO annotation file: .*images"),
        (b'{"images": [{"id": 1}], "categories": []}', r"of 1 `images` none can be understood: .*file_name"),
        (b'{"images": [], "categories": [{"name": "a", "id": null}]}', "category number 0 cannot be understood"),
        (b'{"images": [{"file_name": "a", "id": 1}, {"file_name": "./a", "id": 2}]}', "two images are called a"),
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
        ([folder / "139.jpg", "--coco", out / "r.json", "--data", listing], "139.jpg; it has a/one.jpg"),
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
