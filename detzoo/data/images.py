"""Image files to arrays."""

from __future__ import annotations

import os
import stat
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detzoo.config import ConfigError
from detzoo.data.image_ends import ends_well, png_chunks
from detzoo.data.jpeg import decode_jpeg

# what a file may hold, whatever its suffix says; none of these decoders starts another program, as that of EPS does
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000", "DIB")
_TGA = (".tga", ".icb", ".vda", ".vst")  # has no signature, so only the suffix tells
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jfif", ".jpe", ".mpo"),
    *(".avif", ".avifs", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".apng", ".pbm", ".pnm", ".dib", *_TGA),
)
LIMIT = "DETZOO_MAX_PIXELS"  # the environment variable
MAX_PIXELS = 250_000_000  # where it is not set; decoding takes about 7 bytes for each

_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 turn the picture on its side
_STRIP = 1 << 24  # pixels that are converted at once, so that a large image is not held three times


class ImageError(ValueError):
    """An image file that cannot be read; the message names it."""


def read_image(path: str | Path, size: tuple[int, int] | None = None, *, spare: bool = False) -> NDArray[np.uint8]:
    """Decode an image file.

    The EXIF orientation is applied, transparency is dropped, 16-bit images are scaled to 8 bits, and of an animation
    the first picture is taken. The file's content counts, not its suffix.

    Args:
        path: the file.
        size: height and width that the annotations state. Where only the picture as stored, before its EXIF
            orientation, has this size, the orientation is not applied.
        spare: the pixels may lie four bytes apart in memory, which is fastest to resize.

    Returns:
        uint8 RGB ``(H, W, 3)``; without ``spare`` contiguous.

    Raises:
        FileNotFoundError: there is no such file.
        ImageError: the file is empty, truncated, no image, above the limit of pixels, or of another size.
        ConfigError: the environment variable ``DETZOO_MAX_PIXELS`` is no number.
    """
    limit = max_pixels()
    with _explained(path), _regular(path) as file:
        image = _opened(file, path, limit)
        pixels = decode_jpeg(image, file, 4 if spare else 3)
        if pixels is None:
            with _pillow_allows(image.width * image.height, limit):
                image.load()
                pixels = to_rgb(image)
        orientation = _orientation(image)
        del image  # before the copies that turning it makes
        as_stored = orientation >= 5 and size is not None and size == pixels.shape[:2] != size[::-1]
        if not as_stored:
            pixels = _upright(pixels, orientation)
    _refuse_other_size(path, (pixels.shape[0], pixels.shape[1]), size)
    return pixels[..., :3]


def read_numbers(path: str | Path) -> NDArray[np.uint8]:
    """Decode a picture of one number per pixel, 8 bits, grey or with a palette, to those numbers: uint8 ``(H, W)``.

    Raises:
        FileNotFoundError: there is no such file.
        ImageError: as of `read_image`; or it has colours or more bits.
    """
    with _explained(path), _regular(path) as file:
        image = _opened(file, path, max_pixels())
        if image.mode not in ("L", "P"):
            raise ImageError(f"is no map of one 8-bit number per pixel: its pixels are {image.mode}")
        with _pillow_allows(image.width * image.height, max_pixels()):
            image.load()
        return np.array(image)


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an image file with its EXIF orientation applied, without decoding its pixels.

    Raises:
        FileNotFoundError: there is no such file.
        ImageError: the file is no image, or above the limit of pixels.
    """
    limit = max_pixels()
    with _explained(path), _regular(path) as file:
        return _sizes(_opened(file, path, limit), file)[0]


def check_image(path: str | Path, size: tuple[int, int] | None = None) -> None:
    """Look at an image file without decoding it: at its header, its size, and whether its end is there.

    Where the end looks wrong the file is decoded to be sure. Damage in its middle is not seen.

    Raises:
        FileNotFoundError, ImageError, ConfigError: as `read_image` of this file and size would.
    """
    limit = max_pixels()
    with _explained(path), _regular(path) as file:
        image = _opened(file, path, limit)
        upright, stored = _sizes(image, file)
        whole = ends_well(image, file)
        del image
    if not whole:
        read_image(path, size)
    elif size != stored:
        _refuse_other_size(path, upright, size)


def _sizes(image: Any, file: IO[bytes]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width upright, and as stored, of an image of which only the header was read."""
    height, width = image.height, image.width
    if image.format == "TIFF":  # Pillow turns it upright by itself, some versions in its header already
        height, width = int(image.tag_v2[257]), int(image.tag_v2[256])
        upright = (width, height) if image.tag_v2.get(_ORIENTATION) in (5, 6, 7, 8) else (height, width)
        return upright, upright
    if image.format == "PNG" and "exif" not in image.info and not _has_exif(file):
        return (height, width), (height, width)  # where asking for EXIF data would decode the pixels to find none
    return (width, height) if _orientation(image) >= 5 else (height, width), (height, width)


