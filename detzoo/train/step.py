"""From a loader's batch to named losses: what training and validation have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from detzoo.detector import Detector
from detzoo.precision import PRECISIONS, Precision
from detzoo.types import Batch


def compute_losses(
    module: nn.Module, detector: Detector, batch: Batch, device: torch.device, precision: Precision
) -> dict[str, Tensor]:
    """Named training losses of a batch.

    Args:
        module: the detector, or what wraps it for several devices.
        detector: normalizes the pixels, on the device.
        batch: still on the host.
        device: where the weights are.
        precision: of matrix products and convolutions; methods keep box arithmetic and losses in float32.
    """
    batch = batch.to(device, non_blocking=True)
    with torch.no_grad():
        images = detector.normalize(batch.pixels, batch.sizes)
    with torch.autocast(device.type, dtype=PRECISIONS[precision], enabled=precision != "fp32"):
        return module(images, batch.targets)


def total_loss(losses: Mapping[str, Tensor]) -> Tensor:
    """The scalar to minimize: the sum of everything with "loss" in its name. The rest, as accuracies, is only logged.

    Raises:
        ValueError: nothing has.
    """
    terms = [value for name, value in losses.items() if "loss" in name]
    if not terms:
        raise ValueError(f"no loss among what the detector returned: {', '.join(losses) or 'nothing'}")
    return torch.stack([term.float() for term in terms]).sum()


def seed_step(seed: int, epoch: int, step: int, rank: int) -> None:
    """Seed torch for one step, so that its random numbers depend on nothing but these four.

    This is what makes a resumed run draw what the uninterrupted one would have drawn, on any number of ranks, with no
    generator state in the checkpoint.
    """
    digest = hashlib.blake2b(f"{seed}/{epoch}/{step}/{rank}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest, "little") >> 1)


__all__ = ["compute_losses", "seed_step", "total_loss"]
