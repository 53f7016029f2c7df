"""The rows of MMDetection's published tables, and the parameters of their models; both lie in tests/golden.

    python -m tests.published ROWS PARAMETERS

makes the two files. ``ROWS`` is a CSV file of which the columns ``id``, ``zoo`` (rows other than ``mmdet`` are left
out), ``system``, ``config_url``, ``mmdet3_config`` and ``notes`` are read; ``PARAMETERS`` a gzipped JSON object of
published configs, each with ``state``, an object of the model's state dict (name -> shape), or with ``same_as``, the
config whose model has the same.
"""

from __future__ import annotations

import csv
import functools
import gzip
import json
import lzma
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

GOLDEN = Path(__file__).parent / "golden"
ROWS, PARAMETERS = GOLDEN / "zoo.csv", GOLDEN / "parameters.json.xz"


@dataclass(frozen=True)
class Published:
    """A row of a published table.

    Attributes:
        name: of the config that the table links, with two underscores and what tells rows apart where several have it.
        system: the table's title.
        config: path below the folder ``configs`` of MMDetection 3, or empty: it has none.
        config_2x: stem of the config that the table links, where that is not the name's beginning.
        same_as: the row of which this one is a repetition, as baseline of another table, or empty.
        detector: or else a model of image classification.
    """

    name: str
    system: str
    config: str
    config_2x: str
    same_as: str
    detector: bool


@functools.cache
def published_rows() -> tuple[Published, ...]:
    """Every row, in the order of the tables."""
    with ROWS.open(newline="") as file:
        found: list[dict[str, Any]] = list(csv.DictReader(file))
    return tuple(Published(**(row | {"detector": row["detector"] == "yes"})) for row in found)


def parameters_of(config: str) -> dict[str, list[int]] | None:
    """The state dict of a published config's model, name -> shape; None: it is not listed."""
    found = _parameters().get(config)
    return _parameters()[found] if isinstance(found, str) else found


@functools.cache
def _parameters() -> dict[str, Any]:
    return json.loads(lzma.decompress(PARAMETERS.read_bytes()))


def _row(given: Mapping[str, str]) -> Published:
    name, _, suffix = given["id"].partition("__")
    notes = [part.strip() for part in given["notes"].split(";")]
    linked = PurePosixPath(unquote(given["config_url"])).stem
    repeated = [name] if suffix and "baseline" in given["notes"] else []
    repeated = [note.removeprefix("dup_of=") for note in notes if note.startswith("dup_of=")] or repeated
    return Published(
        name=given["id"],
        system=given["system"],
        config=given["mmdet3_config"],
        config_2x="" if linked == name else linked,
        same_as="".join(repeated[:1]),
        detector="not a detector" not in given["notes"],
    )


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python -m tests.published ROWS PARAMETERS; see its first lines")
        return 2
    with Path(arguments[0]).open(newline="") as file:
        rows = [_row(row) for row in csv.DictReader(file) if row["zoo"] == "mmdet"]
    with ROWS.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Published)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) | {"detector": "yes" if row.detector else "no"} for row in rows)
    with gzip.open(arguments[1]) as file:
        given = json.load(file)
    lists = {config: value.get("same_as") or value["state"] for config, value in given.items()}
    text = json.dumps(lists, separators=(",", ":"))
    PARAMETERS.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    for path in (ROWS, PARAMETERS):
        print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
