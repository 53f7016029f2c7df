"""Losses in which entries weigh the less, the more others have a gradient of about their length.

Gradient Harmonized Single-stage Detector, arXiv:1811.05181, 2018. Lengths of gradients lie in [0, 1], which is cut into
bins; an entry weighs one by the number of those in its bin, of which a moving average is kept. That is a buffer: a run
that was stopped goes on with it, and losses outside of training leave it alone.

As the published weights were trained, the levels of a pyramid come one after the other, each with bins of its own and
one step of the average. On several devices numbers are the means of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.losses import mean_over_ranks
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import full_precision


class Density(nn.Module):
    """How many entries have a gradient of about some length; equations 4 to 6 and section 3.4.

    Attributes:
        edges: ``[bins + 1]``, of the bins; they are part of published weights, in which they need not be in order.
        acc_sum: ``[bins]``, entries in each, a moving average; part of published weights if it does move.
    """

    edges: Tensor
    acc_sum: Tensor

    def __init__(self, bins: int, momentum: float, last: float) -> None:
        """Build for a number of ``bins`` that share [0, 1]; the last one ends at ``last``."""
        super().__init__()
        self.momentum = momentum
        self.register_buffer("edges", torch.tensor([index / bins for index in range(bins)] + [last]))
        self.register_buffer("acc_sum", torch.zeros(bins), persistent=momentum > 0)

    @torch.no_grad()
    def weights(self, lengths: Sequence[Tensor], used: Sequence[Tensor]) -> list[Tensor]:
        """Weights ``[...]`` of entries whose gradients have ``lengths [...]``, of each level; 0 of those not ``used``.

        ``used`` are bool, and broadcast. The bins of a level that hold anything share a weight of 1.
        """
        edges = self.edges.to(lengths[0])
        # between two neighbours among the edges lies a stretch; the first is before all of them, and in no bin
        ends = edges.sort(stable=True).values
        starts = F.pad(ends, (1, 0), value=-torch.inf).unsqueeze(1)
        inside = (starts >= edges[:-1]) & (starts < edges[1:])
        last = torch.where(inside, torch.arange(1, len(edges), device=edges.device), 0).amax(1)
        where = [
            torch.where(some, torch.searchsorted(ends, level, right=True), 0)
            for level, some in zip(lengths, used, strict=True)
        ]
        nothing = torch.zeros(len(starts), dtype=torch.int64, device=edges.device)
        one = torch.ones_like(nothing[:1])
        counts = torch.stack([nothing.scatter_add(0, level.flatten(), one.expand(level.numel())) for level in where])
        counts = mean_over_ranks(counts).to(edges) @ inside.to(edges)
        average, weights = self.acc_sum.to(edges), []
        for count, level in zip(counts, where, strict=True):
            average = torch.where(count > 0, self.momentum * average + (1 - self.momentum) * count, average)
            weight = 1 / (average * (count > 0).sum())
            weights.append(torch.where(last > 0, weight[last - 1], 0.0)[level])
        if self.training:
            self.acc_sum.copy_(average)
        return weights


class GHMC(Density):
    """The classification loss GHM-C, equation 9."""

    class Config(BaseConfig):
        """Settings of `GHMC`."""

        bins: int = Field(default=30, ge=1, le=1000)
        momentum: float = Field(default=0.75, ge=0, lt=1)  # of the moving average; 0: there is none
        weight: float = Field(default=1.0, ge=0)

    def __init__(self, config: GHMC.Config) -> None:
        super().__init__(config.bins, config.momentum, 1 + 1e-6)
        self.weight = config.weight

    def forward(self, logits: Sequence[Tensor], labels: Sequence[Tensor], seen: Sequence[Tensor]) -> Tensor:
        """The loss of anchors of each level, a scalar in full precision.

        Args:
            logits: ``[N, A, C]``, one sigmoid per class.
            labels: int64 ``[N, A]``; a value outside 0..C-1 is background.
            seen: bool ``[N, A]``, anchors to learn from.
        """
        logits = [full_precision(level) for level in logits]
        classes = torch.arange(logits[0].shape[-1], device=logits[0].device)
        wanted = [(level.unsqueeze(-1) == classes).to(logits[0]) for level in labels]
        lengths = [(level.detach().sigmoid() - one).abs() for level, one in zip(logits, wanted, strict=True)]
        weights = self.weights(lengths, [level.unsqueeze(-1) for level in seen])
        each = zip(logits, wanted, weights, strict=True)
        losses = [F.binary_cross_entropy_with_logits(*level, reduction="sum") for level in each]
        return torch.stack(losses).sum() * self.weight


class GHMR(Density):
    """The box regression loss GHM-R, equations 10 to 13: of offsets, by a smooth L1 without corners."""

    class Config(BaseConfig):
        """Settings of `GHMR`."""

        mu: float = Field(default=0.02, gt=0)  # difference below which the loss is about a parabola
        bins: int = Field(default=10, ge=1, le=1000)
        momentum: float = Field(default=0.7, ge=0, lt=1)  # of the moving average; 0: there is none
        weight: float = Field(default=10.0, ge=0)

    def __init__(self, config: GHMR.Config) -> None:
        super().__init__(config.bins, config.momentum, 1e3)
        self.mu, self.weight = config.mu, config.weight

    def forward(self, found: Sequence[Tensor], wanted: Sequence[Tensor], positive: Sequence[Tensor]) -> Tensor:
        """The loss of anchors of each level, a scalar in full precision.

        Args:
            found: offsets ``[N, A, 4]``.
            wanted: alike.
            positive: bool ``[N, A]``, anchors to learn from.
        """
        used = [level.unsqueeze(-1) for level in positive]
        gaps = [torch.where(some, full_precision(a) - b, 0.0) for a, b, some in zip(found, wanted, used, strict=True)]
        roots = [(gap.square() + self.mu**2).sqrt() for gap in gaps]
        lengths = [(gap.detach() / root.detach()).abs() for gap, root in zip(gaps, roots, strict=True)]
        weights = self.weights(lengths, used)
        losses = [((root - self.mu) * weight).sum() for root, weight in zip(roots, weights, strict=True)]
        return torch.stack(losses).sum() * self.weight
