"""Losses and gradients of a case."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.interop.renaming import Table, rename
from detzoo.types import Images, Targets
from tests.parity.drawn import drawn
from tests.parity.golden import Golden
from tests.parity.rungs import BOUND, relative

EPS = torch.finfo(torch.float64).eps


def step(
    model: Detector, golden: Golden, images: Images, targets: Targets, renaming: Table | None = None
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Losses by name, and gradients of their sum by published name of the parameter.

    ``renaming``: of published names; None: the model's own.
    """
    renaming = model.renaming if renaming is None else renaming
    with drawn(model, golden):
        losses = {name: value for name, value in model(images, targets).items() if "loss" in name}
    model.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    parameters = dict(model.named_parameters())
    # of published names that share a parameter the first counts
    ours = {published: parameters.pop(rename(published, renaming), None) for published in golden.shapes}
    gradients = {name: p.grad for name, p in ours.items() if p is not None and p.grad is not None}
    return {name: float(value.detach()) for name, value in losses.items()}, gradients


def gradient_differences(gradients: Mapping[str, Tensor], golden: Golden) -> dict[str, float]:
    """Of the norms of the top-level parts, and of the recorded gradients' entries."""
    differences = {}
    for name in golden.levels("grad"):
        ours = gradients.get(name.removeprefix("grad."))
        differences[name] = math.inf
        if ours is not None:
            apart = np.abs(golden.thin(ours) - golden.arrays[name]).max()
            # a sum is not better than the last digit of its terms, which have the size of the part's norm: a bias
            # before batch normalization, where they cancel, has no gradient but what that leaves
            rounding = EPS * golden.grad_norms.get(name.removeprefix("grad.").partition(".")[0], 0.0)
            differences[name] = float(apart) / max(golden.stats[name]["absmax"], rounding / BOUND, 1e-12)
    return differences | relative(_norms(gradients), golden.grad_norms)


def _norms(gradients: Mapping[str, Tensor]) -> dict[str, float]:
    """Norms of the gradients of the top-level parts, grouped as published."""
    squares: dict[str, float] = {}
    for name, gradient in gradients.items():
        part, dot, _ = name.partition(".")
        if not dot:  # a parameter of the model itself, which is no part
            continue
        squares[part] = squares.get(part, 0.0) + float(gradient.double().square().sum())
    return {part: square**0.5 for part, square in squares.items()}
