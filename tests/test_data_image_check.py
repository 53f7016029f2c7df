"""Broken image files are named before the first step, or left out where that is said."""

import json
import logging
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import detzoo
from detzoo.data import image_check
from detzoo.data.dataset import Dataset, open_dataset
from detzoo.data.image_check import check_images
from detzoo.data.images import ImageError, check_image, image_size, read_image
from detzoo.data.loader import make_loader
from detzoo.data.problems import DataError
from detzoo.data.read import read_split
from detzoo.data.source import as_data
from detzoo.detector import Input
from detzoo.evaluate.run import evaluate
from tests.data_files import draw, thing, write_coco, write_voc
from tests.oracle import Oracle

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

KINDS = ("jpg", "png", "bmp", "webp", "tif", "gif", "jp2", "avif", "ppm", "tga")


def picture(path: Path, height: int = 40, width: int = 50) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def broken_set(root: Path, **settings: object) -> Dataset:
    """Six pictures; 2 is cut, 3 is empty, 4 has another size, 5 is a pipe, 6 is text."""
    write_coco(root, [thing(number, number, [1, 1, 9, 9]) for number in range(1, 7)], images=range(1, 7))
    files = {number: root / f"images/{number}.png" for number in range(1, 7)}
    files[2].write_bytes(files[2].read_bytes()[:-40])
    files[3].write_bytes(b"")
    picture(files[4], 21, 30)
    files[5].unlink()
    os.mkfifo(files[5])
    files[6].write_text("no picture")
    return open_dataset(as_data(root).replace(**settings), "train", Input(short=20, long=30), True)


def test_all_are_named_in_one_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="5 of 6 images cannot be used") as caught:
        check_images([broken_set(tmp_path)])
    lines = str(caught.value).splitlines()
    for line, number, why in zip(
        lines[1:], range(2, 7), ["truncated", "empty", "21 x 30", "no regular file", "none of JPEG"], strict=False
    ):
        assert f"{number}.png" in line
        assert why in line
    assert lines[-1].startswith("mend them, or leave them out with data.skip_broken=true; data.check_images=false")


def test_ten_are_said_and_the_others_counted(tmp_path: Path) -> None:
    write_coco(tmp_path, [thing(number, number, [1, 1, 9, 9]) for number in range(12)], images=range(12))
    for number in range(12):
        (tmp_path / f"images/{number}.png").write_text("no picture")
    with pytest.raises(DataError, match="12 of 12 images cannot be used") as caught:
        check_images([open_dataset(as_data(tmp_path), "train", Input(), True)])
    assert str(caught.value).count(".png") == 10
    assert "and 2 more" in str(caught.value)


