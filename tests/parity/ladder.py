"""One case, rung by rung, in the order in which a difference would travel through the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.interop.renaming import rename
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
from tests.parity.raw import raw_outputs

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
    "losses": 1e-4,  # relative
    # norms of the top-level parts, relative; entries as a share of the largest, but for one in a hundred: a unit whose
    # ReLU stands at zero may fall either way
    "gradients": 1e-3,
}
# The training rungs are climbed again in double precision where single precision misses a bound: batch normalization
# over a handful of values turns differences in the last digit into large ones. What was recorded in single precision
# may then be this many times as far from the exact numbers as we are in single precision, never by more than `MOST`.
ROUNDING = 2
MOST = 0.1


@dataclass(frozen=True)
class Rung:
    """One comparison: the largest difference, as `BOUNDS` has it, and where it is.

    ``rounding`` is the same difference between single and double precision of ours, where that was looked at.
    """

    name: str
    difference: float
    where: str = ""
    rounding: float = 0.0

    @property
    def allowed(self) -> float:
        """What the difference may be."""
        return max(BOUNDS[self.name], min(ROUNDING * self.rounding, MOST))

    @property
    def passed(self) -> bool:
        return self.difference <= self.allowed


class Step(NamedTuple):
    """What a training step gives: losses, gradient norms of top-level parts, single gradients, thinned; by name."""

    losses: Mapping[str, float]
    norms: Mapping[str, float]
    entries: Mapping[str, np.ndarray]


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
    yield from _training(model, golden, images)


def _training(model: Detector, golden: Golden, images: Images) -> Iterator[Rung]:
    recorded = Step(golden.losses, golden.grad_norms, {name: golden.arrays[name] for name in golden.levels("grad")})
    single = _step(model, golden, images)
    found, rounding = _differences(single, recorded, golden), {}
    worst = [_worst(rung, differences) for rung, differences in found.items()]
    if not all(rung.passed for rung in worst) and all(math.isfinite(rung.difference) for rung in worst):
        double = _step(model.double(), golden, Images(images.pixels.double(), images.sizes))
        found, rounding = _differences(double, recorded, golden), _differences(single, double, golden)
    for rung, differences in found.items():
        yield _worst(rung, differences, rounding.get(rung, {}))


def _step(model: Detector, golden: Golden, images: Images) -> Step:
    """A training step on the recorded objects; gradient norms of top-level parts, grouped as published."""
    model.train()
    targets = standin.targets(golden.canvas, golden.sizes, len(model.classes), golden.masks)
    losses = {name: value for name, value in model(images, targets).items() if "loss" in name}
    model.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    parameters = dict(model.named_parameters())
    squares: dict[str, float] = {}
    entries: dict[str, np.ndarray] = {}
    for published in golden.shapes:
        parameter = parameters.get(rename(published, model.published_names))
        if parameter is None or parameter.grad is None:
            continue
        part = published.partition(".")[0]
        squares[part] = squares.get(part, 0.0) + float(parameter.grad.double().square().sum())
        if f"grad.{published}" in golden.arrays:
            entries[f"grad.{published}"] = thin(parameter.grad)
    norms = {part: square**0.5 for part, square in squares.items()}
    return Step({name: float(value.detach()) for name, value in losses.items()}, norms, entries)


def _differences(ours: Step, wanted: Step, golden: Golden) -> dict[str, dict[str, float]]:
    """By rung and name."""
    gradients = _relative(ours.norms, wanted.norms)
    for name in wanted.entries:
        if name in ours.entries:
            largest = max(golden.stats[name]["absmax"], 1e-12)
            gap = np.abs(ours.entries[name] - wanted.entries[name])
            gradients[name] = float(np.quantile(gap, 0.99)) / largest
        else:
            gradients[name] = math.inf
    return {"losses": _relative(ours.losses, wanted.losses), "gradients": gradients}


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
        yield _worst("masks", mask_differences(model, golden, images, features, found, pairs))


def _worst(rung: str, differences: Mapping[str, float], rounding: Mapping[str, float] | None = None) -> Rung:
    """The most excessive of named differences; NaN counts as infinite. ``rounding`` as in `Rung`, by name."""
    rungs = [
        Rung(rung, math.inf if math.isnan(value) else value, name, (rounding or {}).get(name, 0.0))
        for name, value in differences.items()
    ]
    return max(rungs, key=lambda one: one.difference / max(one.allowed, 1e-300))


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
    return _worst(rung, {**differences, entries.where: entries.difference})


def _arrays(rung: str, golden: Golden, outputs: Mapping[str, np.ndarray]) -> Rung:
    differences = {}
    for name in golden.levels(rung):
        wanted = golden.arrays[name]
        if name not in outputs or outputs[name].shape != wanted.shape:
            return Rung(rung, math.inf, f"{name} {getattr(outputs.get(name), 'shape', None)}, recorded {wanted.shape}")
        largest = max(golden.stats[name]["absmax"], 1e-12)
        differences[name] = float(np.abs(outputs[name] - wanted).max()) / largest
    return _worst(rung, differences)


def _relative(ours: Mapping[str, float], wanted: Mapping[str, float]) -> dict[str, float]:
    """Relative difference by name; a name that only one side has counts as infinite."""
    differences = dict.fromkeys(ours.keys() ^ wanted.keys(), math.inf)
    for name in ours.keys() & wanted.keys():
        differences[name] = abs(ours[name] - wanted[name]) / max(abs(wanted[name]), 1e-6)
    return differences
