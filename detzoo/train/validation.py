"""Validation losses: training losses of unseen images, measured without leaving a trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from detzoo.blocks.losses import alone
from detzoo.detector import Detector
from detzoo.precision import Precision
from detzoo.train.distributed import Ranks
from detzoo.train.step import compute_losses, seed_step, total_loss
from detzoo.types import Batch


@torch.no_grad()
def validation_losses(
    detector: Detector, batches: Iterable[Batch], ranks: Ranks, precision: Precision = "fp32"
) -> dict[str, float]:
    """Mean training-mode losses, each batch weighted by its images; ``loss`` is the total.

    Leaves weights, batch norm statistics, training flags and random generators as they were, and draws the same random
    samples each time, so that epochs compare. Losses are normalized by their own rank's batch; every rank must call.

    Args:
        detector: on the rank's device.
        batches: this rank's share of the validation images, perhaps none.
        ranks: this process's place.
        precision: as in training.

    Returns:
        Means over the images of all ranks by name; empty if there are none.
    """
    device = ranks.device
    sums: dict[str, Tensor] = {}
    images = 0
    with _untouched(detector, device), alone():
        detector.train()
        for index, batch in enumerate(batches):
            seed_step(0, 0, index, 0)
            losses = compute_losses(detector, detector, batch, device, precision)
            count = len(batch.ids)
            images += count
            for name, value in {"loss": total_loss(losses), **losses}.items():
                weighted = value.detach().float() * count
                sums[name] = sums[name] + weighted if name in sums else weighted
    values = torch.stack(list(sums.values())).tolist() if sums else []
    totals: dict[str, float] = {}
    count = 0
    for found, seen in ranks.gather((dict(zip(sums, values, strict=True)), images)):
        count += seen
        for name, value in found.items():
            totals[name] = totals.get(name, 0.0) + value
    return {name: value / count for name, value in totals.items()}


@contextmanager
def _untouched(detector: Detector, device: torch.device) -> Iterator[None]:
    """Put buffers, training flags and torch's random generators back afterwards."""
    buffers = {name: buffer.clone() for name, buffer in detector.named_buffers()}
    flags = {module: module.training for module in detector.modules()}
    devices = [device.index or 0] if device.type == "cuda" else []  # other devices have no state to keep per index
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            for name, buffer in detector.named_buffers():
                buffer.copy_(buffers[name])
            for module, flag in flags.items():
                module.training = flag


__all__ = ["validation_losses"]
