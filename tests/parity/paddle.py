"""The ladder of PaddleDetection's cases, of both its releases.

Its results are in pixels of the picture file, its linear layers are stored transposed, and its names are its own: the
tables of `detzoo.interop.paddle` are proved by them. A model of the dynamic-graph release is compared to its gradients;
one of the static-graph releases, recorded in test mode and image by image, to its detections.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.evaluate.inference import in_original_pixels
from detzoo.interop.paddle.weights import names, renamed
from detzoo.types import Detections, Images
from tests.parity import standin
from tests.parity.detections import mask_differences, pair
from tests.parity.golden import Golden
from tests.parity.ladder import of_entries, of_features
from tests.parity.paddle_methods import OF_METHOD
from tests.parity.rungs import Rung, relative, worst
from tests.parity.stable import stable_sorting
from tests.parity.training import gradient_differences, step


def climb_paddle(model: Detector, golden: Golden) -> Iterator[Rung]:
    """Load the stand-in weights and compare in double precision; ends after parameters that do not fit."""
    try:
        model.double().load_state_dict(renamed(model, weights(golden)))
    except ValueError as error:
        yield Rung("parameters", math.inf, str(error))
        return
    yield Rung("parameters", 0.0)
    OF_METHOD[type(model)].prepare(model)
    images = standin.images(golden.canvas, golden.sizes)
    images = dataclasses.replace(images, pixels=images.pixels.double(), scales=torch.tensor(golden.scales))
    if golden.roles is not None:
        with stable_sorting(compiled=False, digits=OF_METHOD[type(model)].digits):
            yield from _in_test_mode(model.eval(), golden, images)
        return
    with stable_sorting(compiled=False):
        yield from _evaluation(model.eval(), golden, images)
        yield from _training(model.train(), golden, images)


def weights(golden: Golden) -> dict[str, Tensor]:
    """The published state dict, as a file of PaddleDetection's has it."""
    return {name: torch.from_numpy(_value(name, shape, golden)) for name, shape in golden.shapes.items()}


def _value(name: str, shape: Sequence[int], golden: Golden) -> np.ndarray:
    role = (golden.roles or {}).get(name, name.rpartition(".")[2])
    if role in ("_variance", "variance"):
        return 0.5 + standin.uniform(name, shape)
    if role in ("_mean", "mean", "norm_bias"):
        return 0.1 * standin.spread(name, shape)
    if role == "norm_weight":
        return 0.5 + standin.uniform(name, shape)
    if len(shape) == 2:  # a linear layer's, inputs first
        return np.asarray(standin.parameter(name, shape[::-1], golden.gain)).T
    return np.asarray(standin.parameter(name, shape, golden.gain))


@torch.no_grad()
def _in_test_mode(model: Detector, golden: Golden, images: Images) -> Iterator[Rung]:
    """Features and detections, image by image; tensors are recorded under ``<rung>.<name>@<image>``."""
    features = model.get_submodule("backbone")(images.pixels)
    shown = OF_METHOD[type(model)].shown("backbone", model, features)
    yield worst("backbone", _by_image("backbone", golden, shown))
    if golden.levels("neck"):
        features = model.get_submodule("neck")(features)
        yield worst("neck", _by_image("neck", golden, features))
    found = _in_files(model.detect(images), golden, OF_METHOD[type(model)].reach_out)
    yield worst("detections", pair(OF_METHOD[type(model)].recorded(golden), found)[1])


def _by_image(rung: str, golden: Golden, levels: Sequence[Tensor]) -> dict[str, float]:
    """Differences of recorded maps from those of ours of the same shape."""
    ours = {}
    for name in golden.levels(rung):
        image = int(name.rpartition("@")[2])
        level = next((one for one in levels if list(one.shape[1:]) == golden.stats[name]["shape"][1:]), None)
        if level is not None:
            ours[name] = golden.thin(level[image])
    return of_entries(golden, rung, ours)


@torch.no_grad()
def _evaluation(model: Detector, golden: Golden, images: Images) -> Iterator[Rung]:
    features = model.get_submodule("backbone")(images.pixels)
    shown = OF_METHOD[type(model)].shown
    yield worst("backbone", of_features("backbone", golden, shown("backbone", model, features)))
    if golden.levels("neck"):
        features = model.get_submodule("neck")(features)
        yield worst("neck", of_features("neck", golden, shown("neck", model, features)))
    raw = OF_METHOD[type(model)].raw(model, images, features)
    yield worst("raw", of_entries(golden, "raw", {name: golden.thin(tensor) for name, tensor in raw.items()}))
    found = _in_files(model.detect(images), golden, OF_METHOD[type(model)].reach_out)
    pairs, differences = pair(golden, found)
    yield worst("detections", differences)
    if golden.masks:
        yield worst("masks", mask_differences(dataclasses.replace(golden, sizes=golden.originals), found, pairs))


def _in_files(found: Detections, golden: Golden, reach_out: bool) -> list[Detections]:
    """Each image's detections in pixels of its file, which they may ``reach_out`` of."""
    results = []
    for index, (size, original) in enumerate(zip(golden.sizes, golden.originals, strict=True)):
        result = in_original_pixels(found[index], size, original)
        if reach_out:
            scale = golden.scales[index][::-1] if golden.scales else (1.0, 1.0)
            result = dataclasses.replace(result, boxes=found[index].boxes / torch.tensor(scale).repeat(2))
        results.append(result)
    return results


def _training(model: Detector, golden: Golden, images: Images) -> Iterator[Rung]:
    method = OF_METHOD[type(model)]
    table = names(model, static=False)
    targets = method.targets(standin.targets(golden.canvas, golden.sizes, len(model.classes), golden.masks))
    with method.learning(model, golden) as differences:
        losses, gradients = step(model, golden, images, targets, table)
    if differences:
        yield worst("targets", differences)
    yield worst("losses", relative(method.losses(losses), golden.losses))
    linear = {name for name, shape in golden.shapes.items() if len(shape) == 2}
    laid_out = {name: value.flatten(1).T if name in linear else value for name, value in gradients.items()}
    yield worst("gradients", gradient_differences(laid_out, golden))
