"""Soft suppression with fixed slots: overlapping boxes lose score instead of being dropped.

Soft-NMS, arXiv:1704.04503. Every choice changes the scores that the next one looks at, so it is sequential by nature:
one operator, whose loop is as long as the longest row of results.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from detzoo.ops.boxes import full_precision, iou

Method = Literal["linear", "gaussian"]

GONE = -1.0  # the score of a box that is chosen or takes no part


@torch.library.custom_op("detzoo::soft_nms", mutates_args=(), device_types="cpu")
def _soft_nms(
    boxes: Tensor,
    scores: Tensor,
    valid: Tensor,
    groups: Tensor,
    threshold: float,
    sigma: float,
    gaussian: bool,
    min_score: float,
    limit: int,
) -> tuple[Tensor, Tensor]:
    final = torch.zeros_like(scores)
    keep = torch.zeros_like(valid)
    for row in range(len(boxes)):
        # only what can still be chosen is looked at, and in numpy, whose calls cost half of torch's
        slots = (valid[row] & (scores[row] >= min_score)).nonzero().squeeze(1).numpy()
        corners, group, left = boxes[row].numpy()[slots], groups[row].numpy()[slots], scores[row].numpy()[slots]
        size = (corners[:, 2:] - corners[:, :2]).prod(1)
        for _ in range(min(limit, len(slots))):
            best = int(left.argmax())
            if left[best] < min_score:
                break
            final[row, slots[best]], keep[row, slots[best]] = float(left[best]), True
            low = np.maximum(corners[:, :2], corners[best, :2])
            high = np.minimum(corners[:, 2:], corners[best, 2:])
            common = np.maximum(high - low, 0).prod(1)
            overlap = common / np.maximum(size + size[best] - common, np.float32(1e-6))
            if gaussian:
                decay = np.exp(-(overlap**2) / np.float32(sigma))
            else:
                decay = np.where(overlap >= np.float32(threshold), 1 - overlap, np.float32(1))
            left = np.where((group == group[best]) & (left >= 0), left * decay, left)
            left[best] = GONE
    return final, keep


def soft_nms_on_device(
    boxes: Tensor,
    scores: Tensor,
    valid: Tensor,
    groups: Tensor,
    threshold: float,
    sigma: float,
    gaussian: bool,
    min_score: float,
    limit: int,
) -> tuple[Tensor, Tensor]:
    """The backend of accelerators: all rows at once, some twenty launches per turn, never waiting for the device.

    Arguments as the operator's: those of `soft_nms`, shapes ``[B, K, 4]`` and ``[B, K]``.
    """
    final = torch.zeros_like(scores)
    keep = torch.zeros_like(valid)
    left = torch.where(valid, scores, GONE)
    for _ in range(min(limit, scores.shape[1])):
        top, best = left.max(dim=1, keepdim=True)
        some = top >= min_score
        # not in place: an exported graph has to be functional
        final = final.scatter(1, best, torch.where(some, top, final.gather(1, best)))
        keep = keep.scatter(1, best, some | keep.gather(1, best))
        overlap = iou(boxes, boxes.gather(1, best.unsqueeze(-1).expand(-1, -1, 4)))
        decay = torch.exp(-overlap.square() / sigma) if gaussian else torch.where(overlap >= threshold, 1 - overlap, 1)
        touched = (groups == groups.gather(1, best)) & (left >= 0)
        left = torch.where(touched, left * decay, left).scatter(1, best, GONE)
    return final, keep


_soft_nms.register_kernel(("cuda", "mps"))(soft_nms_on_device)


@_soft_nms.register_fake
def _soft_nms_shape(boxes: Tensor, scores: Tensor, valid: Tensor, *given: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(scores), torch.empty_like(valid)


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    valid: Tensor,
    groups: Tensor | None = None,
    *,
    threshold: float = 0.5,
    sigma: float = 0.5,
    method: Method = "linear",
    min_score: float = 1e-3,
    limit: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Scores after soft suppression, and which boxes are left.

    Soft-NMS, figure 2 and equations 2 and 3 (arXiv:1704.04503). Turn by turn the best box of a row is taken, and the
    others of its group lose score by their IoU o with it: times ``1 - o`` where o is at least ``threshold`` (linear),
    or times ``exp(-o^2 / sigma)`` (gaussian). A box whose score falls below ``min_score`` is dropped.

    Costs ``min(limit, K)`` turns one after the other, each over the K boxes of every row (on a CPU: over the valid ones
    of one row).

    Args:
        boxes: ``[B, K, 4]`` xyxy pixels, in any order; rows never touch each other.
        scores: ``[B, K]``, at least 0.
        valid: bool ``[B, K]``; other slots take no part.
        groups: int64 ``[B, K]``, e.g. classes: only boxes of one group touch each other; None: one group.
        threshold: IoU in [0, 1] from which the linear method takes score away; not used by the gaussian one.
        sigma: spread of the gaussian method, above 0; not used by the linear one.
        method: how score is taken away.
        min_score: at least 0; boxes below it are dropped, also before the first turn.
        limit: only the best ``limit`` of each row are looked for, the others are dropped; None: all K.

    Returns:
        ``scores [B, K]`` in full precision in the slots of the given ones, 0 where dropped; and ``keep``, bool
        ``[B, K]``. `detzoo.ops.nms.rank` of the two gives the results by falling score.
    """
    if groups is None:
        groups = torch.zeros_like(valid, dtype=torch.int64)
    turns = scores.shape[1] if limit is None else limit
    return torch.ops.detzoo.soft_nms(
        full_precision(boxes.detach()),
        full_precision(scores.detach()),
        valid,
        groups,
        threshold,
        sigma,
        method == "gaussian",
        min_score,
        turns,
    )
