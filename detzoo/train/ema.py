"""A running average of the weights, often better than the weights themselves (Polyak averaging)."""

from __future__ import annotations

import copy

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from detzoo.detector import Detector


class Ema:
    """Averaged weights of a detector in training, held as a second detector that is never trained.

    The decay of update ``t`` is ``min(decay, (1 + t) / (10 + t))``, so that a short run is not dominated by its random
    start. Buffers (batch norm statistics) are copied: they are averages already.

    Attributes:
        detector: the averaged detector, in evaluation mode.
    """

    def __init__(self, detector: Detector, decay: float) -> None:
        self.decay = decay
        self.detector = copy.deepcopy(detector).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, detector: Detector, updates: int) -> None:
        """Move towards ``detector``, which has had ``updates`` updates. Does not wait for the device."""
        average = get_ema_multi_avg_fn(min(self.decay, (1 + updates) / (10 + updates)))
        average(tuple(self.detector.parameters()), tuple(detector.parameters()), updates)
        for kept, new in zip(self.detector.buffers(), detector.buffers(), strict=True):
            kept.copy_(new)


__all__ = ["Ema"]