def _refuse_other_size(path: str | Path, found: tuple[int, int], stated: tuple[int, int] | None) -> None:
    """Raise ImageError where an annotation states another height and width than the file has."""
    if stated is not None and found != stated:
        raise ImageError(
            f"{path} has {found[0]} x {found[1]} pixels (height x width) but its annotation says "
            f"{stated[0]} x {stated[1]}: its boxes would be misplaced; correct the annotation or leave the image out"
        )


def upright_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a PIL image, uint8 RGB ``(H, W, 3)``, as `read_image` gives them for its file.

    Raises:
        ImageError: it cannot be loaded, or its values have no known range.
    """
    with _explained("the PIL image"):
        image.load()
        return _upright(to_rgb(image), _orientation(image))


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of a PIL image with its EXIF orientation applied, without decoding its pixels where possible."""
    return (image.width, image.height) if _orientation(image) >= 5 else (image.height, image.width)


def max_pixels() -> int:
    """The most pixels that an image may have: ``DETZOO_MAX_PIXELS``, or 250 million.

    Raises:
        ConfigError: the environment variable is no number of at least 1.
    """
    text = os.environ.get(LIMIT, "").strip()
    if not text:
        return MAX_PIXELS
    try:
        value = int(float(text))
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise ConfigError(f"the environment variable {LIMIT} is {text!r}; give a number of pixels, e.g. {MAX_PIXELS}")
    return value


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a loaded PIL image of any mode, uint8 RGB ``(H, W, 3)``, without its EXIF orientation.

    Of floating point values 1 is white, or 255 where any is above 1.

    Raises:
        ImageError: floating point values outside 0 to 255, or integers outside the 16 bits from 0 to 65535.
    """
    white = 65535
    if image.mode == "F":
        highest: Any = image.getextrema()[1]
        white = 1 if highest <= 1 else 255
    rows = max(1, _STRIP // max(1, image.width))
    if rows >= image.height:
        return _strip_to_rgb(image, white)
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels[top:bottom] = _strip_to_rgb(image.crop((0, top, image.width, bottom)), white)
    return pixels


def _strip_to_rgb(image: Image.Image, white: int) -> NDArray[np.uint8]:
    if image.mode in ("L", "1", "F") or image.mode.startswith("I"):
        return np.repeat(_grey(image, white)[..., None], 3, axis=2)
    if image.mode == "P":
        image = image.convert("RGBA")  # a palette may hold transparency in a form that RGB does not take
    elif image.mode in ("La", "RGBa"):  # multiplied by their transparency
        image = image.convert(image.mode.upper())
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _grey(image: Image.Image, white: int) -> NDArray[np.uint8]:
    """Grey levels ``(H, W)``; more than 8 bits, which Pillow would clip, are scaled: ``white`` becomes 255."""
    values = np.asarray(image)
    if image.mode == "L":
        return values
    if image.mode == "1":
        return values.astype(np.uint8) * np.uint8(255)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= white):  # not a number, too
        raise ImageError(
            f"cannot be decoded: its grey levels are {low} to {high}, outside 0 to {white}; scale them to 8 or 16 bits"
        )
    if image.mode == "F":
        return (values * np.float32(255 / white) + np.float32(0.5)).astype(np.uint8)
    return ((values.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Apply an EXIF orientation."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels.copy()  # one row or column mirrored counts as contiguous, but torch takes nothing that runs backwards


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; broken EXIF data counts as none."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # as for pixels, anything may be raised, but here nothing is lost
        return 1
    return value if value in range(1, 9) else 1


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    """Turn whatever a broken file makes Pillow raise into an ImageError with the file's name."""
    try:
        yield
    except FileNotFoundError:
        raise
    except ImageError as error:
        raise ImageError(f"{path} {error}") from None
    except MemoryError as error:
        raise ImageError(f"{path} cannot be decoded, there is not enough memory for it") from error
    except OSError as error:
        if error.errno is not None:
            raise ImageError(f"{path} cannot be read: {error.strerror}") from error
        raise ImageError(f"{path} cannot be decoded, it may be corrupt or truncated: {error}") from error
    except Exception as error:  # Pillow's plugins raise SyntaxError, struct.error, ZeroDivisionError, ...
        raise ImageError(f"{path} cannot be decoded, it may be corrupt or truncated: {error}") from error


