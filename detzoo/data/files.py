"""The files of a kind below a folder, found by the names that lists and annotation files give them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import unquote

from detzoo.data.images import SUFFIXES

PICTURES = frozenset(SUFFIXES)
_BESIDE = frozenset((".xml", ".txt", ".json"))
_DEEPEST = 12


class Files:
    """The files below a folder that have one of some suffixes; anything else beside them does not count.

    Attributes:
        folder: where they are.
        names: their paths below ``folder``, sorted, with ``/``.
    """

    def __init__(self, folder: Path, suffixes: Collection[str] = PICTURES) -> None:
        """Raises FileNotFoundError: there is no such folder."""
        self.folder = folder
        try:
            self.names = sorted(_walk(folder, "", suffixes, set(), 0))
        except OSError:
            raise FileNotFoundError(f"there is no folder {folder}") from None
        self._exact: dict[str, str] = {}
        self._loose: dict[str, str] = {}
        self._shared: set[str] = set()
        for name in self.names:
            key = unicodedata.normalize("NFC", name)
            self._exact[key] = name
            self._loose.setdefault(key.casefold(), name)
        for name in self.names:
            stem = unicodedata.normalize("NFC", os.path.splitext(name)[0])
            if self._exact.setdefault(stem, name) != name:
                self._shared.add(stem)
            self._loose.setdefault(stem.casefold(), name)

    def find(self, name: str) -> str | None:
        """The file that ``name`` means, which may have a suffix or none, another Unicode form or case, ``\\`` for
        ``/``, percent signs, or folders of another machine before it. None: there is none."""
        name = slashes(name)
        for text in dict.fromkeys((name, unquote(name) if "%" in name else name)):
            for tail in tails(text):
                found = self.beside(tail)
                if found:
                    return found
        return None

    def beside(self, name: str) -> str | None:
        """The file in the folder of that name, with any suffix: for what belongs to another file, ``a/1.jpg`` to
        ``a/1.txt``, where a file of this name in another folder would be a mistake."""
        stem, suffix = os.path.splitext(name)
        known = suffix.lower() in PICTURES or suffix.lower() in _BESIDE
        for form in (name, stem) if known else (name,):
            form = unicodedata.normalize("NFC", form)
            found = self._exact.get(form) or self._loose.get(form.casefold())
            if found:
                return found
        return None

    def is_ambiguous(self, name: str) -> bool:
        """Whether several files, ``a.jpg`` and ``a.png``, have this name without its suffix."""
        return unicodedata.normalize("NFC", name) in self._shared


def slashes(name: str) -> str:
    """A path with ``/``, whatever system wrote it."""
    return name.replace("\\", "/").removeprefix("./")


def tails(name: str) -> Iterator[str]:
    """``a/b/c``, then ``b/c``, then ``c``."""
    parts = [part for part in name.split("/") if part]
    for start in range(max(0, len(parts) - _DEEPEST), len(parts)):
        yield "/".join(parts[start:])


def has_suffix(name: str, suffixes: Collection[str]) -> bool:
    """Whether a file is of a kind; hidden files are not, such as those that a Mac leaves in archives."""
    return os.path.splitext(name)[1].lower() in suffixes and not name.startswith(".")


def _walk(
    folder: Path | str, prefix: str, suffixes: Collection[str], seen: set[tuple[int, int]], depth: int
) -> Iterator[str]:
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen or depth > _DEEPEST:
        return  # links may lead in circles
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if has_suffix(entry.name, suffixes) and entry.is_file():
                yield prefix + entry.name
            elif not entry.name.startswith((".", "__MACOSX")) and entry.is_dir():
                yield from _walk(entry.path, f"{prefix}{entry.name}/", suffixes, seen, depth + 1)
