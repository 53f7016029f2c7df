"""Which cases have been run on the code and the recordings as they are, kept in build/parity, outside of git."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

from detzoo.atomic import write_atomically
from tests.parity.golden import path_of
from tests.parity.run import Row

ROOT = Path(__file__).parents[2]


class Done:
    """Rows of cases, each under a key of all that it was computed from; a row under another key is none."""

    def __init__(self, folder: Path = ROOT / "build" / "parity") -> None:
        self.folder = folder
        self.code = code()

    def row(self, name: str) -> Row | None:
        """What a case came to, or None."""
        path = self.folder / f"{name}.json"
        kept = json.loads(path.read_text()) if path.is_file() else {}
        return kept["row"] if kept.get("key") == self._key(name) else None

    def passed(self, name: str) -> bool:
        """Whether a case was run and passed."""
        row = self.row(name)
        return row is not None and row["passed"] == "yes"

    def add(self, row: Row) -> None:
        """Keep the row of a case.

        Raises:
            SystemExit: the code is no longer what it was at the start, and so may be what the row came from.
        """
        if code() != self.code:
            raise SystemExit("the code was changed during the run; run again")
        target = self.folder / f"{row['case']}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"key": self._key(row["case"]), "row": row})
        write_atomically(target, lambda path: path.write_text(text))

    def _key(self, name: str) -> str:
        return hashlib.sha256(self.code + path_of(name).read_bytes()).hexdigest()


def code() -> bytes:
    """A digest of the package, of what compares, and of the version of PyTorch."""
    digest = hashlib.sha256(torch.__version__.encode())
    for path in sorted([*(ROOT / "detzoo").rglob("*.py"), *(ROOT / "tests" / "parity").glob("*.py")]):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()
