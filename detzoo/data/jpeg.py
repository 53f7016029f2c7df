"""Colour pictures of JPEG files, decoded straight into an array.

Pillow's decoder is the same one, libjpeg-turbo, and its pixels are the same, but they are copied three times on their
way into an array, which takes a third as long as decoding them.
"""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

try:
    import simplejpeg
except ImportError:  # there is none yet for the newest Python: slower, but the same pixels
    simplejpeg = None


def decode_jpeg(image: Any, file: IO[bytes], channels: int) -> NDArray[np.uint8] | None:
    """The pixels of an opened image if it is a JPEG file in colour, and whole.

    Args:
        image: Pillow's image of the file, of which the header was read.
        file: the file, open for reading; its position changes.
        channels: 3, or 4 for pixels that lie four bytes apart; the fourth means nothing.

    Returns:
        uint8 RGB ``(H, W, channels)`` as stored, without the EXIF orientation; or None: Pillow is to decode it, or to
        say what is wrong with it.
    """
    if simplejpeg is None or image.format not in ("JPEG", "MPO") or image.mode != "RGB":
        return None
    file.seek(0)
    pixels = np.empty((image.height, image.width, channels), dtype=np.uint8)
    try:
        found = simplejpeg.decode_jpeg(file.read(), "RGBX" if channels == 4 else "RGB", buffer=pixels)
    except ValueError:
        return None
    return pixels if found.shape == pixels.shape else None
