"""One case, rung by rung, in the order in which a difference would travel through the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
from tests.parity.matching import take_recorded_matching
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
    # cost of a recorded matching, relative excess over the least, where it is another than ours (see `matching`)
    "matching": 1e-6,
    "losses": 1e-4,  # relative
    # norms of the top-level parts, relative; entries as a share of the largest, but for one in a hundred: a unit whose
    # ReLU stands at zero may fall either way
    "gradients": 1e-3,
}


@dataclass(frozen=True)
class Rung:
    """One comparison: the largest difference, as `BOUNDS` has it, and where it is."""

    name: str
    difference: float
    where: str = ""

    @property
    def passed(self) -> bool:
        return self.difference <= BOUNDS[self.name]


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
    losses = {name: value for name, value in model(images, targets).items() if "loss" in name}
    yield _worst("losses", _relative({k: float(v.detach()) for k, v in losses.items()}, golden.losses))
    model.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    yield _worst("gradients", _gradients(model, golden))


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


def _worst(rung: str, differences: Mapping[str, float]) -> Rung:
    """The largest of named differences; NaN counts as infinite."""
    finite = {name: math.inf if math.isnan(value) else value for name, value in differences.items()}
    where = max(finite, key=finite.__getitem__)
    return Rung(rung, finite[where], where)


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


def _gradients(model: Detector, golden: Golden) -> dict[str, float]:
    """Differences of the norms of top-level parts, grouped as published, and of the recorded gradients' entries."""
    parameters = dict(model.named_parameters())
    squares: dict[str, float] = {}
    differences: dict[str, float] = {}
    for published in golden.shapes:
        parameter = parameters.get(rename(published, model.published_names))
        if parameter is None or parameter.grad is None:
            continue
        part = published.partition(".")[0]
        squares[part] = squares.get(part, 0.0) + float(parameter.grad.double().square().sum())
        recorded = golden.arrays.get(f"grad.{published}")
        if recorded is not None:
            largest = max(golden.stats[f"grad.{published}"]["absmax"], 1e-12)
            differences[f"grad.{published}"] = np.quantile(np.abs(thin(parameter.grad) - recorded), 0.99) / largest
    for name in set(golden.levels("grad")) - set(differences):
        differences[name] = math.inf
    return differences | _relative({name: square**0.5 for name, square in squares.items()}, golden.grad_norms)
