"""Files below a folder, found by the names that lists and annotations give them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from detzoo.data.file_names import alike, below, parts_of, plain, slashes, usable
from detzoo.data.images import SUFFIXES, existing

PICTURES = frozenset(SUFFIXES)
_BESIDE = frozenset((".xml", ".txt", ".json"))
_DEEPEST = 12  # folders that are looked into, or of a name
_OF_2014 = re.compile(r"COCO_(?:train|val|test)201[45]_(?=\d{12}\.)")


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
        self._loose: dict[tuple[str, ...], str] = {}
        self._shared: set[str] = set()
        for name in self.names:
            self._exact[unicodedata.normalize("NFC", name)] = name
            self._loose.setdefault(alike(name), name)
        for name in self.names:
            stem = unicodedata.normalize("NFC", os.path.splitext(name)[0])
            if self._exact.setdefault(stem, name) != name:
                self._shared.add(stem)
            self._loose.setdefault(alike(stem), name)

    def find(self, name: str) -> str | None:
        """The file that ``name`` means, which may have a suffix or none, another Unicode form or case, ``\\`` for
        ``/``, percent signs, or folders of another machine before it. None: there is none."""
        for text in dict.fromkeys((name, unquote(name))):
            parts = parts_of(text)[-_DEEPEST:]
            for start in range(len(parts)):
                found = self.beside("/".join(parts[start:]))
                if found:
                    return found
        return None

    def beside(self, name: str) -> str | None:
        """The file in the folder of that name, with any suffix: for what belongs to another file, ``a/1.jpg`` to
        ``a/1.txt``, where a file of this name in another folder would be a mistake."""
        stem, suffix = os.path.splitext(name)
        known = suffix.lower() in PICTURES or suffix.lower() in _BESIDE
        for form in (name, stem) if known else (name,):
            found = self._exact.get(unicodedata.normalize("NFC", form)) or self._loose.get(alike(form))
            if found:
                return found
        return None

    def is_ambiguous(self, name: str) -> bool:
        """Whether several files, ``a.jpg`` and ``a.png``, have this name without its suffix."""
        return unicodedata.normalize("NFC", name) in self._shared


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


def locate(root: str | Path, folder: str, names: Sequence[str]) -> list[str | None]:
    """The path below ``root`` of each picture, or None where there is none. Every folder is listed once.

    A name that is not there as it is written may differ from the one on disk by backslashes, percent signs, Unicode
    form, capitals (also of the suffix) and blanks around it, and may have leading folders too many: those of another
    machine, or ``folder`` itself. ``COCO_val2014_000000000042.jpg`` is called ``000000000042.jpg`` since 2017. Such a
    name counts where it fits one file only, and no other name claims that file but those that mean the same.

    Args:
        root: folder that the results are relative to.
        folder: below it, what names are relative to; empty for ``root`` itself.
        names: as the annotations have them.
    """
    plain = [below(folder, name) for name in names]
    asked = [usable(name) for name in plain]
    there = existing(root, [name if good else "" for name, good in zip(plain, asked, strict=True)])
    found: list[str | None] = [name if exact else None for name, exact in zip(plain, there, strict=True)]
    if there.all():
        return found
    folders = _Folders(root)
    guessed = [row for row, exact in enumerate(there) if not exact]
    for row in guessed:
        found[row] = folders.search(folder, slashes(names[row]))
    meanings: dict[str | None, set[str]] = {}
    for name, file in zip(names, found, strict=True):
        meanings.setdefault(file, set()).add(_meaning(folder, name))
    for row in guessed:
        if len(meanings[found[row]]) > 1:
            found[row] = None
    return found


def _meaning(folder: str, name: str) -> str:
    """The same for names of one picture that differ in how they are written, but not by other folders."""
    parts = [plain(part) for part in below(folder, slashes(name).removeprefix(f"{folder.rstrip('/')}/")).split("/")]
    return os.path.normpath("/".join(parts))


def of_other_kind(root: str | Path, folder: str, name: str) -> str | None:
    """A file in ``folder`` that is called ``name`` but for the suffix, or None; for a message."""
    try:
        known = os.listdir(os.path.join(root, folder))
    except (OSError, ValueError):
        return None
    stem = plain(os.path.splitext(slashes(name).rpartition("/")[2])[0])
    return next((other for other in known if plain(os.path.splitext(other)[0]) == stem), None)


class _Folders:
    """Listings of folders, and their names by `_key`; each folder is read when first asked for."""

    def __init__(self, root: str | Path) -> None:
        self.root = root
        self.known: dict[str, tuple[set[str], dict[str, str | None]]] = {}

    def search(self, folder: str, name: str) -> str | None:
        """The path of a picture with as many of its leading folders as are there."""
        parts = parts_of(name)
        for first in range(len(parts)):
            for base in dict.fromkeys((folder.rstrip("/"), "")):
                path = self._walk(base, parts[first:])
                if path is not None:
                    return path
        short = _OF_2014.sub("", parts[-1]) if parts else ""
        return self.search(folder, "/".join([*parts[:-1], short])) if short and short != parts[-1] else None

    def _walk(self, path: str, parts: Sequence[str]) -> str | None:
        for part in parts:
            names, by_key = self._listing(path)
            found = part if part in names else by_key.get(plain(part))
            if found is None:
                return None
            path = f"{path}/{found}" if path else found
        return path if (Path(self.root) / path).is_file() else None

    def _listing(self, folder: str) -> tuple[set[str], dict[str, str | None]]:
        if folder not in self.known:
            try:
                names = os.listdir(os.path.join(self.root, folder or "."))
            except (OSError, ValueError):
                names = []
            by_key: dict[str, str | None] = {}
            for name in names:
                key = plain(name)
                by_key[key] = None if key in by_key else name  # several names with one key: none is meant plainly
            self.known[folder] = set(names), by_key
        return self.known[folder]
