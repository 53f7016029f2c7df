"""The message for a name that does not exist: "did you mean". Nothing heavy is imported for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_NAME = 100  # characters of a name that is none


def unknown(name: str, known: Iterable[str], what: str) -> str:
    """The message for a name that does not exist, with the nearest ones that do."""
    name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(match) for match in close)}?" if close else ""
    return f"{name!r} is not a {what}{hint}"
