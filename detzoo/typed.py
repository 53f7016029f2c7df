"""Arguments as the user types them, for messages: in Python, or on the command line."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

# a word of `detzoo.tta.pick_tta`
VIEW = re.compile(r"flip|vertical|published|\d+x\d+|\d*\.?\d+")
_on_command_line = ContextVar("on_command_line", default=False)


@contextmanager
def on_command_line() -> Iterator[None]:
    """Inside, messages speak of ``--resume`` and not of ``resume=True``."""
    token = _on_command_line.set(True)
    try:
        yield
    finally:
        _on_command_line.reset(token)


def either(in_python: str, in_shell: str) -> str:
    """The one of two spellings of the same thing that fits."""
    return in_shell if _on_command_line.get() else in_python


def argument(name: str, value: str | Path | bool | float | None = None) -> str:
    """An argument with its value, as it is typed; without a value its name."""
    if _on_command_line.get():
        return f"--{name}" if value is None or value is True else f"--{name} {shlex.quote(str(value))}"
    return name if value is None else f"{name}={value if isinstance(value, bool | float) else repr(str(value))}"


def resume(out: Path) -> str:
    """The whole call that goes on with the run in a folder."""
    if _on_command_line.get():
        return f"detzoo train --resume {shlex.quote(str(out))}"
    return f"train(out={str(out)!r}, resume=True)"


def listed(text: str, known: Sequence[str] = ()) -> list[str]:
    """Names with commas between them; one that has a comma itself stands in double quotes, or is all there is."""
    if text in known:
        return [text]
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True)) or [""]]


def with_value(words: Sequence[str]) -> list[str]:
    """Words of a command line in which ``--tta`` stands before what is none of its values: it is then ``flip``."""
    following = [*words, ""][1:]
    return [
        "--tta=flip" if word == "--tta" and not all(map(VIEW.fullmatch, after.split(","))) else word
        for word, after in zip(words, following, strict=True)
    ]


def misspelt_view(words: Sequence[str]) -> str | None:
    """The word that `with_value` has taken for something else than a value of ``--tta`` behind which it stands."""
    following = [*words, ""][1:]
    return next(
        (after for word, after in zip(words, following, strict=True) if word == "--tta" and _may_be_misspelt(after)),
        None,
    )


def _may_be_misspelt(word: str) -> bool:
    return bool(word) and not word.startswith("-") and "=" not in word and not all(map(VIEW.fullmatch, word.split(",")))


__all__ = ["VIEW", "argument", "either", "listed", "misspelt_view", "on_command_line", "resume", "with_value"]
