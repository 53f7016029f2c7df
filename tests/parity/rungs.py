"""The rungs of the ladder: what is compared, and how far it may differ.

Both sides start from the same float32 numbers and compute in double precision, where rounding leaves 1e-12 and less. So
one bound serves all: what is further apart is another computation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

BOUND = 1e-6
RUNGS = (
    "parameters",  # names that are missing, left over or of another shape
    "backbone",  # largest difference, as a share of the tensor's largest value
    "neck",
    "raw",
    "detections",  # of every one: of the box, as a share of the canvas, and of the score
    "masks",  # share of the pixels of either mask that differ
    "targets",  # of boxes to learn from, as a share of the canvas; or of what is learned, of its largest value
    "losses",  # relative
    "gradients",  # of the norms of the top-level parts, relative; of entries, as a share of the largest
)


@dataclass(frozen=True)
class Rung:
    """One comparison: the largest difference, and where it is."""

    name: str
    difference: float
    where: str = ""

    @property
    def passed(self) -> bool:
        return self.difference <= BOUND


def worst(rung: str, differences: Mapping[str, float]) -> Rung:
    """The largest of named differences; NaN counts as infinite."""
    finite = {name: math.inf if math.isnan(value) else value for name, value in differences.items()}
    where = max(finite, key=finite.__getitem__)
    return Rung(rung, finite[where], where)


def relative(ours: Mapping[str, float], wanted: Mapping[str, float]) -> dict[str, float]:
    """Relative difference by name; a name that only one side has counts as infinite."""
    differences = dict.fromkeys(ours.keys() ^ wanted.keys(), math.inf)
    for name in ours.keys() & wanted.keys():
        differences[name] = abs(ours[name] - wanted[name]) / max(abs(wanted[name]), 1e-6)
    return differences
