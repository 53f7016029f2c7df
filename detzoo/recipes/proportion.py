"""A schedule made longer or shorter keeps its shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from detzoo.recipes.settings import Schedule


def in_proportion(schedule: Schedule, typed: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that follow from ``schedule.epochs`` where only that is set: the places at which the rate falls move.

    Args:
        schedule: as it was.
        typed: settings that replace some of it, by their path.

    Returns:
        New ``schedule.milestones`` or ``schedule.decay_start``, by path, unless ``typed`` has them.
    """
    epochs = typed.get("schedule.epochs")
    if not isinstance(epochs, int) or epochs < 1 or epochs == schedule.epochs:
        return {}
    ratio, moved = epochs / schedule.epochs, {}
    if typed.get("schedule.decay", schedule.decay) == "step":
        places = sorted({max(math.floor(milestone * ratio + 0.5), 1) for milestone in schedule.milestones})
        moved["schedule.milestones"] = places
    if schedule.decay_start is not None:
        moved["schedule.decay_start"] = schedule.decay_start * ratio
    return {path: value for path, value in moved.items() if path not in typed}


__all__ = ["in_proportion"]
