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
from detzoo.interop.renaming import Table, load_renamed
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
    table = OF_METHOD[type(model)].names
    try:
        load_renamed(model.double(), weights(golden), table)
        OF_METHOD[type(model)].prepare(model)
    except ValueError as error:
        yield Rung("parameters", math.inf, str(error))
        return
    yield Rung("parameters", 0.0)
    images = standin.images(golden.canvas, golden.sizes)
    images = dataclasses.replace(images, pixels=images.pixels.double(), scales=torch.tensor(golden.scales))
    with stable_sorting(compiled=False):
        yield from _evaluation(model.eval(), golden, images)
        yield from _training(model.train(), golden, images, table)


def weights(golden: Golden) -> dict[str, Tensor]:
    """The published state dict, laid out and called as `interop.paddle` gives it to the tables of names."""
    return {_leaf(name): torch.from_numpy(_value(name, shape, golden)) for name, shape in golden.shapes.items()}


def _value(name: str, shape: Sequence[int], golden: Golden) -> np.ndarray:
    shape = list(shape)[::-1] if len(shape) == 2 else shape  # a linear layer's, inputs first
    if name.endswith("._variance"):
        return 0.5 + standin.uniform(name, shape)
    return np.asarray(standin.parameter(name, shape, golden.gain))


def _leaf(name: str) -> str:
    return name.replace("._mean", ".running_mean").replace("._variance", ".running_var")


@torch.no_grad()
def _evaluation(model: Detector, golden: Golden, images: Images) -> Iterator[Rung]:
    features = model.get_submodule("backbone")(images.pixels)
    yield worst("backbone", of_features("backbone", golden, features))
    if golden.levels("neck"):
        features = model.get_submodule("neck")(features)
        yield worst("neck", of_features("neck", golden, features))
    raw = OF_METHOD[type(model)].raw(model, images, features)
    yield worst("raw", of_entries(golden, "raw", {name: golden.thin(tensor) for name, tensor in raw.items()}))
    found = _in_files(model.detect(images), golden)
    pairs, differences = pair(golden, found)
    yield worst("detections", differences)
    if golden.masks:
        yield worst("masks", mask_differences(dataclasses.replace(golden, sizes=golden.originals), found, pairs))


def _in_files(found: Detections, golden: Golden) -> list[Detections]:
    """Each image's detections in pixels of its file."""
    pairs = zip(golden.sizes, golden.originals, strict=True)
    return [in_original_pixels(found[index], size, original) for index, (size, original) in enumerate(pairs)]


def _training(model: Detector, golden: Golden, images: Images, table: Table) -> Iterator[Rung]:
    method = OF_METHOD[type(model)]
    targets = standin.targets(golden.canvas, golden.sizes, len(model.classes), golden.masks)
    with method.learning(model, golden) as differences:
        losses, gradients = step(model, golden, images, targets, table)
    if differences:
        yield worst("targets", differences)
    yield worst("losses", relative(method.losses(losses), golden.losses))
    linear = {name for name, shape in golden.shapes.items() if len(shape) == 2}
    laid_out = {name: value.T if name in linear else value for name, value in gradients.items()}
    yield worst("gradients", gradient_differences(laid_out, golden))
