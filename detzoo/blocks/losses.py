"""Losses as sums with explicit weights, so that a batch without objects keeps its graph, and their normalizers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import torch
import torch.distributed as dist
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn import functional as F

from detzoo.config import Config
from detzoo.ops.boxes import around_unit, full_precision, overlap_loss


class BoxLoss(Config):
    """Which box regression loss."""

    kind: Literal[
        "l1", "smooth_l1", "balanced_l1", "iou", "linear_iou", "square_iou", "giou", "diou", "ciou", "bounded_iou"
    ] = "l1"
    weight: float = Field(default=1.0, ge=0)
    # smooth_l1, balanced_l1: difference from which the loss is a line; bounded_iou: 0.2 in the paper
    beta: float = Field(default=1.0, gt=0)
    alpha: float = Field(default=0.5, gt=0)  # balanced_l1: the smaller, the more gradient small differences get
    gamma: float = Field(default=1.5, gt=0)  # balanced_l1: gradient of the line
    # iou, linear_iou, giou: added to the areas of intersection and union
    more: float = Field(default=0.0, ge=0)
    # ciou: IoU above which the aspect counts (arXiv:2005.03572); -1: always, as in arXiv:1911.08287
    aspect_above: float = Field(default=0.5, ge=-1, le=1)

    @property
    def on_boxes(self) -> bool:
        """Whether it compares decoded boxes rather than offsets."""
        return self.kind not in ("l1", "smooth_l1", "balanced_l1")


def _comparing_boxes(loss: BoxLoss) -> BoxLoss:
    if not loss.on_boxes:
        raise ValueError(f"kind must compare boxes, as 'giou' does, got {loss.kind!r}")
    return loss


def _comparing_offsets(loss: BoxLoss) -> BoxLoss:
    if loss.on_boxes:
        raise ValueError(f"kind must compare offsets, as 'l1' does, got {loss.kind!r}")
    return loss


BoxesLoss = Annotated[BoxLoss, AfterValidator(_comparing_boxes)]
OffsetsLoss = Annotated[BoxLoss, AfterValidator(_comparing_offsets)]


def box_loss(predicted: Tensor, wanted: Tensor, weights: Tensor, config: BoxLoss, beta: Tensor | None = None) -> Tensor:
    """Weighted sum of a box loss.

    Args:
        predicted: ``[..., 4]`` offsets or, where `BoxLoss.on_boxes`, xyxy boxes.
        wanted: ``[..., 4]``, alike.
        weights: ``[...]``; 0 leaves a slot out.
        config: the loss.
        beta: scalar, in place of that of ``config``; of smooth_l1 alone.

    Returns:
        A scalar in full precision, ``config.weight`` included.
    """
    # where() rather than a product alone: a slot without a target may hold an infinity
    used = (weights > 0).unsqueeze(-1)
    predicted = torch.where(used, full_precision(predicted), 0.0)
    wanted = torch.where(used, wanted.float(), 0.0)
    return (box_losses(predicted, wanted, config, beta) * weights).sum() * config.weight


def box_losses(predicted: Tensor, wanted: Tensor, config: BoxLoss, beta: Tensor | None = None) -> Tensor:
    """`box_loss` of each slot ``[...]``, of arguments in full precision, without ``config.weight``."""
    kind = config.kind
    if kind == "l1":
        return (predicted - wanted).abs().sum(-1)
    if kind == "smooth_l1" and beta is not None:
        gap = (predicted - wanted).abs()
        return torch.where(gap < beta, gap.square() * 0.5 / beta, gap - 0.5 * beta).sum(-1)
    if kind == "smooth_l1":
        return F.smooth_l1_loss(predicted, wanted, reduction="none", beta=config.beta).sum(-1)
    if kind == "balanced_l1":
        return _balanced_l1((predicted - wanted).abs(), config).sum(-1)
    return overlap_loss(predicted, wanted, kind, config.more, config.beta, config.aspect_above)


def unit_box_loss(predicted: Tensor, wanted: Tensor, positive: Tensor, config: BoxLoss, classes: int | None) -> Tensor:
    """`box_loss` of offsets ``[..., 4]`` as boxes around a unit one (PaddleDetection); ``positive [...]``.

    Of its dynamic-graph releases it is times the ``classes``, and what looks at centres a mean, where others are sums;
    of static-graph ones (None) always the sum.
    """
    loss = box_loss(around_unit(predicted), around_unit(wanted), positive.float(), config)
    if classes is None:
        return loss
    return loss * classes if config.kind == "giou" else loss * classes / mean_over_ranks(positive.sum(), floor=1)


def _balanced_l1(gap: Tensor, config: BoxLoss) -> Tensor:
    """Balanced L1 of absolute differences; Libra R-CNN, equations 5 to 7 (arXiv:1904.02701).

    The gradient is ``alpha log(b gap / beta + 1)`` below ``beta`` and ``gamma`` above, b making the two meet. Where
    ``beta`` is not 1 the published training leaves a step in the loss, and so does this.
    """
    b = math.expm1(config.gamma / config.alpha)
    inside = gap.clamp(max=config.beta)  # log and product stay small where the line is taken
    curve = config.alpha / b * (b * inside + 1) * (b * inside / config.beta).log1p() - config.alpha * inside
    line = config.gamma * gap + (config.gamma / b - config.alpha * config.beta)
    return torch.where(gap < config.beta, curve, line)


def binary_loss(logits: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the cross-entropy of sigmoid ``logits`` with ``wanted`` in [0, 1], all of one shape."""
    logits = full_precision(logits)
    return (F.binary_cross_entropy_with_logits(logits, wanted.to(logits), reduction="none") * weights).sum()


