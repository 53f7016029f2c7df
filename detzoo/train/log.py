"""The run's log: one JSON object per line, complete after a resume and free of what was trained twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detzoo.atomic import write_atomically
from detzoo.evaluate.report import plain


class Log:
    """Appends records to a file; each has an ``event`` and, where it applies, ``epoch`` (1-based) and ``update``."""

    def __init__(
        self, path: Path, done: tuple[int, int] | None = None, history: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Begin ``path`` anew, or keep what belongs to the epochs and updates ``done``.

        ``history`` has the records of all those epochs, as the checkpoint keeps them: the log of a run that was killed
        lacks what was written after the checkpoint.
        """
        self.path = path
        kept: list[Mapping[str, Any]] = []
        seen: set[int] = set()
        for record in read_log(path) if done is not None else ():
            epochs, updates = done or (0, 0)
            if record.get("update", 0) > updates:
                continue
            if record.get("event") == "epoch":
                number = record.get("epoch", 0)
                if not 0 < number <= epochs or number in seen:
                    continue
                seen.add(number)
            kept.append(record)
        kept += [record for record in history if record["epoch"] not in seen]
        text = "".join(json.dumps(plain(record)) + "\n" for record in kept)
        write_atomically(path, lambda temporary: temporary.write_text(text))

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record; numbers that JSON has no word for become null.

        Raises:
            OSError: the disk is full; the message names the file.
        """
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(plain(record)) + "\n")
        except OSError as error:
            raise OSError(error.errno, f"could not write {self.path} ({error.strerror})") from error


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a log, without a last line that was cut short; empty where there is no file."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


__all__ = ["Log", "read_log"]
