"""What kinds of image files and PIL images are read, and that both give the same pixels."""

import ast
import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image, ImageOps

import detzoo
from detzoo.config import ConfigError
from detzoo.data import images
from detzoo.data.images import ImageError, image_size, max_pixels, read_image, upright_rgb

PROGRAMS = ("gs", "gswin32c", "djpeg", "dvips", "inkscape")


def noise(height: int = 6, width: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ramp(kind: str, top: float, high: int = 4) -> Image.Image:
    return Image.fromarray(np.tile(np.linspace(0, top, 256), (high, 1)).astype(kind))


def in_mode(mode: str) -> Image.Image:
    if mode.startswith("I"):
        return ramp({"I;16": "<u2", "I;16B": ">u2", "I": "i4"}[mode], 65535)
    if mode == "F":
        return ramp("f4", 1)
    if mode == "PA":
        return Image.fromarray(noise()).convert("P").convert("PA")
    if mode == "P":
        image = Image.fromarray(noise()).convert("P")
        image.info["transparency"] = bytes(range(256))
        return image
    return Image.fromarray(noise()).convert(mode)


FILES = {
    "png": "1 L LA P RGB RGBA I;16",
    # before 13 Pillow cannot read a TIFF of YCbCr that it wrote
    "tif": f"1 L LA PA RGB RGBA CMYK {'YCbCr ' if int(PIL.__version__.split('.')[0]) >= 13 else ''}LAB I;16 I;16B I F",
    "bmp": "1 L RGB",
    "ppm": "1 L RGB I;16",
    "jp2": "L LA RGB RGBA I;16",
    "tga": "1 L LA RGB RGBA",
    "webp": "RGB RGBA",
    "avif": "RGB RGBA",
    "jpg": "L RGB CMYK",
    "gif": "L",
}


@pytest.mark.parametrize(
    ("mode", "suffix"), [(mode, suffix) for suffix, modes in FILES.items() for mode in modes.split()]
)
def test_a_pil_image_gives_the_pixels_of_its_file(tmp_path: Path, mode: str, suffix: str) -> None:
    image = in_mode(mode)
    path = tmp_path / f"a.{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    image.save(path, **options)
    from_file = read_image(path)
    assert from_file.dtype == np.uint8
    assert from_file.shape == (image.height, image.width, 3)
    with Image.open(path) as reopened:
        assert np.array_equal(upright_rgb(reopened), from_file)
    if suffix not in ("jpg", "avif"):  # which lose some
        assert np.array_equal(upright_rgb(image), from_file)
    assert len(np.unique(from_file)) > 1


@pytest.mark.parametrize("mode", ["HSV", "RGBX", "RGBa", "La"])
def test_modes_that_no_file_has(mode: str) -> None:
    image = Image.fromarray(noise())
    between = {"RGBa": "RGBA", "La": "LA"}.get(mode, "RGB")
    seen = upright_rgb(image.convert(between).convert(mode))
    assert seen.shape == (6, 5, 3)
    if mode in ("RGBX", "RGBa"):
        assert np.array_equal(seen, noise())


@pytest.mark.parametrize("image", [ramp("<u2", 65535), ramp("i4", 65535), ramp("f4", 1), ramp("f4", 255)])
def test_more_than_eight_bits_are_scaled_and_not_clipped(image: Image.Image) -> None:
    seen = upright_rgb(image)
    assert np.array_equal(seen[0, :, 0], np.arange(256))
    assert np.array_equal(seen[..., 0], seen[..., 2])


@pytest.mark.parametrize(
    "image", [ramp("i4", 65536), ramp("i4", -1), ramp("f4", 256), ramp("f4", -0.1), ramp("f4", np.nan)]
)
def test_values_without_a_known_range_are_refused(tmp_path: Path, image: Image.Image) -> None:
    with pytest.raises(ImageError, match="the PIL image cannot be decoded: its grey levels are"):
        upright_rgb(image)
    image.save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif cannot be decoded: its grey levels are .* scale them"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "I;16", "F", "LAB", "CMYK"])
def test_large_images_are_converted_in_strips(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    whole = upright_rgb(in_mode(mode))
    monkeypatch.setattr(images, "_STRIP", whole.shape[1] * 2 - 1)
    assert np.array_equal(upright_rgb(in_mode(mode)), whole)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_every_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise()).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(read_image(path), expected)
    assert image_size(path) == expected.shape[:2]
    with Image.open(path) as image:
        assert np.array_equal(upright_rgb(image), expected)


def test_exif_data_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise()).save(tmp_path / "a.png", exif=exif)
    data = (tmp_path / "a.png").read_bytes()
    start = data.index(b"eXIf") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    (tmp_path / "a.png").write_bytes(data.replace(chunk, b"").replace(b"\0\0\0\0IEND", chunk + b"\0\0\0\0IEND"))
    assert read_image(tmp_path / "a.png").shape == (5, 6, 3)
    assert image_size(tmp_path / "a.png") == (5, 6)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        *[
            (f"a{suffix}", "JPEG")
            for suffix in (".JPG", ".jpe", ".jfif", ".JPEG", ".png", ".tiff", "", ".heic", ".tga")
        ],
        *[("a.jp2", "JPEG2000"), ("a.j2k", "JPEG2000"), ("a.avif", "AVIF"), ("a.TGA", "TGA"), ("a.dib", "DIB")],
        *[("a.pnm", "PPM"), ("a.jpg", "PNG"), ("a.jpg", "WEBP"), ("a.png", "GIF"), ("a.jpg", "BMP"), ("a.mpo", "MPO")],
    ],
)
def test_the_content_counts_and_not_the_suffix(tmp_path: Path, name: str, format: str) -> None:
    Image.fromarray(noise(16, 20)).save(tmp_path / name, format)
    assert read_image(tmp_path / name).shape == (16, 20, 3)
    assert image_size(tmp_path / name) == (16, 20)


