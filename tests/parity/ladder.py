"""One case, rung by rung, in the order in which a difference would travel through the network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

import detzoo
from detzoo.blocks.distribution_head import Told
from detzoo.detector import Detector
from detzoo.methods.ld import LD
from detzoo.methods.sparse_rcnn import SparseRCNN
from detzoo.types import Images
from tests.parity import standin
from tests.parity.detections import detect, mask_differences, pair
from tests.parity.golden import Golden
from tests.parity.guided import as_recorded
from tests.parity.raw import raw_outputs
from tests.parity.rungs import Rung, relative, worst
from tests.parity.stable import Order, stable_sorting
from tests.parity.training import gradient_differences, step
from tests.published import parameters_of


def climb(model: Detector, golden: Golden) -> Iterator[Rung]:
    """Load the stand-in weights and compare in double precision; ends after parameters that do not fit.

    The images are float64 and the model becomes so, which all that follows from them is, too; anchors and objects stay
    float32, and so does the matching of the two.
    """
    try:
        model.load_published(standin.weights(golden.shapes, golden.gain))
    except ValueError as error:
        yield Rung("parameters", math.inf, str(error))
        return
    if isinstance(model, LD):
        model.learn_from(_teacher(model, golden.gain))
        model.head.register_forward_hook(_rounded)
    yield Rung("parameters", 0.0)
    with stable_sorting() as order, as_recorded(model):
        yield from _compare(model.double(), golden, order)


def _teacher(student: LD, gain: float) -> Detector:
    """The published teacher with stand-in weights, whose names are those of the student's with a word before them."""
    recipe = detzoo.find(student.distillation.teacher)
    shapes = parameters_of(str(recipe.config))
    assert shapes is not None
    teacher = detzoo.build(recipe)
    teacher.load_published(standin.weights(shapes, gain, before="teacher_model."))
    teacher.get_submodule("head").register_forward_hook(_rounded)
    return teacher


def _rounded(head: nn.Module, features: object, told: Told) -> Told:
    """What a head tells as the original does: distances are float32, whatever the network computes in.

    The divergence of two distributions that hardly differ shows that: its last digits cancel.
    """
    return told._replace(distances=[level.float() for level in told.distances])


def _compare(model: Detector, golden: Golden, order: Order) -> Iterator[Rung]:
    images = standin.images(golden.canvas, golden.sizes)
    images = dataclasses.replace(images, pixels=images.pixels.double())
    yield from _evaluation(model, golden, images, order)
    model.train()
    targets = standin.targets(golden.canvas, golden.sizes, len(model.classes), golden.masks)
    losses, gradients = step(model, golden, images, targets)
    yield worst("losses", relative(losses, golden.losses))
    yield worst("gradients", gradient_differences(gradients, golden))


@torch.no_grad()
def _evaluation(model: Detector, golden: Golden, images: Images, order: Order) -> Iterator[Rung]:
    model.eval()
    features = model.get_submodule("backbone")(images.pixels)
    yield worst("backbone", of_features("backbone", golden, features))
    if golden.levels("neck"):
        features = model.get_submodule("neck")(features)
        yield worst("neck", of_features("neck", golden, features))
    if golden.levels("raw"):  # of a cascade of region proposal networks the original shows none
        raw = worst("raw", of_entries(golden, "raw", raw_outputs(model, images, features)))
        if not raw.passed:  # it lists RoIs in their order, of which there are two
            order.by_place = True
            other = worst("raw", of_entries(golden, "raw", raw_outputs(model, images, features)))
            raw, order.by_place = (other, True) if other.passed else (raw, False)
        yield raw
    found = detect(model, images)
    pairs, differences = pair(golden, found, reach_out=isinstance(model, SparseRCNN))
    yield worst("detections", differences)
    masks = mask_differences(golden, found, pairs) if golden.masks else {}
    if masks:
        yield worst("masks", masks)


def of_features(rung: str, golden: Golden, levels: Sequence[Tensor]) -> dict[str, float]:
    """Differences of shapes, of thinned entries and, over all entries, of mean, deviation and largest value."""
    outputs = {f"{rung}.{index}": level for index, level in enumerate(levels)}
    differences = of_entries(golden, rung, {name: golden.thin(tensor) for name, tensor in outputs.items()})
    for name, tensor in outputs.items():
        stats = golden.stats.get(name)
        if stats is None or list(tensor.shape) != stats["shape"]:
            differences[f"{name} {list(tensor.shape)}, recorded {stats and stats['shape']}"] = math.inf
            continue
        ours = {"mean": tensor.mean(), "std": tensor.std(), "absmax": tensor.abs().max()}
        differences |= {f"{name} {k}": abs(float(v) - stats[k]) / stats["absmax"] for k, v in ours.items()}
    return differences


def of_entries(golden: Golden, rung: str, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
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
