"""What is wrong with a data set: errors that name the mend, and counted warnings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

log = logging.getLogger("detzoo.data")
NAMED = 5  # how many of those found a warning names


class DataError(ValueError):
    """A data set that cannot be used; the message names the file, what is wrong and the mend."""


def report(source: object, what: str, found: Sequence[Any], total: int, noun: str) -> None:
    """Warn once about all ``found`` of ``total``: ``FILE: 3 of 812 boxes have no area and are left out: 4, 17, 90``."""
    if len(found):
        first = ", ".join(str(item) for item in found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        log.warning("%s: %d of %d %s %s: %s%s", source, len(found), total, noun, what, first, more)
