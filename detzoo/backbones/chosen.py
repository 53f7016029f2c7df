"""Stages, blocks or pairs of which some return their output: checks of such settings, and the way through them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn


def check_chosen(name: str, chosen: Sequence[int], last: int) -> None:
    """Check numbers from 1 to ``last``; ``name`` is what the setting is called.

    Raises:
        ValueError: there are none, they do not rise, or one is not there.
    """
    if not chosen or list(chosen) != sorted(set(chosen)):
        raise ValueError(f"{name} must rise, got {chosen}")
    if chosen[0] < 1 or chosen[-1] > last:
        raise ValueError(f"{name} must lie in 1 to {last}, got {chosen}")


def check_frozen(frozen: int, count: int, what: str = "stages") -> None:
    """Check the setting ``frozen_<what>`` of a network that has ``count`` of them.

    Raises:
        ValueError: there are fewer.
    """
    if frozen > count:
        raise ValueError(f"frozen_{what} is {frozen}, but there are {count} {what}")


def chosen_features(x: Tensor, parts: Iterable[nn.Module], chosen: Sequence[int]) -> list[Tensor]:
    """Send ``x [N, C, H, W]`` through one part after the other.

    Returns:
        Outputs of those that are ``chosen``, numbers from 1 on.
    """
    features = []
    for number, part in enumerate(parts, 1):
        x = part(x)
        if number in chosen:
            features.append(x)
    return features
