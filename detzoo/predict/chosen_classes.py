"""Which classes a caller means, by names or numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from detzoo.suggest import unknown


def chosen_labels(classes: Any, known: Iterable[str] | None) -> list[int]:
    """The labels of some classes, rising and each once.

    Args:
        classes: a name, a number, or several of either; digits as text are a number where no class is called so.
        known: every class name by label; None: there are only numbers.

    Raises:
        ValueError: there is no such class; the message suggests those with a name alike.
    """
    names = None if known is None else list(known)
    several = [classes] if isinstance(classes, str | int) or not isinstance(classes, Iterable) else list(classes)
    return sorted({_label(one, names) for one in several})


def _label(one: Any, names: list[str] | None) -> int:
    if isinstance(one, str):
        if names is not None and one in names:
            return names.index(one)
        if not (one.isascii() and one.isdigit()):
            hint = unknown(one, names or (), "class of this detector")
            raise ValueError(f"classes: {hint}; detector.classes lists all")
        one = int(one)
    try:
        label = int(one)
        fits = label == one and not isinstance(one, bool)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        label, fits = -1, False
    if not fits or label < 0 or (names is not None and label >= len(names)):
        most = "" if names is None else f" to {len(names) - 1}"
        raise ValueError(f"classes: {one!r} is not a class: give names, or numbers from 0{most}")
    return label
