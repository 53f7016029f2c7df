"""The epochs of a run as a table that any program reads: ``results.csv``, written anew after every epoch."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detzoo.atomic import write_atomically


def write_results(records: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write one row per epoch: ``epoch``, ``update``, ``lr``, ``train/...``, ``val_loss/...``, ``val/...``.

    Args:
        records: from `detzoo.train.log.read_log`.
        path: the file to write.
    """
    rows: list[dict[str, Any]] = []
    rate = None
    for record in records:
        if record.get("event") == "train":
            rate = record["lr"]
        elif record.get("event") == "epoch":
            row = {"epoch": record["epoch"], "update": record["update"], "lr": rate}
            for group, name in (("train", "losses"), ("val_loss", "val_losses"), ("val", "metrics")):
                row |= {f"{group}/{key}": value for key, value in record.get(name, {}).items()}
            rows.append(row)
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["epoch", "update", "lr"]

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)

    return write_atomically(path, write)


__all__ = ["write_results"]
