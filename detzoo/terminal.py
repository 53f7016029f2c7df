"""What is safe to send to a terminal: names out of files may hold sequences that it would obey."""

from __future__ import annotations

import unicodedata

_COMMANDS = (
    "Cc",
    "Cs",
    "Zl",
    "Zp",
)  # control characters, halves of surrogate pairs, separators of lines and paragraphs
_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # change the direction of what follows


def printable(text: object) -> str:
    """One line of text whose control characters are shown, such as ``\\x1b``, rather than sent.

    Letters of every script stay as they are, with the marks that join them. Line breaks and tabs are control
    characters too: pass the lines of a longer text one by one.
    """
    return "".join(_shown(letter) if _commands(letter) else letter for letter in str(text))


def _commands(letter: str) -> bool:
    return letter in _TURNS or unicodedata.category(letter) in _COMMANDS


def _shown(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
