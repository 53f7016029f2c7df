"""Losses and gradients of a case, in double precision where float32 misses a bound (see `rungs`)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.interop.renaming import rename
from detzoo.types import Images, Targets
from tests.parity.golden import Golden, thin
from tests.parity.rungs import REACH, Rung, beyond_rounding, relative, worst


def climb_training(model: Detector, golden: Golden, images: Images, targets: Targets) -> Iterator[Rung]:
    """Compare losses and gradients; may leave the model in double precision."""
    losses, gradients = _step(model, golden, images, targets)
    rungs = [worst("losses", relative(losses, golden.losses)), worst("gradients", _differences(gradients, golden))]
    if all(rung.passed for rung in rungs):
        yield from rungs
        return
    model.double()
    images = dataclasses.replace(images, pixels=images.pixels.double())
    losses, precise = _step(model, golden, images, targets)
    yield worst("losses", relative(losses, golden.losses))
    yield beyond_rounding("gradients", _differences(precise, golden), _rounding(gradients, precise, golden))


def _step(
    model: Detector, golden: Golden, images: Images, targets: Targets
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Losses by name, and gradients in double precision by published name of the parameter."""
    losses = {name: value for name, value in model(images, targets).items() if "loss" in name}
    model.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    parameters = dict(model.named_parameters())
    ours = {published: parameters.get(rename(published, model.published_names)) for published in golden.shapes}
    gradients = {name: p.grad.double() for name, p in ours.items() if p is not None and p.grad is not None}
    return {name: float(value.detach()) for name, value in losses.items()}, gradients


def _parts(gradients: Mapping[str, Tensor]) -> dict[str, float]:
    """Norms of the gradients of the top-level parts, grouped as published."""
    squares: dict[str, float] = {}
    for name, gradient in gradients.items():
        part = name.partition(".")[0]
        squares[part] = squares.get(part, 0.0) + float(gradient.square().sum())
    return {part: square**0.5 for part, square in squares.items()}


def _differences(gradients: Mapping[str, Tensor], golden: Golden) -> dict[str, float]:
    """Of the norms of parts, and of the recorded gradients' entries, one in a hundred left out."""
    differences = {}
    for name in golden.levels("grad"):
        ours = gradients.get(name.removeprefix("grad."))
        differences[name] = math.inf
        if ours is not None:
            differences[name] = _apart(thin(ours), golden.arrays[name], golden.stats[name]["absmax"])
    return differences | relative(_parts(gradients), golden.grad_norms)


def _rounding(rounded: Mapping[str, Tensor], precise: Mapping[str, Tensor], golden: Golden) -> dict[str, float]:
    """How far float32 may move each number that `_differences` compares: `REACH` times as far as it moves ours.

    The norm of a part moves by at most the distance between the two gradients.
    """
    rounding = {}
    for name in golden.levels("grad"):
        key = name.removeprefix("grad.")
        if key in precise:
            rounding[name] = REACH * _apart(thin(rounded[key]), thin(precise[key]), golden.stats[name]["absmax"])
    distances = _parts({name: rounded[name] - gradient for name, gradient in precise.items()})
    return rounding | {part: REACH * distances[part] / max(norm, 1e-12) for part, norm in _parts(precise).items()}


def _apart(one: np.ndarray, other: np.ndarray, largest: float) -> float:
    return float(np.quantile(np.abs(one - other), 0.99)) / max(largest, 1e-12)
