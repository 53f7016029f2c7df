import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import detzoo
from detzoo import cli
from detzoo.data.images import ImageError
from detzoo.predict.sources import frames, is_camera, is_video, load, pictures
from tests.oracle import write_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", [(8, 9)] * 3)
    (tmp_path / "images" / "notes.txt").write_text("no picture")
    (tmp_path / "images" / ".hidden.png").write_bytes(b"")
    return tmp_path / "images"


def test_folders_patterns_and_lists(folder: Path):
    files = [folder / f"00{index}.png" for index in range(3)]
    assert pictures(folder) == files
    assert pictures(str(folder / "*")) == files
    assert pictures(str(folder.parent / "**" / "*1.png")) == [files[1]]
    assert pictures([folder, str(files[0])]) == [*files, files[0]]
    assert pictures(folder / "notes.txt") == [folder / "notes.txt"]  # named by hand: reading it will tell


def test_a_file_whose_name_looks_like_a_pattern(folder: Path):
    odd = folder / "a[1].png"
    (folder / "000.png").rename(odd)
    assert pictures(str(odd)) == [odd]


def test_missing_paths_are_explained(folder: Path):
    with pytest.raises(FileNotFoundError, match=r"nothing at .*; did you mean '001\.png'"):
        pictures(folder / "001.jpg")
    with pytest.raises(FileNotFoundError, match="does not exist either"):
        pictures(folder / "deeper" / "001.png")
    with pytest.raises(FileNotFoundError, match=r"no image matches .*\*\.bmp: looked for \.jpg"):
        pictures(str(folder / "*.bmp"))
    with pytest.raises(FileNotFoundError, match=r"no image in folder .*looked for \.jpg .*\*\*"):
        pictures(folder.parent)
    with pytest.raises(FileNotFoundError, match="download it first"):
        pictures("https://example.org/street.jpg")


@pytest.mark.parametrize(
    ("array", "mend"),
    [
        (np.zeros((8, 9), np.uint8), "np.stack"),
        (np.zeros((8, 9, 4), np.uint8), "transparency"),
        (np.zeros((3, 8, 9), np.uint8), "transpose"),
        (np.zeros((8, 9, 3), np.float32), "astype"),
        (np.zeros((0, 9, 3), np.uint8), "uint8 RGB"),
    ],
)
def test_arrays_of_another_kind(array: np.ndarray, mend: str):
    with pytest.raises(ValueError, match=mend):
        pictures(array)


def test_other_things():
    with pytest.raises(ValueError, match="permute"):
        pictures(torch.zeros(3, 8, 9))
    with pytest.raises(ValueError, match="cannot predict on float"):
        pictures(3.0)


def test_videos_stand_alone(folder: Path):
    clip = folder / "clip.MP4"
    clip.write_bytes(b"")
    assert is_video(clip)
    assert not is_video(str(folder / "*.mp4"))
    assert not is_video([clip])
    with pytest.raises(ValueError, match="not in a list"):
        pictures([clip])


def test_pil_images_are_turned_upright_and_made_rgb():
    image = Image.new("L", (9, 8), 100)
    exif = image.getexif()
    exif[0x0112] = 6  # lies on its side
    assert load(image).shape == (9, 8, 3)
    assert load(image).dtype == np.uint8
    assert load(Image.new("P", (9, 8))).shape == (8, 9, 3)


def test_files_that_are_found_are_told_from_those_that_are_named(folder: Path):
    files = [folder / f"00{index}.png" for index in range(3)]
    assert pictures(folder).optional == [True] * 3
    assert pictures(str(folder / "*1*")).optional == [True]
    assert pictures(files).optional == [False] * 3
    assert pictures([files[1], str(folder / "*1*"), np.zeros((8, 9, 3), np.uint8)]).optional == [False, True, False]


@pytest.mark.parametrize("source", ["", [""]])
def test_an_empty_path_is_not_the_current_folder(source: Any, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="cannot predict on an empty path"):
        pictures(source)
    assert len(pictures(".")) == 3


