"""One case, rung by rung, in the order in which a difference would travel through the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.types import Images
from tests.parity import standin
from tests.parity.detections import (
    close_pairs,
    detect,
    mask_differences,
    take_recorded_proposals,
    tied_detections,
)
from tests.parity.golden import Golden, thin
from tests.parity.matching import take_recorded_matching
from tests.parity.raw import raw_outputs
from tests.parity.rungs import Rung, worst
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


@torch.no_grad()
def _evaluation(model: Detector, golden: Golden, images: Images) -> Iterator[Rung]:
    model.eval()
    features = model.get_submodule("backbone")(images.pixels)
    yield _tensors("backbone", golden, {f"backbone.{i}": level for i, level in enumerate(features)})
    if golden.levels("neck"):
        features = model.get_submodule("neck")(features)
        yield _tensors("neck", golden, {f"neck.{i}": level for i, level in enumerate(features)})
    if "proposals.0" in golden.arrays:
        yield Rung("proposals", take_recorded_proposals(model, golden, images, features))
    yield _arrays("raw", golden, raw_outputs(model, images, features, golden))
    found = detect(model, images, golden)
    pairs, total = close_pairs(golden, found)
    agreeing = sum(len(some) for some in pairs.values())
    rung = Rung("detections", 1 - agreeing / max(total, 1), f"{total - agreeing} of {total}")
    if golden.ties and not rung.passed:
        rung, pairs = Rung("detections", tied_detections(model, golden, images, features, found), "ties"), {}
    yield rung
    if golden.masks:
        yield worst("masks", mask_differences(model, golden, images, features, found, pairs))


def _tensors(rung: str, golden: Golden, outputs: Mapping[str, Tensor]) -> Rung:
    """Compare shapes, thinned entries and, over all entries, mean, deviation and largest value."""
    differences = {}
    for name, tensor in outputs.items():
        stats = golden.stats.get(name)
        if stats is None or list(tensor.shape) != stats["shape"]:
            return Rung(rung, math.inf, f"{name} {list(tensor.shape)}, recorded {stats and stats['shape']}")
        ours = {"mean": tensor.mean(), "std": tensor.std(), "absmax": tensor.abs().max()}
        differences |= {f"{name} {k}": abs(float(v) - stats[k]) / stats["absmax"] for k, v in ours.items()}
    entries = _arrays(rung, golden, {name: thin(tensor) for name, tensor in outputs.items()})
    return worst(rung, {**differences, entries.where: entries.difference})


def _arrays(rung: str, golden: Golden, outputs: Mapping[str, np.ndarray]) -> Rung:
    differences = {}
    for name in golden.levels(rung):
        wanted = golden.arrays[name]
        if name not in outputs or outputs[name].shape != wanted.shape:
            return Rung(rung, math.inf, f"{name} {getattr(outputs.get(name), 'shape', None)}, recorded {wanted.shape}")
        largest = max(golden.stats[name]["absmax"], 1e-12)
        differences[name] = float(np.abs(outputs[name] - wanted).max()) / largest
    return worst(rung, differences)
