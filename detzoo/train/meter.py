"""Loss values of recent steps, kept on the device and read rarely, so that the host does not wait at every step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from detzoo.train.distributed import Ranks
from detzoo.train.step import total_loss


class NonFiniteLoss(FloatingPointError):
    """A loss became NaN or infinite; the message says which, at which step and on which images."""


@dataclass(frozen=True, slots=True)
class _Step:
    names: tuple[str, ...]
    values: Tensor  # float32 [len(names)], on the device
    epoch: int
    step: int
    paths: Sequence[str]


class Meter:
    """Collects a window of steps, checks it, and averages it over steps and ranks.

    Attributes:
        sums: per name, the sum over this epoch's steps; goes into the checkpoint.
        steps: how many steps are in ``sums``.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.sums: dict[str, float] = {}
        self.steps = 0
        self._ranks = ranks
        self._window: list[_Step] = []

    def __len__(self) -> int:
        """Steps since the last `read`."""
        return len(self._window)

    def add(self, losses: Mapping[str, Tensor], epoch: int, step: int, paths: Sequence[str]) -> None:
        """Remember the losses of a step. Does not wait for the device.

        Args:
            losses: named scalars; their total is added under ``loss``.
            epoch: 0-based.
            step: 0-based, within the epoch.
            paths: the step's images, to be named if a loss is not finite.
        """
        named = {"loss": total_loss(losses), **losses}
        values = torch.stack([value.detach().float() for value in named.values()])
        self._window.append(_Step(tuple(named), values, epoch, step, paths))

    def read(self, stop: bool = False) -> tuple[dict[str, float], bool]:
        """Means over the window and all ranks; empties the window. Every rank must call this after the same step.

        Args:
            stop: this rank wants to stop.

        Returns:
            Means by name, and whether any rank wants to stop.

        Raises:
            NonFiniteLoss: on the rank where it happened naming the images, on the others naming the ranks.
        """
        window, self._window = self._window, []
        problem = _first_problem(window)
        means = _means(window)
        count = len(window)
        if self._ranks.world > 1:
            flags = [*means.values(), float(stop), float(problem is not None)]
            shared = self._ranks.average(torch.tensor(flags, device=self._ranks.device)).tolist()
            means = dict(zip(means, shared, strict=False))
            stop = shared[-2] > 0
            if problem is None and shared[-1] > 0:
                problem = "a loss of another rank is not finite; that rank's message names the step and the images"
        if problem is not None:
            raise NonFiniteLoss(problem)
        for name, mean in means.items():
            self.sums[name] = self.sums.get(name, 0.0) + mean * count
        self.steps += count
        return means, stop

    def check(self) -> None:
        """Look at this rank's window without emptying it.

        Raises:
            NonFiniteLoss: a loss in it is not finite.
        """
        problem = _first_problem(self._window)
        if problem is not None:
            raise NonFiniteLoss(problem)

    def epoch_means(self) -> dict[str, float]:
        """Means over the epoch so far, which begins anew."""
        means = {name: value / max(self.steps, 1) for name, value in self.sums.items()}
        self.sums, self.steps = {}, 0
        return means


def _rows(window: Sequence[_Step]) -> list[list[float]]:
    """Host values of each step, in one transfer."""
    if not window:
        return []
    flat = iter(torch.cat([step.values for step in window]).tolist())
    return [[next(flat) for _ in step.names] for step in window]


def _first_problem(window: Sequence[_Step]) -> str | None:
    for step, row in zip(window, _rows(window), strict=True):
        bad = [f"{name} is {value}" for name, value in zip(step.names, row, strict=True) if not math.isfinite(value)]
        parts = [text for text in bad if not text.startswith("loss is")] or bad
        if parts:
            return (
                f"{', '.join(parts)} at epoch {step.epoch + 1}, step {step.step + 1}; "
                f"images: {', '.join(map(str, step.paths))}"
            )
    return None


def _means(window: Sequence[_Step]) -> dict[str, float]:
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for step, row in zip(window, _rows(window), strict=True):
        for name, value in zip(step.names, row, strict=True):
            sums[name] = sums.get(name, 0.0) + value
            counts[name] = counts.get(name, 0) + 1
    return {name: value / counts[name] for name, value in sums.items()}


__all__ = ["Meter", "NonFiniteLoss"]