@pytest.mark.parametrize("suffix", ["avif", "jp2", "tga", "jpe", "jfif", "JPG", "dib", "Tiff", "webp", "j2k", "mpo"])
def test_suffixes_of_images(folder: Path, suffix: str):
    path = folder / f"a.{suffix}"
    Image.new("RGB", (20, 16), "red").save(path, "BMP" if suffix == "dib" else None)
    assert path in pictures(folder)
    assert load(path).shape == (16, 20, 3)


def test_pictures_of_other_kinds_are_named(folder: Path):
    for name in ("a.heic", "b.SVG", "c.dng", "d.mp4", "e.txt", ".f.heic"):
        (folder / name).write_bytes(b"something")
    found = pictures([folder])
    assert len(found) == 3
    (said,) = found.remarks
    assert said.startswith(f"{folder}: 4 of 9 files are of kinds that are not read here")
    assert said.endswith("a.heic, b.SVG, c.dng, d.mp4")
    with pytest.raises(FileNotFoundError, match=r"no image matches .*; 1 of 1 files are of kinds .*a\.heic"):
        pictures(str(folder / "*.heic"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have names on Unix")
def test_what_is_no_regular_file_is_never_opened(folder: Path):
    os.mkfifo(folder / "pipe.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "gone.jpg").symlink_to(folder / "nothing.jpg")
    (folder / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(folder)  # the name of a socket may not be long
        listener.bind("socket.jpg")
        os.chdir(here)
    found = pictures(folder)
    assert len(found) == 3
    (said,) = found.remarks
    assert said.endswith("4 of 9 files are no regular files and are left out: gone.jpg, pipe.jpg, socket.jpg, zero.jpg")
    for name in ("pipe.jpg", "zero.jpg", "socket.jpg"):
        with pytest.raises(ImageError, match=f"{name} is no regular file"):
            pictures(folder / name)
        with pytest.raises(ImageError, match=f"{name} is no regular file"):
            load(folder / name)


def test_one_image_twice_in_a_list(folder: Path):
    with Image.open(folder / "000.png") as image:
        twice = pictures([image, image])
        assert np.array_equal(load(twice[0]), load(twice[1]))


def test_numbers_are_cameras(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    assert is_camera(0)
    assert is_camera("1")
    assert is_video("1")
    (folder / "1").touch()
    assert not any(map(is_camera, ("1", True, -1, "-1", 1.0, "1.png", None)))

    class Camera:
        def __init__(self, number: int) -> None:
            self.left = 3 if number == 0 else 0

        def isOpened(self) -> bool:
            return True

        def read(self) -> tuple[bool, np.ndarray | None]:
            self.left -= 1
            return (True, np.full((4, 5, 3), (1, 2, 3), np.uint8)) if self.left >= 0 else (False, None)

        def release(self) -> None:
            self.left = 0

    monkeypatch.setattr("cv2.VideoCapture", Camera)
    assert [frame[0, 0].tolist() for frame in frames("0")] == [[3, 2, 1]] * 3
    with pytest.raises(ValueError, match="camera 7 does not answer"):
        frames(7)


def test_the_command_writes_what_it_can_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    (folder / "001.png").write_bytes(b"")
    weights = detzoo.build("fcos_r18_fpn_shapes").save(tmp_path / "w.safetensors")
    monkeypatch.chdir(tmp_path)
    command = ["predict", str(weights), "images", "--out", "found", "--json", "--device", "cpu"]
    assert cli.main(command) == 0
    found = json.loads((tmp_path / "found/predictions.json").read_text())
    assert [Path(one["path"]).name for one in found] == ["000.png", "002.png"]
    assert "1 of 3 images cannot be read and are left out" in caplog.text
    assert "001.png is empty" in caplog.text
    assert cli.main([*command[:2], "images/001.png"]) != 0