@contextmanager
def _regular(path: str | Path) -> Iterator[IO[bytes]]:
    """The opened file; pipes and devices, which may never answer or never end, are refused."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise ImageError("is no regular file")
    if not found.st_size:
        raise ImageError("is empty (0 bytes)")
    with open(path, "rb") as file:
        yield file


def _opened(file: IO[bytes], path: str | Path, limit: int) -> Any:
    """Pillow's image of a file, its header read.

    Pillow's own ``Image.open`` would warn of attacks at 89 million pixels and refuse 179 million; the limit is ours.
    """
    Image.init()
    suffix = Path(path).suffix.lower()
    prefix = file.read(16)
    reasons = []
    for name in (*FORMATS, "TGA") if suffix in _TGA else FORMATS:
        if name not in Image.OPEN:  # AVIF comes with Pillow 11.3
            continue
        factory, accept = Image.OPEN[name]
        accepted = accept is None or accept(prefix)
        if isinstance(accepted, str):
            reasons.append(accepted)
        elif accepted:
            try:
                image = _header(factory, file, limit)
            except (
                SyntaxError,
                IndexError,
                TypeError,
                struct.error,
            ) as error:  # as Image.open, which then tries others
                reasons.append(f"no {name}: {error}")
            else:
                if image.width * image.height > limit:
                    raise _too_large(f"{image.width} x {image.height} pixels are", limit)
                return image
    kind = f"; {suffix[1:].upper()} is not read" if suffix and suffix not in SUFFIXES else ""
    known = ", ".join(FORMATS)
    raise ImageError(f"cannot be decoded: it is none of {known}{kind}{''.join(f'; {reason}' for reason in reasons)}")


def _header(factory: Any, file: IO[bytes], limit: int) -> Any:
    """Read a header with one of Pillow's plugins."""
    file.seek(0)
    try:
        return factory(file, "")  # without its name, or else it would be mapped into memory and could change there
    except Image.DecompressionBombError:  # WebP's plugin asks before it has a size
        file.seek(0)
    try:
        with _pillow_allows(limit, limit):
            return factory(file, "")
    except Image.DecompressionBombError:
        raise _too_large("its pixels are", limit) from None


def _too_large(what: str, limit: int) -> ImageError:
    return ImageError(
        f"cannot be decoded: {what} more than the limit of {limit}; set the environment variable {LIMIT} to allow more"
    )


_large = threading.Lock()  # one image above Pillow's limit at a time


def _after_fork() -> None:
    global _large
    _large = threading.Lock()  # the thread that held it is not in this process


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def _pillow_allows(pixels: int, limit: int) -> Iterator[None]:
    """Let Pillow's decoders work on an image of that many pixels, which is within our limit.

    Its bound is a global of the process: it is raised only as far as ours, and for large images alone.
    """
    if Image.MAX_IMAGE_PIXELS is None or pixels <= Image.MAX_IMAGE_PIXELS:
        yield
        return
    with _large:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max(before or 0, limit)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _has_exif(file: IO[bytes]) -> bool:
    """Whether a PNG file carries EXIF data, which may stand behind its pixels."""
    place = file.tell()
    names = [name for name, _ in png_chunks(file)]
    file.seek(place)  # where Pillow's plugin left it
    return b"eXIf" in names


def existing(root: str | Path, files: Iterable[str]) -> NDArray[np.bool_]:
    """Whether each file is below ``root``; lists every folder once, where asking for each file takes far longer."""
    folders: dict[str, set[str]] = {}
    found = []
    for file in files:
        folder, _, name = file.rpartition("/")
        if folder not in folders:
            try:
                folders[folder] = set(os.listdir(os.path.join(root, folder or ("/" if file.startswith("/") else "."))))
            except OSError:
                folders[folder] = set()
        found.append(name in folders[folder])
    return np.array(found, dtype=bool)
