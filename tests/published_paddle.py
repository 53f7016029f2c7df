"""The rows of PaddleDetection's published tables, and the models that they are of; both lie in tests/golden.

    python -m tests.published_paddle ROWS FOLDER

makes the two files. ``ROWS`` is a CSV file of which the columns ``id``, ``zoo`` (``paddle-...``; others are left out),
``system`` and ``paddle_config`` are read. ``FOLDER`` holds recordings of models, ``<name>.json`` and
``static/<name>.json``, each with its ``state`` (name -> shape) and of static releases its ``model`` (settings), and in
``_manifest_map.json`` which recording is of which row.
"""

from __future__ import annotations

import csv
import functools
import json
import lzma
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"
ROWS, MODELS = GOLDEN / "paddle_zoo.csv", GOLDEN / "paddle_models.json.xz"


@dataclass(frozen=True)
class PaddleRow:
    """A row of a published table.

    Attributes:
        name: ``pd_`` of dynamic-graph releases or ``pdold_`` of static ones, and the config's name; with two
            underscores and the size of pictures where one model has several rows.
        system: the table's title.
        config: its path, with the release where that is a static one.
        model: the recording of the row's model, or empty: there is none.
    """

    name: str
    system: str
    config: str
    model: str


@functools.cache
def paddle_rows() -> tuple[PaddleRow, ...]:
    """Every row, in the order of the tables."""
    with ROWS.open(newline="") as file:
        return tuple(PaddleRow(**row) for row in csv.DictReader(file))


@functools.cache
def _models() -> dict[str, Any]:
    return json.loads(lzma.decompress(MODELS.read_bytes()))


def parameters_of(row: PaddleRow) -> dict[str, list[int]] | None:
    """The tensors in a row's weights, name -> shape, linear layers with their inputs first; None: not recorded."""
    return _models()[row.model]["state"] if row.model else None


def settings_of(row: PaddleRow) -> dict[str, Any] | None:
    """What a row's config says of the model; None: not recorded."""
    return _models()[row.model]["model"] if row.model else None


def _row(given: dict[str, str], recordings: dict[str, Any], folder: Path) -> PaddleRow:
    config = given["paddle_config"]
    found = recordings["static_fixture" if config.startswith("release/") else "head_fixture"] or ""
    system = f"PaddleDetection{' 0.x' if given['zoo'] == 'paddle-static' else ''}: {given['system']}"
    return PaddleRow(given["id"], system, config, found if (folder / f"{found}.json").is_file() else "")


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python -m tests.published_paddle ROWS FOLDER; see its first lines")
        return 2
    folder = Path(arguments[1])
    listed = json.loads((folder / "_manifest_map.json").read_text())
    of_configs = {one["config"]: {"static_fixture": None, "head_fixture": None} | one for one in listed}
    with Path(arguments[0]).open(newline="") as file:
        given = [row for row in csv.DictReader(file) if row["zoo"].startswith("paddle-")]
    rows = [_row(row, of_configs[row["paddle_config"]], folder) for row in given]
    with ROWS.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(PaddleRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    models = {}
    for name in sorted({row.model for row in rows} - {""}):
        record = json.loads((folder / f"{name}.json").read_text())
        models[name] = {"state": record["state"], "model": record.get("model")}
    text = json.dumps(models, separators=(",", ":"))
    MODELS.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    for path in (ROWS, MODELS):
        print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
