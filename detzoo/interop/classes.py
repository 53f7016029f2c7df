"""The names of an imported model's classes, of what was found of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detzoo.config import ConfigError
from detzoo.typed import either

MOST = 1 << 16  # classes
_LARGEST = 1 << 20  # bytes of a file of names


def chosen(
    count: int | None,
    said: Iterable[tuple[str, tuple[str, ...]]],
    likely: Iterable[tuple[str, ...]],
    unread: Sequence[ConfigError] = (),
) -> tuple[tuple[str, ...], str]:
    """The names of ``count`` classes, and why they are made up; nothing where they are not.

    Args:
        count: how many the model tells apart; None: it tells none apart, and the names are only those of the data.
        said: where names stand, and the names; the first count.
        likely: names that count where there are as many as classes.
        unread: what may have said them, but cannot be read.

    Raises:
        ConfigError: ``count`` is none, or there are more or fewer names, or a name is there twice.
    """
    if count is not None and not 1 <= count <= MOST:
        raise ConfigError(f"the model has {count} classes")
    mend = f"pass {either('classes=[...]', '--classes A,B')}, in the order of the labels"
    for where, names in said:
        if count is not None and len(names) != count:
            raise ConfigError(f"the model has {count} classes, but {where} names {len(names)}; {mend}")
        for name, times in Counter(names).items():
            if times > 1:
                raise ConfigError(f"{where} names {name!r} more than once; {mend}")
        return names, ""
    for names in likely:
        if names and count in (None, len(names)) and len(set(names)) == len(names):
            return names, ""
    if unread:
        raise ConfigError(f"{unread[0]}; or {mend}")
    if count is None:
        return ("object",), ""
    made = ("object",) if count == 1 else tuple(f"class {index}" for index in range(count))
    listed = ", ".join(map(repr, made[:2])) + (", ..." if len(made) > 2 else "")
    return made, f"neither the checkpoint nor the config names the {count} classes, so they are {listed}; {mend}"


def by_caller(names: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Names that a caller gave, as `chosen` is told of them; None: none.

    Raises:
        ConfigError: they are no list of texts.
    """
    if names is None:
        return []
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigError(f"classes must be a list of names, not {names!r:.80}")
    listed = tuple(names)
    if not all(isinstance(name, str) for name in listed):
        raise ConfigError("classes must be a list of names, and each a text")
    return [("classes", listed)]


def in_file(path: Path) -> tuple[str, ...]:
    """The lines of a file of names, empty ones left out; nothing where it is none."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return ()
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):  # not readable, a name that is too long, no text in UTF-8
        return ()
    return tuple(line.strip() for line in lines if line.strip())


__all__ = ["MOST", "by_caller", "chosen", "in_file"]