def test_no_other_program_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/RAN\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 64\n%%EndComments\nshowpage\n"
    wmf = b"\xd7\xcd\xc6\x9a\0\0" + bytes(4) + b"\x60\0\x40\0\x48\0" + bytes(30)
    ole = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(1024)  # FPX and MIC
    for number, content in enumerate((eps, b"\xc5\xd0\xd3\xc6" + bytes(26) + eps, wmf, ole, b"%PDF-1.4\n", b"<svg/>")):
        for suffix in ("png", "jpg", "eps", "wmf", "tga"):
            path = tmp_path / f"{number}.{suffix}"
            path.write_bytes(content)
            with pytest.raises(ImageError, match=path.name):
                read_image(path)
            with pytest.raises(ImageError, match=path.name):
                image_size(path)
    assert not (tmp_path / "RAN").exists()


def test_pillow_chooses_among_named_formats_everywhere() -> None:
    for path in sorted(Path(detzoo.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open":
                assert "formats" in {keyword.arg for keyword in node.keywords}, f"{path.name}:{node.lineno}"


def test_a_kind_that_is_not_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(80))
    with pytest.raises(ImageError, match=r"a\.heic cannot be decoded: it is none of JPEG, PNG.*; HEIC is not read"):
        read_image(tmp_path / "a.heic")


def test_an_image_above_the_limit_says_how_to_allow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Image.MAX_IMAGE_PIXELS
    for suffix in ("png", "jpg", "webp", "tif", "gif", "bmp"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(noise(30, 40)).save(path)
        monkeypatch.setenv("DETZOO_MAX_PIXELS", "1199")
        for read in (read_image, image_size):
            with pytest.raises(
                ImageError, match=r"40 x 30 pixels are more than the limit of 1199; .* DETZOO_MAX_PIXELS"
            ):
                read(path)
        monkeypatch.setenv("DETZOO_MAX_PIXELS", "1200")
        assert read_image(path).shape == (*image_size(path), 3)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own bound and its warning are not met
        assert read_image(path).shape == (30, 40, 3)
        assert Image.MAX_IMAGE_PIXELS == 100
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", before)


@pytest.mark.parametrize("text", ["many", "0", "-5", "nan", "inf"])
def test_a_limit_that_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DETZOO_MAX_PIXELS", text)
    Image.fromarray(noise()).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="DETZOO_MAX_PIXELS"):
        read_image(tmp_path / "a.png")


def test_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETZOO_MAX_PIXELS", "4e8")
    assert max_pixels() == 400_000_000
    monkeypatch.delenv("DETZOO_MAX_PIXELS")
    assert max_pixels() > 20_000 * 9_500


def test_a_panorama_that_pillow_alone_refuses(tmp_path: Path) -> None:
    Image.new("1", (20_000, 9_500), 1).save(tmp_path / "a.png")  # 24 kB
    assert image_size(tmp_path / "a.png") == (9_500, 20_000)