def test_they_are_left_out_where_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = broken_set(tmp_path, skip_broken=True)
    with caplog.at_level(logging.WARNING):
        check_images([data])
    assert "5 of 6 images are left out, as data.skip_broken says" in caplog.text
    assert len(data) == 1
    assert data[0].path.endswith("1.png")
    (tmp_path / "images/1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"every image in .* would be left out"):
        check_images([open_dataset(data.data, "train", Input(), True)])


def test_the_switch(tmp_path: Path) -> None:
    data = broken_set(tmp_path, check_images=False)
    check_images([data])
    assert len(data) == 6


def test_looking_takes_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = broken_set(tmp_path)
    monkeypatch.setattr(image_check, "SECONDS", 0.0)
    with caplog.at_level(logging.WARNING):
        check_images([data])
    assert "6 of 6 images were not looked at" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_pass_without_being_decoded(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = picture(tmp_path / f"a.{kind}")
    monkeypatch.setattr("detzoo.data.images.to_rgb", None)
    check_image(path, (40, 50))
    with pytest.raises(ImageError, match="its annotation says 41 x 50"):
        check_image(path, (41, 50))


@pytest.mark.parametrize("kind", ["jpg", "png", "bmp", "webp", "tif"])
def test_cut_files_do_not_pass(tmp_path: Path, kind: str) -> None:
    path = picture(tmp_path / f"a.{kind}")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImageError, match=f"a.{kind} cannot be decoded, it may be corrupt or truncated"):
        check_image(path, (40, 50))


@pytest.mark.parametrize("kind", ["jpg", "png", "gif"])
def test_what_cameras_write_behind_the_end_is_no_fault(tmp_path: Path, kind: str) -> None:
    path = picture(tmp_path / f"a.{kind}")
    for more in (b"\0" * 100, os.urandom(20_000)):
        path.write_bytes(path.read_bytes() + more)
        check_image(path, (40, 50))


def test_pictures_on_their_side(tmp_path: Path) -> None:
    for kind in ("jpg", "png", "tif", "webp"):
        exif = Image.Exif()
        exif[0x0112] = 6
        path = tmp_path / f"a.{kind}"
        Image.new("RGB", (50, 40)).save(path, exif=exif)
        for size in ((50, 40), (40, 50)):
            try:
                read_image(path, size)
            except ImageError:
                with pytest.raises(ImageError, match="its annotation says"):
                    check_image(path, size)
            else:
                check_image(path, size)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_an_image_error_with_the_name(tmp_path: Path, kind: str) -> None:
    whole = picture(tmp_path / f"whole.{kind}").read_bytes()
    path = tmp_path / f"damaged.{kind}"
    random = np.random.default_rng(1)
    damaged = [whole[: len(whole) * tenth // 10] for tenth in range(10)]
    for _ in range(30):
        content = bytearray(whole)
        for place in random.integers(0, min(len(whole), 400), 3):  # headers hold what can go wrong
            content[place] ^= 1 << int(random.integers(8))
        damaged.append(bytes(content))
    damaged += [whole[: len(whole) // 2] + whole[len(whole) * 3 // 5 :], whole[:64] + bytes(len(whole) - 64)]
    said = []
    for content in damaged:
        path.write_bytes(content)
        for read in (read_image, image_size, check_image):
            try:
                read(path)
            except ImageError as error:
                said.append(str(error))
    assert len(said) > 10
    assert all(str(path) in text for text in said)


def test_a_broken_image_in_a_worker_is_one_clean_sentence(tmp_path: Path) -> None:
    data = broken_set(tmp_path)
    said = []
    for workers in (0, 1):
        loader = make_loader(data, 6, train=True, workers=workers)
        with pytest.raises(ImageError) as caught:
            list(loader)
        said.append(str(caught.value))
        assert caught.value.__class__ is ImageError
    assert said[0] == said[1]
    assert "\n" not in said[0]
    assert "Traceback" not in said[0]


def test_damage_that_only_decoding_shows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Training takes the next image in its place, if broken ones may be left out; without that it is an error."""
    write_coco(tmp_path, [thing(number, number, [1, 1, 9, 9]) for number in (1, 2)])
    path = tmp_path / "images/1.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    data = open_dataset(as_data(tmp_path).replace(skip_broken=True), "train", Input(short=20, long=30), True)
    check_images([data])
    with caplog.at_level(logging.WARNING):
        (batch,) = make_loader(data, 2, train=True, workers=0)
    assert batch.ids == [2, 2]
    assert "1.png" in caplog.text
    assert "the next image is taken in its place" in caplog.text
    strict = open_dataset(data.data.replace(skip_broken=False), "train", Input(short=20, long=30), True)
    with pytest.raises(ImageError, match=r"1\.png cannot be decoded"):
        list(make_loader(strict, 2, train=True, workers=0))


def test_train_and_evaluate_look_first(tmp_path: Path) -> None:
    broken_set(tmp_path)
    with pytest.raises(DataError, match="5 of 6 images cannot be used"):
        detzoo.train("fcos_r18_fpn_shapes", tmp_path, tmp_path / "run", device="cpu", progress=False)
    assert not list(tmp_path.glob("run/*.safetensors"))
    detector = Oracle(("cat",), {})
    with pytest.raises(DataError, match="5 of 6 images cannot be used"):
        evaluate(detector, tmp_path, split="train", progress=False)


def test_a_run_names_the_validation_images_too(tmp_path: Path) -> None:
    annotations = [thing(number, number, [1, 1, 9, 9]) for number in (1, 2)]
    write_coco(tmp_path, annotations)
    write_coco(tmp_path, annotations, file="val.json", images=(1, 2, 3))
    (tmp_path / "images/3.png").write_text("no picture")
    (tmp_path / "images/2.png").write_text("no picture")
    with pytest.raises(DataError, match="2 of 3 images cannot be used"):  # each is named once
        detzoo.train("fcos_r18_fpn_shapes", tmp_path, tmp_path / "run", device="cpu", progress=False)


def without_sizes(root: Path, kind: str) -> Path:
    """Four pictures whose annotations do not say their size: b is text, c is cut behind its header, d is empty."""
    boxes = {name: [("cat" if name != "d" else "dog", (1.0, 1.0, 9.0, 9.0))] for name in "abcd"}
    if kind == "voc":
        write_voc(root, boxes)
        for path in root.glob("Annotations/*.xml"):
            path.write_text(re.sub("<size>.*</size>", "", path.read_text()))
    elif kind == "yolo":
        (root / "labels").mkdir()
        (root / "data.yaml").write_text("train: images\nval: images\nnames: [cat]\n")
        for name in boxes:
            draw(root / f"images/{name}.jpg")
            (root / f"labels/{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    else:
        path = write_coco(root, [thing(number, number, [1, 1, 9, 9]) for number in range(1, 5)], images=range(1, 5))
        content = json.loads(path.read_text())
        content["images"] = [{"id": n, "file_name": f"{name}.jpg"} for n, name in enumerate(boxes, 1)]
        path.write_text(json.dumps(content))
        for number, name in enumerate(boxes, 1):
            (root / f"images/{number}.png").unlink()
            draw(root / f"images/{name}.jpg")
    folder = root / ("JPEGImages" if kind == "voc" else "images")
    (folder / "b.jpg").write_text("no picture")
    (folder / "c.jpg").write_bytes((folder / "c.jpg").read_bytes()[:-100])
    (folder / "d.jpg").write_bytes(b"")
    return folder


@pytest.mark.parametrize("kind", ["coco", "voc", "yolo"])
def test_sizes_that_only_the_files_could_say(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """All broken files are named at once, and one does not make a whole set unreadable where it may be left out."""
    folder = without_sizes(tmp_path, kind)
    data = as_data(tmp_path)
    for settings in (data, data.replace(check_images=False)):
        with pytest.raises(DataError, match="3 of 4 images cannot be used") as caught:
            read_split(settings, "train")
        for name in "bcd":
            assert str(folder / f"{name}.jpg") in str(caught.value)
        assert "data.skip_broken=true" in str(caught.value)
    found = open_dataset(data.replace(skip_broken=True), "train", Input(short=20, long=30), False)
    assert "2 of 4 images are left out, as data.skip_broken says" in caplog.text
    assert "no area" not in caplog.text
    check_images([found])
    assert [Path(found[0].path).name, len(found)] == ["a.jpg", 1]
    assert len(found[0].target["boxes"]) == 1
    if kind == "voc":  # the classes stay those of the whole set
        assert found.classes == ("cat", "dog")
    (folder / "a.jpg").write_bytes(b"")
    (folder / "c.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="every image would be left out"):
        read_split(data.replace(skip_broken=True), "train")
