"""Finds the pictures that annotations name, whatever a tool has done to the names."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from detzoo.data.files import slashes
from detzoo.data.images import existing

_OF_2014 = re.compile(r"COCO_(?:train|val|test)201[45]_(?=\d{12}\.)")
_DRIVE = re.compile(r"[A-Za-z]:")


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
    parts = [_key(part) for part in below(folder, slashes(name).removeprefix(f"{folder.rstrip('/')}/")).split("/")]
    return os.path.normpath("/".join(parts))


def of_other_kind(root: str | Path, folder: str, name: str) -> str | None:
    """A file in ``folder`` that is called ``name`` but for the suffix, or None; for a message."""
    try:
        known = os.listdir(os.path.join(root, folder))
    except (OSError, ValueError):
        return None
    stem = _key(os.path.splitext(slashes(name).rpartition("/")[2])[0])
    return next((other for other in known if _key(os.path.splitext(other)[0]) == stem), None)


def below(folder: str, name: str) -> str:
    """``name`` in ``folder``; an absolute path stays as it is."""
    name = slashes(name)
    return f"{folder.rstrip('/')}/{name}" if folder and not name.startswith("/") else name


def usable(name: str) -> bool:
    """Whether the system can be asked for it as it is: no zero byte, no letter that its encoding lacks."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def parts_of(name: str) -> list[str]:
    """The folders of a name and the file's own, without what only says where they begin."""
    return [part for part in slashes(name).split("/") if part not in ("", ".", "..") and not _DRIVE.fullmatch(part)]


def alike(name: str) -> tuple[str, ...]:
    """The parts of a name, the same for all that differ only in how a tool has written them."""
    return tuple(map(_key, parts_of(name)))


def _key(part: str) -> str:
    """What names that mean the same have in common."""
    with contextlib.suppress(UnicodeError):
        part = os.fsencode(part).decode()  # where the system's encoding is not UTF-8, names on disk arrive escaped
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", unquote(part).strip()).casefold())


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
            found = part if part in names else by_key.get(_key(part))
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
                key = _key(name)
                by_key[key] = None if key in by_key else name  # several names with one key: none is meant plainly
            self.known[folder] = set(names), by_key
        return self.known[folder]
