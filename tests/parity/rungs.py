"""The rungs of the ladder: what is compared, and how far it may differ.

Both sides are float32, and what many layers make of a last digit can exceed a bound: over normalization of few values,
over deformable convolution, over a box whose centre a first stage moved by thousands of pixels. So a case that misses a
bound is computed once more in double precision: our own rounding is gone then, and the same bound has to be met. The
recorded numbers still carry theirs, which is not known, but another draw of what float32 does to ours; twice that
is taken as its reach.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

BOUNDS = {
    "parameters": 0.0,  # names that are missing, left over or of another shape
    "backbone": 1e-4,  # largest difference, as a share of the tensor's largest value
    "neck": 1e-4,
    # share of recorded boxes at odds with being an outcome of suppression, where scores tie (see `ties`)
    "proposals": 0.01,
    "raw": 1e-3,  # a second stage samples the features at boxes that are themselves rounded
    # share without a counterpart of its class within 0.05 px + 1e-4 of the box and 1e-4 of the score; or as proposals
    "detections": 0.01,
    "masks": 1e-3,  # share of the pixels of either mask that differ
    # cost of a recorded matching, relative excess over the least, where it is another than ours (see `matching`)
    "matching": 1e-6,
    "losses": 1e-4,  # relative
    # norms of the top-level parts, relative; entries as a share of the largest, but for one in a hundred: a unit whose
    # ReLU stands at zero may fall either way
    "gradients": 1e-3,
}
REACH = 2.0  # of two draws of rounding


@dataclass(frozen=True)
class Rung:
    """One comparison: the largest difference, as `BOUNDS` has it, and where it is.

    ``rounding`` is how far float32 alone may move this number, measured on ours, and ``score_rounding`` how far
    scores that were compared for it; both are 0 where the bound was met without asking.
    """

    name: str
    difference: float
    where: str = ""
    rounding: float = 0.0
    score_rounding: float = 0.0

    @property
    def passed(self) -> bool:
        return self.difference <= max(BOUNDS[self.name], self.rounding)


def worst(rung: str, differences: Mapping[str, float]) -> Rung:
    """The largest of named differences; NaN counts as infinite."""
    finite = {name: math.inf if math.isnan(value) else value for name, value in differences.items()}
    where = max(finite, key=finite.__getitem__)
    return Rung(rung, finite[where], where)


def beyond_rounding(rung: str, differences: Mapping[str, float], rounding: Mapping[str, float]) -> Rung:
    """The named difference that exceeds the bound, or what rounding does to the same number, the most."""

    def excess(name: str) -> float:
        value = differences[name] / max(BOUNDS[rung], rounding.get(name, 0.0))
        return math.inf if math.isnan(value) else value

    where = max(differences, key=excess)
    return Rung(rung, differences[where], where, rounding.get(where, 0.0))


def relative(ours: Mapping[str, float], wanted: Mapping[str, float]) -> dict[str, float]:
    """Relative difference by name; a name that only one side has counts as infinite."""
    differences = dict.fromkeys(ours.keys() ^ wanted.keys(), math.inf)
    for name in ours.keys() & wanted.keys():
        differences[name] = abs(ours[name] - wanted[name]) / max(abs(wanted[name]), 1e-6)
    return differences
