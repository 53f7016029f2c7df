"""Which RoIs are drawn to learn from, so that easy ones do not crowd out the others.

Libra R-CNN: Towards Balanced Learning for Object Detection, arXiv:1904.02701, 2019, section 3.1: as many positives of
each object, as many negatives of each range of IoU. What to prefer becomes a key for `detzoo.blocks.assign.sample`.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from detzoo.config import Config
from detzoo.ops.places import places


class Balance(Config):
    """How draws are balanced."""

    objects: bool = True  # positives over their objects
    ranges: int = Field(default=3, ge=0)  # of IoU that negatives are balanced over; 0: they are not


@torch.no_grad()
def balanced_keys(
    slot: Tensor,
    positive: Tensor,
    negative: Tensor,
    overlap: Tensor,
    slots: int,
    count: int,
    most: int,
    config: Balance,
) -> Tensor:
    """Keys ``[N, A]`` in [0, 1) by which a draw of ``count`` boxes, at most ``most`` positive, is balanced.

    Each object first gives its share of the positives and one more, drawn at random, and each range of IoU its share of
    the negatives; only then come others. Ranges divide the IoUs between 0 and the highest of all boxes, which that of
    an object is. As the published weights were trained, what overlaps nothing comes last.

    Args:
        slot: int64 ``[N, A]``, object slot of positives.
        positive: bool ``[N, A]``.
        negative: bool ``[N, A]``.
        overlap: ``[N, A]``, highest IoU with an object.
        slots: number of object slots.
        count: number to draw.
        most: number of positives at most.
        config: what is balanced.
    """
    chance = torch.rand(positive.shape, device=positive.device)
    first, last = torch.ones_like(positive), torch.zeros_like(positive)
    if config.objects:
        group = torch.where(positive, slot, slots)
        sizes = torch.zeros_like(group[:, :1]).expand(-1, slots + 1).scatter_add(1, group, torch.ones_like(group))
        objects = (sizes[:, :-1] > 0).sum(1, keepdim=True).clamp(min=1)
        first = torch.where(positive, places(group, chance) < (most / objects).round() + 1, first)
    if config.ranges:
        wanted = count - positive.sum(1, keepdim=True).clamp(max=most)
        overlap = overlap.clamp(min=0)
        top = overlap.amax(1, keepdim=True).clamp(min=1e-6)
        group = (overlap / top * config.ranges).long().clamp(max=config.ranges - 1)
        last = negative & (overlap == 0)
        group = torch.where(negative & ~last, group, config.ranges)
        share = wanted // config.ranges
        first = torch.where(negative, (places(group, chance) < share) & ~last, first)
    return (chance + 1 + first.float() - last.float()) / 4  # not by 3, which may round to 1
