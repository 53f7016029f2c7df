"""The rungs of the ladder: what is compared, and how far it may differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

BOUNDS = {
    "parameters": 0.0,  # names that are missing, left over or of another shape
    "backbone": 1e-4,  # largest difference, as a share of the tensor's largest value
    "neck": 1e-4,
    "raw": 1e-3,  # a second stage samples the features at boxes that are themselves rounded
    # share without a counterpart of its class within 0.05 px + 1e-4 of the box and 1e-4 of the score
    "detections": 0.01,
    "masks": 1e-3,  # share of the pixels of either mask that differ
    "losses": 1e-4,  # relative
    # norms of the top-level parts, relative; entries as a share of the largest, but for one in a hundred: a unit whose
    # ReLU stands at zero may fall either way
    "gradients": 1e-3,
}
# Between two programs in double precision nothing is left of rounding but that of the float32 numbers both start from:
# weights, images, anchors and objects, and of the recording, which is kept in float32.
DOUBLE = {name: min(bound, 1e-6) for name, bound in BOUNDS.items()} | {"masks": BOUNDS["masks"]}


@dataclass(frozen=True)
class Rung:
    """One comparison: the largest difference, its bound, and where it is."""

    name: str
    difference: float
    bound: float
    where: str = ""

    @property
    def passed(self) -> bool:
        return self.difference <= self.bound


def worst(rung: str, differences: Mapping[str, float], bounds: Mapping[str, float]) -> Rung:
    """The largest of named differences; NaN counts as infinite."""
    finite = {name: math.inf if math.isnan(value) else value for name, value in differences.items()}
    where = max(finite, key=finite.__getitem__)
    return Rung(rung, finite[where], bounds[rung], where)


def relative(ours: Mapping[str, float], wanted: Mapping[str, float]) -> dict[str, float]:
    """Relative difference by name; a name that only one side has counts as infinite."""
    differences = dict.fromkeys(ours.keys() ^ wanted.keys(), math.inf)
    for name in ours.keys() & wanted.keys():
        differences[name] = abs(ours[name] - wanted[name]) / max(abs(wanted[name]), 1e-6)
    return differences
