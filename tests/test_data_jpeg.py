"""JPEG files decoded straight into an array are what Pillow makes of them, and so is what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from detzoo.data import jpeg
from detzoo.data.images import ImageError, read_image
from detzoo.data.resize import flip_picture, pixels_of


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 5 % 256, x * 3 % 256, (x + y) * 2 % 256], axis=2).astype(np.uint8)


def outcome(path: Path, spare: bool) -> tuple[str, Any]:
    try:
        return "read", read_image(path, spare=spare).tobytes()
    except ImageError as error:
        return "refused", str(error)


KINDS: dict[str, dict[str, Any]] = {
    "usual": {},
    "full colour": {"subsampling": 0},
    "progressive": {"progressive": True, "optimize": True},
    "restarts": {"restart_marker_rows": 1},
    "kept RGB": {"keep_rgb": True},
    "poor": {"quality": 5},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (7, 33), (64, 48)])
def test_the_same_as_pillow(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth(*size)).save(path, **{"quality": 90, **KINDS[kind]})
    with Image.open(path) as image:
        expected = np.array(image)
    plain, spare = read_image(path), read_image(path, spare=True)
    assert plain.flags.c_contiguous
    assert np.array_equal(plain, expected)
    assert np.array_equal(spare, expected)
    assert spare.strides == (4 * size[1], 4, 1)


@pytest.mark.parametrize("size", [(12, 20), (1, 5), (5, 1), (1, 1)])
def test_turned_pictures(tmp_path: Path, size: tuple[int, int]) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.jpg"
        Image.fromarray(smooth(*size)).save(path, exif=exif)
        with Image.open(path) as image:
            expected = np.array(ImageOps.exif_transpose(image))
        for spare in (False, True):
            found = read_image(path, spare=spare)
            assert np.array_equal(found, expected)
            assert np.array_equal(pixels_of(flip_picture(found)), expected[:, ::-1])  # torch takes it


def test_other_colours_are_left_to_pillow(tmp_path: Path) -> None:
    for mode in ("L", "CMYK"):
        path = tmp_path / f"{mode}.jpg"
        Image.fromarray(smooth(12, 20)).convert(mode).save(path)
        with Image.open(path) as image:
            assert np.array_equal(read_image(path, spare=True), np.array(image.convert("RGB")))


def test_damaged_files_come_out_as_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(smooth(40, 56)).save(whole, quality=80)
    data = whole.read_bytes()
    draw = np.random.default_rng(0)
    paths = []
    for number in range(120):
        broken = bytearray(data)
        if number % 3 == 0:
            broken = broken[: int(draw.integers(20, len(data)))]
        else:
            for place in draw.integers(2 if number % 3 == 1 else len(data) // 2, len(data), 3).tolist():
                broken[place] = int(draw.integers(256))
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(broken)
    assert jpeg.simplejpeg is not None
    found = [outcome(path, spare) for path in paths for spare in (False, True)]
    monkeypatch.setattr(jpeg, "simplejpeg", None)
    assert found == [outcome(path, spare) for path in paths for spare in (False, True)]
    assert {kind for kind, _ in found} == {"read", "refused"}
