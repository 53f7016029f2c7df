"""Whether every config that MMDetection publishes is read, in results/configs.csv.

    python -m tests.every_config FOLDER [FOLDER ...]

A folder ``configs`` of MMDetection, as a wheel holds it (``pip download mmdet==3.3.0 --no-deps``; 2.28.2 has the same
place). A config is read, read with notes of what training would do otherwise, or refused with the reason; those that
are only bases of others, and have no model, are not counted. Whether what is read is right, ``tests.zoo`` says of each
row of the tables. Nothing is built and nothing in the files is executed.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from detzoo.config import ConfigError
from detzoo.interop.mmdet.configs import read_file
from detzoo.interop.mmdet.importer import read_config
from tests.tables import write_rows

REPORT = Path(__file__).parents[1] / "results" / "configs.csv"
READ, NOTED, REFUSED, FAILED = "read", "read with notes", "refused", "failed"
MOST = 300  # letters of a reason


@dataclass(frozen=True)
class Row:
    """A config file: of which folder (by its first number of version), what became of it, and why."""

    version: str
    config: str
    result: str
    reason: str = ""


def look(path: Path, folder: Path) -> Row | None:
    """What becomes of a config; None: it has no model."""
    name = path.relative_to(folder).as_posix()
    version = "3.x" if "default_scope" in (folder / "_base_" / "default_runtime.py").read_text() else "2.x"
    try:
        if "model" not in read_file(path, folder):
            return None
        imported = read_config(path, configs=folder)
    except ConfigError as error:
        return Row(version, name, REFUSED, _short(error, folder))
    except Exception as error:  # what is neither read nor refused is a fault of ours, and has to be listed
        return Row(version, name, FAILED, _short(error, folder))
    said = "; ".join((*imported.differences, *imported.notes, imported.unnamed)).strip("; ")
    return Row(version, name, NOTED if said else READ, said[:MOST])


def _short(error: Exception, folder: Path) -> str:
    text = re.sub(r"\s+", " ", str(error)).replace(f"{folder}/", "").replace(str(folder), folder.name)
    text = text.partition("; these can")[0]
    return (text if isinstance(error, ConfigError) else f"{type(error).__name__}: {text}")[:MOST]


def rows_of(folder: Path) -> Iterator[Row]:
    """All configs in a folder that have a model."""
    for path in sorted(folder.glob("[!_]*/**/*.py")):
        row = look(path, folder)
        if row is not None:
            yield row


def main(arguments: list[str]) -> int:
    """Read all configs; returns 1 if one is neither read nor refused."""
    if not arguments or not all((Path(one) / "_base_").is_dir() for one in arguments):
        print("usage: python -m tests.every_config FOLDER [FOLDER ...]; folders configs of MMDetection")
        return 2
    rows = [row for one in arguments for row in rows_of(Path(one))]
    print(f"report: {write_rows(REPORT, Row, rows)}")
    for (version, result), count in sorted(Counter((row.version, row.result) for row in rows).items()):
        print(f"{version}  {result}: {count}")
    return 1 if any(row.result == FAILED for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
