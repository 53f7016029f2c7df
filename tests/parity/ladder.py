"""One case, rung by rung, in the order in which a difference would travel through the network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from detzoo.detector import Detector
from detzoo.types import Images
from tests.parity import standin
from tests.parity.evaluation import compare, evaluate
from tests.parity.golden import Golden
from tests.parity.matching import take_recorded_matching
from tests.parity.rungs import Rung
from tests.parity.training import climb_training


def climb(model: Detector, golden: Golden) -> Iterator[Rung]:
    """Load the stand-in weights and compare; ends after the parameters when those do not fit."""
    weights = standin.weights(golden.shapes, golden.gain)
    try:
        model.load_published(weights)
    except ValueError as error:
        yield Rung("parameters", math.inf, str(error))
        return
    yield Rung("parameters", 0.0)
    images = standin.images(golden.canvas, golden.sizes)
    yield from _evaluation(model, golden, images)
    model.train()
    targets = standin.targets(golden.canvas, golden.sizes, len(model.classes), golden.masks)
    if "matching" in golden.arrays:
        yield Rung("matching", take_recorded_matching(model, golden, images, targets))
    yield from climb_training(model, golden, images, targets)


def _evaluation(model: Detector, golden: Golden, images: Images) -> list[Rung]:
    """In double precision where float32 misses a bound; the model is float32 afterwards."""
    ours = evaluate(model, golden, images)
    rungs = compare(model, golden, ours)
    if all(rung.passed for rung in rungs):
        return rungs
    precise = evaluate(model.double(), golden, dataclasses.replace(images, pixels=images.pixels.double()))
    if precise.choice is not None:  # of anchors, which are found by their boxes
        ours = evaluate(model.float(), golden, images, precise.choice)
    rungs = compare(model.double(), golden, precise, ours)
    model.float()
    return rungs
