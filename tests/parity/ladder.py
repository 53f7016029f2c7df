"""One case, rung by rung, in the order in which a difference would travel through the network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.types import Images
from tests.parity import standin
from tests.parity.detections import close_pairs, detect, mask_differences
from tests.parity.golden import Golden, thin
from tests.parity.raw import raw_outputs
from tests.parity.rungs import BOUNDS, DOUBLE, Rung, relative, worst
from tests.parity.stable import stable_sorting
from tests.parity.training import gradient_differences, step


def climb(model: Detector, golden: Golden) -> Iterator[Rung]:
    """Load the stand-in weights and compare; ends after the parameters when those do not fit."""
    weights = standin.weights(golden.shapes, golden.gain)
    try:
        model.load_published(weights)
    except ValueError as error:
        yield Rung("parameters", math.inf, 0.0, str(error))
        return
    yield Rung("parameters", 0.0, 0.0)
    if golden.double:
        with stable_sorting():
            yield from _compare(model.double(), golden, torch.float64, DOUBLE)
    else:
        yield from _compare(model, golden, torch.float32, BOUNDS)


def _compare(model: Detector, golden: Golden, dtype: torch.dtype, bounds: Mapping[str, float]) -> Iterator[Rung]:
    images = standin.images(golden.canvas, golden.sizes)
    images = dataclasses.replace(images, pixels=images.pixels.to(dtype))
    yield from _evaluation(model, golden, images, bounds)
    model.train()
    targets = standin.targets(golden.canvas, golden.sizes, len(model.classes), golden.masks)
    losses, gradients = step(model, golden, images, targets)
    yield worst("losses", relative(losses, golden.losses), bounds)
    yield worst("gradients", gradient_differences(gradients, golden), bounds)


@torch.no_grad()
def _evaluation(model: Detector, golden: Golden, images: Images, bounds: Mapping[str, float]) -> Iterator[Rung]:
    model.eval()
    features = model.get_submodule("backbone")(images.pixels)
    yield worst("backbone", _of_features("backbone", golden, features), bounds)
    if golden.levels("neck"):
        features = model.get_submodule("neck")(features)
        yield worst("neck", _of_features("neck", golden, features), bounds)
    yield worst("raw", _of_entries(golden, "raw", raw_outputs(model, images, features, golden)), bounds)
    found = detect(model, images, golden)
    pairs, total = close_pairs(golden, found)
    missing = total - sum(len(some) for some in pairs.values())
    yield Rung("detections", missing / max(total, 1), bounds["detections"], f"{missing} of {total}")
    differences = mask_differences(golden, found, pairs) if golden.masks else {}
    if differences:
        yield worst("masks", differences, bounds)


def _of_features(rung: str, golden: Golden, levels: list[Tensor]) -> dict[str, float]:
    """Differences of shapes, of thinned entries and, over all entries, of mean, deviation and largest value."""
    outputs = {f"{rung}.{index}": level for index, level in enumerate(levels)}
    differences = _of_entries(golden, rung, {name: thin(tensor) for name, tensor in outputs.items()})
    for name, tensor in outputs.items():
        stats = golden.stats.get(name)
        if stats is None or list(tensor.shape) != stats["shape"]:
            differences[f"{name} {list(tensor.shape)}, recorded {stats and stats['shape']}"] = math.inf
            continue
        ours = {"mean": tensor.mean(), "std": tensor.std(), "absmax": tensor.abs().max()}
        differences |= {f"{name} {k}": abs(float(v) - stats[k]) / stats["absmax"] for k, v in ours.items()}
    return differences


def _of_entries(golden: Golden, rung: str, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Largest difference of each recorded tensor, as a share of its largest value."""
    differences = {}
    for name in golden.levels(rung):
        wanted = golden.arrays[name]
        if name not in outputs or outputs[name].shape != wanted.shape:
            shape = getattr(outputs.get(name), "shape", None)
            differences[f"{name} {shape}, recorded {wanted.shape}"] = math.inf
        else:
            largest = max(golden.stats[name]["absmax"], 1e-12)
            differences[name] = float(np.abs(outputs[name] - wanted).max()) / largest
    return differences
