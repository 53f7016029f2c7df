"""The check of settings that choose which of a network's stages, blocks or pairs return their output."""

from __future__ import annotations

from collections.abc import Sequence


def check_chosen(name: str, chosen: Sequence[int], last: int) -> None:
    """Check numbers from 1 to ``last``; ``name`` is what the setting is called.

    Raises:
        ValueError: there are none, they do not rise, or one is not there.
    """
    if not chosen or list(chosen) != sorted(set(chosen)):
        raise ValueError(f"{name} must rise, got {chosen}")
    if chosen[0] < 1 or chosen[-1] > last:
        raise ValueError(f"{name} must lie in 1 to {last}, got {chosen}")
