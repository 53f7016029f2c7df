"""JSON files as programs really write them: with a byte order mark, in UTF-16, with NaN for null."""

from __future__ import annotations

import codecs
import json
import mmap
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from detzoo.data.problems import DataError

_NOT_A_NUMBER = re.compile(rb"(?<=[\[,:\s])-?(?:NaN|Infinity)(?=[\s,\]}])")
_HALF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")


def contents(path: Path, what: str = "JSON file") -> Any:
    """A file's JSON as UTF-8 without a byte order mark, in something that can be decoded as bytes can.

    The file is mapped rather than read, and unmapped when nothing refers to it any more; UTF-16 and UTF-32, which have
    to be converted, are read.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is empty, no file, or not the text that its first bytes promise; ``what`` it should be is said.
    """
    try:
        with open(path, "rb") as file:
            if not path.stat().st_size:
                raise DataError(f"{path} is empty (0 bytes); it should be a {what}")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no annotation file {path}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read: {error}") from None
    encoding = json.detect_encoding(data[:4])
    if encoding == "utf-8":
        return data
    if encoding == "utf-8-sig":
        return memoryview(data)[3:]
    try:
        return data[:].decode(encoding).removeprefix("\ufeff").encode()
    except UnicodeError as error:
        raise DataError(f"{path} starts as {encoding} text but is not: {error}; save it as UTF-8") from None


def decode(path: Path, data: Any, kind: Any, what: str = "JSON file") -> Any:
    """Decode what `contents` gave, taking the ``NaN`` and ``Infinity`` that some programs write for null.

    Raises:
        DataError: it is not JSON, or not of ``kind``; the message names the place.
    """
    try:
        return _decode(data, kind)
    except msgspec.ValidationError as error:
        raise DataError(f"{path} is not a {what}: {error}") from None
    except UnicodeDecodeError:
        raise not_unicode(path, data) from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise DataError(f"{path} is not a {what}, it is not valid JSON: {error}") from None


def _decode(data: Any, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if _HALF_A_PAIR.search(data):  # such a letter is no Unicode, but Python writes it
            value = json.loads(bytes(data), parse_constant=lambda _: None)
            return msgspec.json.decode(json.dumps(value, ensure_ascii=False).encode(errors="replace"), type=kind)
        mended, count = _NOT_A_NUMBER.subn(b"null", data)
        if not count:
            raise
        return msgspec.json.decode(mended, type=kind)


def refuse_key_twice(path: Path, data: Any, keys: Sequence[str]) -> None:
    """Refuse what `contents` gave where the outermost object has one of some keys twice: the last alone would count.

    Raises:
        DataError: it has; the message names the key.
    """
    text: Any = data.obj if isinstance(data, memoryview) else data
    for key in keys:
        places = list(islice(_keys(text, f'"{key}"'.encode()), _LOOKED_AT))
        if len(places) > 1 and sum(_is_outermost(bytes(text[:place])) for place in places) > 1:
            raise DataError(f"{path} has `{key}` twice: one of them would not count; join them into one list")


_LOOKED_AT = 8  # keys of one name: more are not of the outermost object


def _keys(text: Any, quoted: bytes) -> Iterator[int]:
    """Where a name stands as a key of some object."""
    place = text.find(quoted)
    while place >= 0:
        if bytes(text[place + len(quoted) : place + len(quoted) + 16]).lstrip()[:1] == b":":
            yield place
        place = text.find(quoted, place + len(quoted))


class _Anything(msgspec.Struct):
    pass


def _is_outermost(before: bytes) -> bool:
    """Whether the next key is one of the outermost object: what stands before it is whole but for the last bracket."""
    try:
        msgspec.json.decode(before.removeprefix(codecs.BOM_UTF8).rstrip().removesuffix(b",") + b"}", type=_Anything)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def not_unicode(path: Path, data: Any) -> DataError:
    """The error for a file with bytes that are not UTF-8, such as one in Latin-1 or a Windows code page."""
    try:
        bytes(data).decode()
    except UnicodeDecodeError as error:
        near = error.object[max(0, error.start - 20) : error.start].decode(errors="replace")
        return DataError(
            f"{path} is not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}, after {near!r}; "
            "it may be in Latin-1 or a Windows code page: save it as UTF-8"
        )
    return DataError(f"{path} is not UTF-8; save it as UTF-8")


def lenient(text: Any) -> Any:
    """One JSON value as Python's own reader takes it: any number, half of a surrogate pair.

    Raises:
        ValueError: it is not JSON, or nested too deeply; the message says which.
    """
    try:
        return json.loads(bytes(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def number(value: Any) -> float | None:
    """A finite number, also one in quotes, or None; true and false are no numbers."""
    if isinstance(value, str):
        value = float(value) if _DECIMAL.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_LARGEST < value < _LARGEST else None


def numbers_in(text: str) -> list[float] | None:
    """The numbers of a text such as ``[2, 2, 5, 5]``, ``2,2,5,5`` or ``2 2 5 5``; None: it is not several numbers."""
    if "," not in text and " " not in text:
        return None
    values = [number(word) for word in text.strip().strip("[]()").replace(",", " ").split()]
    found = [value for value in values if value is not None]
    return found if len(found) == len(values) > 1 else None


_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_LARGEST = 1.7e308
