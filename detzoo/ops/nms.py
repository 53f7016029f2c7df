"""Greedy non-maximum suppression with fixed slots: as many slots out as in, and a mask that says which survive.

Greedy suppression is sequential by nature, so it is one operator with a backend per kind of device: torchvision's loop
on the CPU, one Triton program per row on CUDA. Neither makes the host wait for a device, and both are one call in a
compiled or exported graph.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms


@torch.library.custom_op("detzoo::nms", mutates_args=(), device_types="cpu")
def _nms(boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, threshold: float) -> Tensor:
    keep = torch.zeros_like(valid)
    # float64: shifting groups apart must not round the boxes
    exact, scores = boxes.double(), scores.double()
    span = (exact.amax() - exact.amin()).clamp(min=0) + 1 if exact.numel() else exact.sum()
    shifted = exact + (groups * span).unsqueeze(-1)
    for row in range(len(boxes)):
        slots = valid[row].nonzero().squeeze(1)
        keep[row, slots[torchvision_nms(shifted[row, slots], scores[row, slots], threshold)]] = True
    return keep


@_nms.register_kernel("cuda")
def _nms_cuda(boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, threshold: float) -> Tensor:
    from detzoo.ops.nms_triton import suppress

    return suppress(boxes, scores, groups, valid, threshold)


@_nms.register_kernel("mps")
def _nms_mps(boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, threshold: float) -> Tensor:
    # float64 and a sequential kernel are not to be had there: one round trip
    there = [tensor.cpu() for tensor in (boxes, scores, groups, valid)]
    return torch.ops.detzoo.nms(*there, threshold).to(boxes.device)


@_nms.register_fake
def _nms_shape(boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, threshold: float) -> Tensor:
    return torch.empty_like(valid)


def nms(boxes: Tensor, scores: Tensor, valid: Tensor, threshold: float, groups: Tensor | None = None) -> Tensor:
    """Which boxes survive: bool ``[B, K]``. A box falls when one of its row and group that survives and scores higher
    overlaps it by an IoU above ``threshold``.

    Args:
        boxes: ``[B, K, 4]`` xyxy; rows never touch each other.
        scores: ``[B, K]``, in any order.
        valid: bool ``[B, K]``; other slots neither survive nor suppress.
        threshold: IoU in [0, 1].
        groups: int64 ``[B, K]``, e.g. classes; None: one group.
    """
    if groups is None:
        groups = torch.zeros_like(valid, dtype=torch.int64)
    return torch.ops.detzoo.nms(boxes.detach().float(), scores.detach().float(), groups, valid, threshold)


def select(
    boxes: Tensor, scores: Tensor, valid: Tensor, threshold: float, limit: int, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The best ``limit`` survivors of `nms` per row, by falling score.

    Returns:
        ``index [B, min(limit, K)]`` into the K slots, and bool ``[B, min(limit, K)]``: which of them hold a survivor.
    """
    keep = nms(boxes, scores, valid, threshold, groups)
    ranked = torch.where(keep, scores, scores.new_full((), -1.0))
    best, index = ranked.topk(min(limit, ranked.shape[1]), dim=1)
    return index, best >= 0
