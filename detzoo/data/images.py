"""Image files to arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 turn the picture on its side


class ImageError(ValueError):
    """An image file that cannot be read; the message names it."""


def read_image(path: str | Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decode an image file.

    The EXIF orientation is applied, transparency is dropped, 16-bit images are scaled to 8 bits, and of an animation
    the first picture is taken.

    Args:
        path: the file.
        size: height and width that the annotations state. Where only the picture as stored, before its EXIF
            orientation, has this size, the orientation is not applied.

    Returns:
        uint8 RGB ``(H, W, 3)``.

    Raises:
        FileNotFoundError: there is no such file.
        ImageError: the file is empty, truncated, no image, or has another size than ``size``.
    """
    try:
        if not os.path.getsize(path):
            raise ImageError(f"{path} is empty (0 bytes)")
        with Image.open(path) as image:
            image.load()
            orientation = _orientation(image)
            as_stored = orientation >= 5 and size is not None and size == (image.height, image.width) != size[::-1]
            pixels = _to_rgb(ImageOps.exif_transpose(image) if orientation > 1 and not as_stored else image)
    except (FileNotFoundError, ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, struct.error, ... on broken files
        raise ImageError(f"{path} cannot be decoded, it may be corrupt or truncated: {error}") from error
    if size is not None and pixels.shape[:2] != size:
        raise ImageError(
            f"{path} has {pixels.shape[0]} x {pixels.shape[1]} pixels (height x width) but its annotation says "
            f"{size[0]} x {size[1]}: its boxes would be misplaced; correct the annotation or leave the image out"
        )
    return pixels


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; broken EXIF data counts as none."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # as for pixels, anything may be raised, but here nothing is lost
        return 1
    return value if value in range(1, 9) else 1


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip rather than scale
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        return np.repeat(((grey * 255 + 32767) // 65535).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers without a known range")
    if image.mode == "P":
        image = image.convert("RGBA")  # a palette may hold transparency in a form that RGB does not take
    return np.array(image.convert("RGB"))


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an image file with its EXIF orientation applied, without decoding its pixels.

    Raises:
        FileNotFoundError: there is no such file.
        ImageError: the file is no image.
    """
    try:
        with Image.open(path) as image:
            return (image.width, image.height) if _orientation(image) >= 5 else (image.height, image.width)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ImageError(f"{path} cannot be decoded, it may be corrupt or truncated: {error}") from error


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
