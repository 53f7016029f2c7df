"""What a case's evaluation gives, in one precision, and how far it is from what was recorded.

Where a first stage moves boxes by thousands of pixels, the last digit of an offset is a hundredth of a pixel. A second
stage sees that, and scores change in the fourth digit: more than their bound, so they have a rounding of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.types import Detections, Images
from tests.parity.choice import Choice, own_choice, propose_chosen, propose_freely, recorded_choice
from tests.parity.detections import Pairs, close_pairs, detect, mask_differences, tied_detections
from tests.parity.golden import Golden, thin
from tests.parity.raw import raw_outputs
from tests.parity.rungs import REACH, Rung, beyond_rounding, worst
from tests.parity.ties import NEAR, TwoStage, scored_boxes

Numbers = dict[str, np.ndarray]  # by the name under which they were recorded; statistics as "<name> <which>"


@dataclass(frozen=True)
class Evaluation:
    """Outputs of a model for the recorded images.

    Attributes:
        images: the input.
        numbers: of each rung of tensors.
        features: what the heads read.
        found: detections.
        choice: of two stages, the anchors that were proposed: where scores tie, the recorded ones.
        violations: share of the recorded ones that are at odds with our candidates, where they are recorded.
        scored: of two stages, boxes and scores before suppression (see `scored_boxes`).
    """

    images: Images
    numbers: dict[str, Numbers]
    features: list[Tensor]
    found: Detections
    choice: Choice | None = None
    violations: float | None = None
    scored: tuple[Tensor, Tensor] | None = None


@torch.no_grad()
def evaluate(model: Detector, golden: Golden, images: Images, choice: Choice | None = None) -> Evaluation:
    """Everything that is compared; ``choice`` is that of an earlier evaluation of the same case."""
    model.eval()
    features = model.get_submodule("backbone")(images.pixels)
    numbers = {"backbone": _with_statistics("backbone", features)}
    if golden.levels("neck"):
        features = model.get_submodule("neck")(features)
        numbers["neck"] = _with_statistics("neck", features)
    if not isinstance(model, TwoStage):
        numbers["raw"] = raw_outputs(model, images, features, golden)
        return Evaluation(images, numbers, list(features), detect(model, images, golden))
    raw, wrong = model.rpn(features), None
    if golden.chosen:
        found, wrong = recorded_choice(model, golden, raw, images)
    else:
        found = own_choice(model, raw, images)
    choice = choice or found
    propose_chosen(model, choice)
    numbers["raw"] = raw_outputs(model, images, features, golden)
    scored = scored_boxes(model, images, list(features), model.rpn.propose(raw, images, training=False))
    detections = detect(model, images, golden)
    if not golden.chosen:
        propose_freely(model)
    return Evaluation(images, numbers, list(features), detections, choice, wrong, scored)


@torch.no_grad()
def compare(model: Detector, golden: Golden, ours: Evaluation, rounded: Evaluation | None = None) -> list[Rung]:
    """The rungs of evaluation; with ``rounded``, what float32 makes of ``ours``, they may differ by its reach."""
    rungs = []
    for name, numbers in ours.numbers.items():
        if name == "raw" and ours.violations is not None:
            rungs.append(Rung("proposals", ours.violations))
        differences = _differences(golden, name, numbers)
        rounding = _rounding(golden, rounded.numbers[name], numbers) if rounded else {}
        rungs.append(beyond_rounding(name, differences, rounding))
    rung, pairs = _detections(model, golden, ours, _score_rounding(ours, rounded) if rounded else 0.0)
    rungs.append(rung)
    if golden.masks:
        differences = mask_differences(model, golden, ours.features, ours.found, pairs)
        rungs += [worst("masks", differences)] if differences else []
    return rungs


def _with_statistics(rung: str, outputs: Sequence[Tensor]) -> Numbers:
    """Thinned entries, the shape and, over all entries, mean, deviation and largest value."""
    numbers = {}
    for name, tensor in ((f"{rung}.{index}", output) for index, output in enumerate(outputs)):
        statistics = {"mean": tensor.mean(), "std": tensor.std(), "absmax": tensor.abs().max()}
        numbers |= {name: thin(tensor), f"{name} shape": np.array(tensor.shape)}
        numbers |= {f"{name} {key}": value.numpy() for key, value in statistics.items()}
    return numbers


def _differences(golden: Golden, rung: str, numbers: Numbers) -> dict[str, float]:
    """From what was recorded; a name that only one side has counts as infinite."""
    differences = dict.fromkeys(golden.levels(rung), math.inf)
    for key, ours in numbers.items():
        name, _, statistic = key.partition(" ")
        wanted = golden.stats.get(name, {}).get(statistic) if statistic else golden.arrays.get(name)
        differences[key] = math.inf if wanted is None else _apart(golden, key, ours, np.array(wanted))
    return differences


def _rounding(golden: Golden, rounded: Numbers, precise: Numbers) -> dict[str, float]:
    """How far float32 may move each number: `REACH` times as far as it moves ours."""
    return {key: REACH * _apart(golden, key, rounded[key], value) for key, value in precise.items()}


def _apart(golden: Golden, key: str, one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, as a share of the recorded tensor's largest value."""
    name, _, statistic = key.partition(" ")
    if one.shape != other.shape or (statistic == "shape" and (one != other).any()):
        return math.inf
    return float(np.abs(one - other).max()) / max(golden.stats[name]["absmax"], 1e-12)


def _score_rounding(precise: Evaluation, rounded: Evaluation) -> float:
    """How far float32 may move a detection's score: `REACH` times as far as it moves any of ours.

    Only pairs of a proposal and a class whose box it leaves in place count, so none that changed places or level.
    """
    if precise.scored is None or rounded.scored is None:
        return 0.0
    (boxes, scores), (rounded_boxes, rounded_scores) = precise.scored, rounded.scored
    same = ((boxes - rounded_boxes).abs() <= 0.05 + 1e-4 * boxes.abs()).all(-1) & (scores > NEAR)
    moved = (scores - rounded_scores).abs()[same]
    return REACH * float(moved.max()) if len(moved) else 0.0


def _detections(model: Detector, golden: Golden, ours: Evaluation, rounding: float) -> tuple[Rung, Pairs]:
    """The rung, and which detections are pairs; none where what may follow from ties is all that was compared."""
    pairs, total = close_pairs(golden, ours.found, rounding)
    agreeing = sum(len(some) for some in pairs.values())
    rung = Rung("detections", 1 - agreeing / max(total, 1), f"{total - agreeing} of {total}", 0.0, rounding)
    if rung.passed or not golden.ties:
        return rung, pairs
    share = tied_detections(model, golden, ours.images, ours.features, ours.found, rounding)
    return Rung("detections", share, "ties", 0.0, rounding), {}
