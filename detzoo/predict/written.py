"""Which files of a folder `detzoo predict` has written itself, so that it replaces no others."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

NAME = ".detzoo-predict.jsonl"  # a line for each file: its name, and the digest of its content


class Written:
    """The files of one folder, and of those in it, that runs of the command have written, remembered in the folder."""

    def __init__(self, folder: Path) -> None:
        """Read which they are; lines that cannot be understood say nothing."""
        self.path = folder / NAME
        self._known: dict[str, str] = {}
        self._begun = False
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                name, digest = json.loads(line)
                self._known[str(name)] = str(digest)
            except (ValueError, TypeError, RecursionError):
                continue

    def refuse(self, target: Path, instead: str) -> None:
        """Raise where something is at ``target`` that no run has written, or that was changed since.

        Raises:
            FileExistsError: it is so; the message has ``instead``, what else to do.
        """
        # a link may be dangling, and would be replaced all the same
        if (target.exists() or target.is_symlink()) and self._known.get(self._name(target)) != _digest(target):
            raise FileExistsError(f"{target} exists, was not written by this command and would be replaced: {instead}")

    def _name(self, target: Path) -> str:
        return target.relative_to(self.path.parent).as_posix()

    def add(self, target: Path) -> None:
        """Remember a file that was written just now."""
        name = self._name(target)
        self._known[name] = _digest(target)
        lines = [[name, self._known[name]]] if self._begun else list(self._known.items())
        with open(self.path, "a" if self._begun else "w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in lines)
        self._begun = True


def _digest(path: Path) -> str:
    """Of a regular file's content; of anything else, which is never opened, a text that is no digest."""
    if path.is_symlink() or not path.is_file():
        return "no regular file"
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