def class_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the cross-entropy of softmax ``logits [..., C]`` with ``labels [...]``; ``weights [...]``."""
    loss = F.cross_entropy(full_precision(logits).flatten(0, -2), labels.flatten(), reduction="none")
    return (loss * weights.flatten()).sum()


def map_loss(logits: Tensor, classes: Tensor | None) -> Tensor:
    """Cross-entropy of class maps, the mean over all cells, in which those of unknown class count as zero.

    Args:
        logits: ``[N, C, h, w]``.
        classes: int64 ``[N, H, W]``, of which each cell is compared with the nearest; unknown what is no class.

    Raises:
        ValueError: there are none.
    """
    if classes is None:
        raise ValueError(
            "the targets have no class maps: pass semantic to Targets.pack, or do without by model.semantic_head=null"
        )
    cells = F.interpolate(classes.unsqueeze(1).float(), logits.shape[-2:]).squeeze(1).long()
    known = (cells >= 0) & (cells < logits.shape[1])
    loss = class_loss(logits.movedim(1, -1), cells * known, known)
    return loss / mean_over_ranks(loss.new_full((), known.numel()))


_alone = False


def mean_over_ranks(count: Tensor, floor: float = 0.0) -> Tensor:
    """A loss normalizer (positives, weights, boxes, pixels) averaged over the ranks of a distributed run.

    Averaging gradients over W ranks gives ``1/W * sum_r grad(S_r) / d`` for a loss that is a sum ``S_r`` divided by
    ``d``. One rank with all the images computes ``sum_r grad(S_r) / sum_r count_r``. The two are the same exactly when
    ``d`` is the mean of the counts, so every loss that divides by a count divides by this instead.

    Args:
        count: any shape and type, on the device; no gradient flows through it.
        floor: least value of the count over the whole run's batch, mostly 1 to keep from dividing by zero. A clamp
            after the call would not do: with 1 positive on 4 ranks the mean is 0.25 and has to stay that.

    Returns:
        float32 of the same shape: ``max(sum over ranks, floor) / ranks``. Without `torch.distributed`, and inside
        `alone`, that is ``max(count, floor)`` and costs no communication. Never waits for the device.
    """
    total = count.detach().float()
    if not ranks_together():
        return total.clamp(min=floor)
    total = total.clone()
    dist.all_reduce(total)
    return total.clamp(min=floor) / dist.get_world_size()


def ranks_together() -> bool:
    """Whether the ranks of a distributed run compute one batch together: with `torch.distributed`, outside `alone`."""
    return not _alone and dist.is_available() and dist.is_initialized()


@contextmanager
def alone() -> Iterator[None]:
    """Inside, `mean_over_ranks` looks at this rank only: for losses that not every rank computes, as in validation."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before
