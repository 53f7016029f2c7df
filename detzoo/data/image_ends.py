"""Whether an image file is there to its end, seen without decoding it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import IO, Any

_TAIL = 4096  # bytes that some cameras and programs write behind a picture's end


def ends_well(image: Any, file: IO[bytes]) -> bool:
    """Whether the end of a file looks as its format has it; False where it has to be decoded to know.

    Args:
        image: Pillow's image of it, of which the header was read.
        file: the file, open for reading; its position changes.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _TAIL))
    tail = file.read()
    match image.format:
        case "JPEG" | "MPO" | "JPEG2000":
            return b"\xff\xd9" in tail  # these bytes do not occur within the compressed pixels
        case "PNG":
            chunks = list(png_chunks(file))
            return (b"IEND", True) in chunks
        case "GIF":
            return b";" in tail[-1:]
        case "WEBP" | "BMP":
            file.seek(0)
            start = file.read(8)
            stated = (
                struct.unpack("<4xI", start)[0] + 8 if image.format == "WEBP" else struct.unpack("<2xI2x", start)[0]
            )
            return stated <= length
        case "TIFF":
            tags = image.tag_v2
            starts, sizes = (tags.get(273), tags.get(279)) if 273 in tags else (tags.get(324), tags.get(325))
            if not starts or not sizes:
                return False
            return all(start + size <= length for start, size in zip(starts, sizes, strict=False))
        case _:
            return True


def png_chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Name of each chunk of a PNG file and whether the file holds all of it, without reading what is in it."""
    length = file.seek(0, os.SEEK_END)
    place = 8
    while place + 8 <= length:
        file.seek(place)
        size, name = struct.unpack(">I4s", file.read(8))
        place += 12 + size
        yield name, place <= length
