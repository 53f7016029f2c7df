"""No result takes the place of a file that it was made from, however the two are spelled."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeAlias

from detzoo.user_path import user_path

Identity: TypeAlias = tuple[int, int] | str


class OverwritesSource(ValueError):
    """A result would replace a file that is being read; the message names both and says what else to do."""


class ReadFiles:
    """Files that something reads and that nothing it writes may replace."""

    __slots__ = ("_known", "_paths")

    def __init__(self, paths: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Remember the paths; one that does not exist, and what is no path at all, is passed over."""
        self._paths = [(os.fspath(path), _absolute(path)) for path in paths]
        self._known: dict[Identity, str] | None = None  # looked up when first asked for: there can be many

    def refuse(self, target: str | os.PathLike[str], instead: str) -> None:
        """Raise where writing to ``target`` would replace one of the files.

        A link to such a file, symbolic or hard, counts as the file; so does another case of its name where the file
        system does not tell them apart.

        Args:
            target: a file that is to be written.
            instead: what else to do, for the message.

        Raises:
            OverwritesSource: it would.
        """
        wanted = _identities(_absolute(target))
        if wanted and self._known is None:
            self._known = {identity: path for path, whole in self._paths for identity in _identities(whole)}
        for identity in wanted:
            if self._known and identity in self._known:
                source = self._known[identity]
                same = "" if source == os.fspath(target) else f", which is {source},"
                raise OverwritesSource(f"{target}{same} is read here and would be overwritten: {instead}")


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.join(os.getcwd(), user_path(path))


def _identities(path: str) -> list[Identity]:
    """Numbers of the file, the same for all of its names, and the path without links, by which some systems tell."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return []
    real = os.path.normcase(os.path.realpath(path))
    return [real, (found.st_dev, found.st_ino)] if found.st_ino else [real]
