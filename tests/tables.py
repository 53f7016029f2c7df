"""Rows of a dataclass as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from detzoo.atomic import write_atomically


def write_rows(path: Path, kind: type[Any], rows: Iterable[Any]) -> Path:
    """Write rows of a ``kind``, or dicts of its fields; a reader never sees half of them. Returns the path."""

    def write(half: Path) -> None:
        with half.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(row if isinstance(row, Mapping) else asdict(row) for row in rows)

    return write_atomically(path, write)
