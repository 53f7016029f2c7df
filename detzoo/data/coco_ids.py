"""Ids of COCO files, which some programs write as text or as 1.0."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detzoo.data.problems import DataError

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.0+)?")
_PADDED = re.compile(r"\s*[+]?0*([0-9]{1,100})(?:\.0*)?\s*")


def identity(value: Any) -> int | str | None:
    """What an id means: 1, 1.0, "1" and "1.0" mean 1; other text means itself; null, true or a list mean nothing."""
    if isinstance(value, bool) or value == "":
        return None
    if isinstance(value, float):
        return None if not math.isfinite(value) else int(value) if value.is_integer() else str(value)
    if isinstance(value, str):
        return int(value.partition(".")[0]) if _WHOLE.fullmatch(value) else unicodedata.normalize("NFC", value)
    return value if isinstance(value, int) else None


def as_written(value: Any) -> int | str:
    """An id as the file has it, a float without fraction as a whole number; for results that the file's owner reads."""
    return identity(value) or 0 if isinstance(value, float) else value


class Index:
    """Finds the row of an id, however either side writes it.

    Args:
        path: the file, for messages.
        noun: ``image`` or ``category``.
        ids: as the file has them, each with an `identity`.
        names: what each stands for, for messages.

    Raises:
        DataError: two ids mean the same; the message has both with their names.
    """

    def __init__(self, path: Path, noun: str, ids: Sequence[Any], names: Sequence[str]) -> None:
        self.rows: dict[int | str, int] = {}
        for row, value in enumerate(ids):
            key = identity(value)
            assert key is not None  # the caller has left those out
            first = self.rows.setdefault(key, row)
            if first != row:
                raise DataError(f"{path}: {_twice(noun, ids[first], value, names[first], names[row])}")
        self.padded: dict[int | str, int] | None = None

    def find(self, value: int | float | str) -> int | None:
        """The row of an id; None where there is none. ``"0007"`` finds 7, and 7 ``"0007"``, where that is plain."""
        # asked for every object of a large file: a whole number is its own identity
        key = value if type(value) is int else identity(value)
        if key is None:
            return None
        row = self.rows.get(key)
        return self._close(key) if row is None else row

    def _close(self, key: int | str) -> int | None:
        if self.padded is None:
            self.padded = {}
            for known, row in self.rows.items():
                plain = _without_padding(known)
                self.padded[plain] = -1 if plain in self.padded else row
        row = self.padded.get(_without_padding(key), -1)
        return row if row >= 0 else None


def _twice(noun: str, first: Any, second: Any, first_name: str, second_name: str) -> str:
    """What is wrong with two ids that mean the same."""
    what = f"{noun} id {first!r} is"
    if type(first) is not type(second):
        what = f"{noun} ids {first!r} and {second!r} cannot be told apart: they are"
    which = f"both {first_name!r} and {second_name!r}" if first_name != second_name else f"{first_name!r} twice"
    return f"{what} {which}; give each {noun} an id of its own, else objects of one would count as the other's"


def _without_padding(key: int | str) -> int | str:
    if isinstance(key, int):
        return key
    match = _PADDED.fullmatch(key)
    return int(match[1]) if match else key.strip()
