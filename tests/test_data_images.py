from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from detzoo.data.images import ImageError, existing, image_size, read_image
from detzoo.data.resize import fit_size, resize
from detzoo.detector import Input


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_rgb_comes_back_unchanged(tmp_path: Path) -> None:
    pixels = noise(7, 11)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), pixels)
    assert image_size(tmp_path / "a.png") == (7, 11)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(noise(6, 5)).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path)
    pixels = read_image(path)
    assert pixels.shape == (6, 5, 3)
    assert pixels.dtype == np.uint8
    if mode == "L":
        assert np.array_equal(pixels, np.asarray(image)[..., None].repeat(3, axis=2))


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(noise(6, 5)).convert("P")
    image.save(tmp_path / "a.png", transparency=bytes(range(256)))
    assert np.array_equal(read_image(tmp_path / "a.png"), np.asarray(image.convert("RGB")))


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == [0, 1, 128, 255]


def turned(path: Path, height: int, width: int) -> np.ndarray:
    """A JPEG that says it must be turned a quarter, and its stored pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(height, width)).save(path, exif=exif, quality=95)
    with Image.open(path) as stored:
        return np.array(stored)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    stored = turned(tmp_path / "a.jpg", 8, 16)
    assert np.array_equal(read_image(tmp_path / "a.jpg"), np.rot90(stored, -1))
    assert image_size(tmp_path / "a.jpg") == (16, 8)
    assert read_image(tmp_path / "a.jpg", (16, 8)).shape == (16, 8, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_counts_as_none(tmp_path: Path) -> None:
    Image.fromarray(noise(8, 16)).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01")
    assert read_image(tmp_path / "a.jpg").shape == (8, 16, 3)
    exif = Image.Exif()
    exif[0x0112] = 77
    Image.fromarray(noise(8, 16)).save(tmp_path / "b.jpg", exif=exif)
    assert read_image(tmp_path / "b.jpg").shape == (8, 16, 3)


def test_exif_orientation_is_not_applied_where_the_annotations_ignored_it(tmp_path: Path) -> None:
    stored = turned(tmp_path / "a.jpg", 8, 16)
    assert np.array_equal(read_image(tmp_path / "a.jpg", (8, 16)), stored)


def test_another_size_than_annotated_is_refused(tmp_path: Path) -> None:
    Image.fromarray(noise(8, 16)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png has 8 x 16 .* says 9 x 16"):
        read_image(tmp_path / "a.png", (9, 16))


def test_broken_files_are_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(noise(64, 64)).save(whole)
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:700])
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(ImageError, match=r"empty\.jpg is empty"):
        read_image(tmp_path / "empty.jpg")
    for name in ("cut", "text"):
        with pytest.raises(ImageError, match=rf"{name}\.jpg cannot be decoded"):
            read_image(tmp_path / f"{name}.jpg")
    with pytest.raises(ImageError, match=r"text\.jpg"):
        image_size(tmp_path / "text.jpg")
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(FileNotFoundError):
        image_size(tmp_path / "none.jpg")


def test_existing_looks_into_subfolders(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/1.jpg").touch()
    (tmp_path / "2.jpg").touch()
    names = ["a/b/1.jpg", "2.jpg", "a/2.jpg", "none/1.jpg", str(tmp_path / "2.jpg")]
    assert existing(tmp_path, names).tolist() == [True, True, False, False, True]


@pytest.mark.parametrize(
    ("size", "edges", "expected"),
    [
        ((480, 640), (800, 1333), (800, 1067)),
        ((427, 640), (800, 1333), (800, 1199)),
        ((200, 1000), (800, 1333), (267, 1333)),
        ((1000, 200), (800, 1333), (1333, 267)),
        ((333, 500), (1333, 800), (800, 1201)),  # the order of the two edges does not matter
        ((1, 1000), (10, 20), (1, 20)),
    ],
)
def test_fit_size(size: tuple[int, int], edges: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit_size(*size, *edges) == expected


def test_fixed_size_ignores_the_ratio() -> None:
    assert fit_size(100, 300, 320, 512, keep_ratio=False) == (320, 512)


def test_no_pixels_cannot_be_resized() -> None:
    with pytest.raises(ValueError, match="0 x 5"):
        fit_size(0, 5, 10, 10)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 120), st.integers(1, 120), st.integers(0, 2**31))
def test_resize_equals_opencv_within_one_grey_level(h: int, w: int, new_h: int, new_w: int, seed: int) -> None:
    image = noise(h, w, seed)
    ours, scale = resize(image, (new_h, new_w), keep_ratio=False)
    theirs = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
    assert ours.shape == (3, new_h, new_w)
    assert ours.is_contiguous()
    assert np.abs(ours.permute(1, 2, 0).numpy().astype(int) - theirs).max() <= 1
    assert scale == (new_w / w, new_h / h)


def test_resize_at_the_usual_size_equals_opencv() -> None:
    image = noise(480, 640)
    ours, _ = resize(image, Input())
    theirs = cv2.resize(image, (1067, 800), interpolation=cv2.INTER_LINEAR)
    assert np.abs(ours.permute(1, 2, 0).numpy().astype(int) - theirs).max() <= 1


def test_resize_takes_read_only_and_mirrored_arrays() -> None:
    image = noise(8, 9)
    image.setflags(write=False)
    assert np.array_equal(resize(image, (8, 9))[0].permute(1, 2, 0).numpy(), image)
    assert np.array_equal(resize(image[:, ::-1], (8, 9))[0].permute(1, 2, 0).numpy(), image[:, ::-1])


def test_resize_refuses_other_arrays() -> None:
    with pytest.raises(ValueError, match="float64"):
        resize(np.zeros((4, 4, 3)), (8, 8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="uint8"):
        resize(np.zeros((4, 4), dtype=np.uint8), (8, 8))
