"""Tables of results that are measured a part at a time."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detzoo.atomic import write_atomically


def merge(
    path: Path, rows: Sequence[Mapping[str, Any]], keys: Sequence[str], orders: Mapping[str, Sequence[str]]
) -> None:
    """Write ``rows`` into a CSV file, in place of those that have the same ``keys``; other rows stay.

    Args:
        path: of the file; it need not exist.
        rows: what was measured; their columns may differ.
        keys: columns that tell rows apart.
        orders: of these columns, in which order their values stand; later columns break ties of earlier ones.
    """

    def key(row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[column]) for column in keys)

    def place(row: Mapping[str, Any]) -> tuple[int, ...]:
        return tuple(order.index(row[column]) if row[column] in order else -1 for column, order in orders.items())

    table: list[Mapping[str, Any]] = []
    if path.exists():
        new = {key(row) for row in rows}
        with path.open(newline="") as file:
            table += [row for row in csv.DictReader(file) if key(row) not in new]
    table = sorted([*table, *rows], key=place)
    columns = list(dict.fromkeys(column for row in table for column in row))

    def write(target: Path) -> None:
        with target.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)
