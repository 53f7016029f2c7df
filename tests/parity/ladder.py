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
from detzoo.types import Detections
from tests.parity import standin
from tests.parity.golden import Golden, thin
from tests.parity.raw import raw_outputs

BOUNDS = {
    "parameters": 0.0,  # names that are missing, left over or of another shape
    "backbone": 1e-4,  # largest difference, as a share of the tensor's largest value
    "neck": 1e-4,
    "raw": 1e-4,
    "detections": 0.01,  # share without a counterpart of its class within 0.05 px + 1e-4 of the box and 1e-4 of score
    "masks": 1e-3,  # share of the pixels of either mask that differ, for detections with a counterpart
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
    model.eval()
    with torch.no_grad():
        features = model.get_submodule("backbone")(images.pixels)
        yield _tensors("backbone", golden, {f"backbone.{i}": level for i, level in enumerate(features)})
        if golden.levels("neck"):
            features = model.get_submodule("neck")(features)
            yield _tensors("neck", golden, {f"neck.{i}": level for i, level in enumerate(features)})
        yield _arrays("raw", golden, raw_outputs(model, images, features, golden))
        found = model.detect(images)
    yield from _detections(golden, found)
    model.train()
    targets = standin.targets(golden.canvas, golden.sizes, len(model.classes), golden.masks)
    losses = {name: value for name, value in model(images, targets).items() if "loss" in name}
    yield _worst("losses", _relative({k: float(v.detach()) for k, v in losses.items()}, golden.losses))
    model.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    yield _worst("gradients", _gradients(model, golden))


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


def _detections(golden: Golden, found: Detections) -> Iterator[Rung]:
    """Greedy pairs by class and overlap. Unmatched detections of either side count."""
    total = agreeing = 0
    bits = {}
    for image, (height, width) in enumerate(golden.sizes):
        one = found[image]
        boxes, scores = golden.arrays[f"pred.{image}.boxes"], golden.arrays[f"pred.{image}.scores"]
        pairs = _pairs(one, boxes, golden.arrays[f"pred.{image}.labels"])
        box_gap = np.abs(one.boxes.numpy()[pairs[:, 1]] - boxes[pairs[:, 0]]) - 1e-4 * np.abs(boxes[pairs[:, 0]])
        close = (box_gap <= 0.05).all(1) & (np.abs(one.scores.numpy()[pairs[:, 1]] - scores[pairs[:, 0]]) <= 1e-4)
        total += max(len(boxes), len(one))
        agreeing += int(close.sum())
        if golden.masks:
            assert one.masks is not None
            masks = one.masks[:, :height, :width].numpy()
            shape = golden.arrays[f"pred.{image}.masks_shape"]
            packed = golden.arrays[f"pred.{image}.masks"]
            wanted = np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape).astype(bool)
            for theirs, ours in pairs[close]:
                if theirs < len(wanted):
                    either = (wanted[theirs] | masks[ours]).sum()
                    bits[f"pred.{image}.masks[{theirs}]"] = float((wanted[theirs] ^ masks[ours]).sum() / max(either, 1))
    yield Rung("detections", 1 - agreeing / max(total, 1), f"{total - agreeing} of {total}")
    if golden.masks:
        yield _worst("masks", bits)


def _pairs(found: Detections, boxes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """``[M, 2]``: each recorded detection, best score first, with the nearest free one of its class."""
    ours = found.boxes.numpy()
    free = np.ones(len(ours), dtype=bool)
    pairs = []
    for index, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        same = np.flatnonzero(free & (found.labels.numpy() == label))
        if len(same):
            nearest = same[_iou(box, ours[same]).argmax()]
            free[nearest] = False
            pairs.append((index, nearest))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    size = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = size.clip(min=0).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return common / np.maximum(areas - common, 1e-9)
