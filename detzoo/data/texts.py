"""Text files that list something: whatever program saved them, and whatever the machine's language."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from detzoo.data.problems import DataError

MOST_BYTES = 256 << 20  # a list of three million images has about 100 MB
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINE_END = re.compile(r"\r\n|\n|\r")  # not `splitlines`, which also ends lines at characters that names may have


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of a regular file.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is no file (a folder, a device), is larger than ``most``, or cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if not path.is_file():
        raise DataError(f"{path} is not a file")
    try:
        size = path.stat().st_size
        if size > most:
            raise DataError(f"{path} has {size >> 20} MB, more than the {most >> 20} MB that such a file may have")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a file in UTF-8, or in whatever its byte order mark says. Errors as `read_bytes`, and:

    Raises:
        DataError: the file is not text in that encoding.
    """
    data = read_bytes(path, most)
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} is not {encoding.upper()} text, see line {line}; save it as UTF-8") from None


def read_lines(path: Path, most: int = MOST_BYTES) -> list[str]:
    """The lines of a file without the blanks around them; empty ones stay. Errors as `read_text`."""
    return [line.strip() for line in _LINE_END.split(read_text(path, most))]
