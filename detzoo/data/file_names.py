"""What names of files mean, whatever a tool has done to them."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from urllib.parse import unquote

_DRIVE = re.compile(r"[A-Za-z]:")


def slashes(name: str) -> str:
    """A path with ``/``, whatever system wrote it."""
    return name.replace("\\", "/").removeprefix("./")


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
    return tuple(map(plain, parts_of(name)))


def plain(part: str) -> str:
    """What a folder's or file's names that mean the same have in common."""
    if part.isascii() and "%" not in part:
        return part.strip().lower()
    with contextlib.suppress(UnicodeError):
        part = os.fsencode(part).decode()  # where the system's encoding is not UTF-8, names on disk arrive escaped
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", unquote(part).strip()).casefold())
