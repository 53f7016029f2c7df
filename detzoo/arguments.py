"""Checks of numbers that a caller passes, so that a wrong one is a sentence and not an empty result."""

from __future__ import annotations

import math
import operator
from typing import Any


def fraction(name: str, value: Any) -> float:
    """``value`` as a float from 0 to 1, ends included.

    Raises:
        ValueError: it is no number, NaN, or outside; the message begins with ``name``.
    """
    number = math.nan
    # a text that looks like a number, or a switch, is a mistake elsewhere in the call
    if not isinstance(value, str | bytes | bool):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            number = math.nan
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, got {value!r}")
    return number


def count(name: str, value: Any, least: int = 1) -> int:
    """``value`` as a whole number that is at least ``least``.

    Raises:
        ValueError: it is no whole number, or too small; the message begins with ``name``.
    """
    number = None
    if not isinstance(value, bool):
        try:
            number = operator.index(value)
        except TypeError:
            number = None
    if number is None or number < least:
        raise ValueError(f"{name} must be a whole number and at least {least}, got {value!r}")
    return number
