"""What equality of gradients means where a ReLU stands at zero.

The derivative of a ReLU jumps at zero, and among millions of units some lie within rounding of it. On which side such
a unit falls changes with the processor, the number of threads and the order of a sum, and a single one can move a
gradient by more than any bound that would still tell a mistake. What must hold is that the recorded gradients are ours
in double precision with a few such units on their other side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from detzoo.detector import Detector
from detzoo.types import Images, Targets
from tests.parity.golden import thin

NEAR = 4e-6  # inputs this small, as a share of the largest input of the ReLU, may have either sign in float32
TRIED = 64  # units of the largest gradient that may be on their other side
MOST = 8  # of them that are

RELU: set[Callable[..., Any]] = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}


class _Units(TorchFunctionMode):
    """Keeps what goes into every ReLU, and what comes out of it, with their gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in RELU or not args[0].requires_grad:
            return func(*args, **(kwargs or {}))
        before = args[0].clone()
        after = before.relu()
        after.retain_grad()
        self.seen.append((before, after))
        return after.clone()  # what follows may write into it


def gradients(
    model: Detector, images: Images, targets: Targets, recorded: Mapping[str, np.ndarray], scales: Mapping[str, float]
) -> dict[str, float]:
    """The 99th percentile of the differences of recorded gradients from ours with a few units on their other side.

    Args:
        model: in training mode; it is changed to double precision.
        images: input.
        targets: objects.
        recorded: thinned gradients by our name of the parameter.
        scales: the largest entry of each before it was thinned; differences are shares of it.
    """
    model.double()
    chosen = {name: model.get_parameter(name) for name in recorded}

    def joined(values: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([values[name].astype(np.float64) / scales[name] for name in chosen])

    with _Units() as units:
        losses = model(Images(images.pixels.double(), images.sizes), targets)
    model.zero_grad(set_to_none=True)
    torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward(retain_graph=True)
    ours = {name: thin(parameter.grad) for name, parameter in chosen.items() if parameter.grad is not None}
    left = joined(recorded) - joined(ours)

    effects = []
    for before, turn in _near_zero(units.seen):
        moved = torch.autograd.grad(before, list(chosen.values()), turn, retain_graph=True, allow_unused=True)
        moved = [torch.zeros_like(p) if g is None else g for p, g in zip(chosen.values(), moved, strict=True)]
        effects.append(joined({name: thin(one) for name, one in zip(chosen, moved, strict=True)}))
    for _ in range(min(MOST, len(effects))):
        lengths = [np.linalg.norm(left - effect) for effect in effects]
        best = int(np.argmin(lengths))
        if lengths[best] >= np.linalg.norm(left):
            break
        left = left - effects.pop(best)
    parts = np.split(left, np.cumsum([len(recorded[name]) for name in chosen])[:-1])
    return {name: float(np.quantile(np.abs(part), 0.99)) for name, part in zip(chosen, parts, strict=True)}


def _near_zero(seen: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """A ReLU's input and the change of its gradient with one unit on the other side, for every unit that is tried."""
    found = []
    for before, after in seen:
        if after.grad is None:
            continue
        values, slopes = before.detach().flatten(), after.grad.flatten()
        for index in torch.where(values.abs() <= NEAR * values.abs().max())[0].tolist():
            turn = slopes[index] if values[index] <= 0 else -slopes[index]
            found.append((float(turn.abs()), before, index, turn))
    found.sort(key=lambda unit: unit[0], reverse=True)
    turns = []
    for _, before, index, turn in found[:TRIED]:
        change = torch.zeros(before.shape, dtype=before.dtype)
        change.view(-1)[index] = turn
        turns.append((before, change))
    return turns
