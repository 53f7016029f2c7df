"""Uniform matching: every object is learned by as many anchors, whatever its size; arXiv:2103.09460, section 4.2."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from detzoo.blocks.assign import MatchConfig, match
from detzoo.config import Config
from detzoo.ops.boxes import iou, to_centres
from detzoo.types import Targets

_OBJECTS = 16  # that are compared with all anchors at once: bounds the memory of a crowd


class UniformMatch(Config):
    """Settings of `uniform_match`."""

    nearest: int = Field(default=4, ge=1)  # anchors that learn an object, and as many whose boxes lie nearest to it
    positive: float = Field(default=0.15, ge=0, le=1)  # IoU with their object below which anchors are left out
    negative: float = Field(default=0.7, ge=0, le=1)  # IoU of a box with any object above which it is no background

    @property
    def known(self) -> MatchConfig:
        """What is no background; asked for when a method is built, as compiled code cannot make settings."""
        return MatchConfig(positive=self.negative, negative=self.negative, closed=False)


class UniformMatches(NamedTuple):
    """Result of matching A anchors per image with G object slots, K pairs each.

    Attributes:
        slot: int64 ``[N, A]``, object slot whose class an anchor learns; 0 where it learns none.
        positive: bool ``[N, A]``.
        negative: bool ``[N, A]``, background to be learned.
        pairs: int64 ``[N, G, K]``, anchors whose boxes learn an object, some of them twice or for several objects.
        used: bool ``[N, G, K]``, pairs that do.
    """

    slot: Tensor
    positive: Tensor
    negative: Tensor
    pairs: Tensor
    used: Tensor


@torch.no_grad()
def uniform_match(
    config: UniformMatch, known: MatchConfig, anchors: Tensor, boxes: Tensor, targets: Targets
) -> UniformMatches:
    """Which anchors learn which objects; decided in float32.

    An object is learned by the anchors nearest to it and by those whose predicted boxes are, by the L1 distance of
    centre and size. The boxes of all these pairs learn; of an anchor's pairs one decides its class, as in the published
    training: that which is farthest down its object's list, then that of the anchor itself, then of the last slot.

    Args:
        config: settings.
        known: those of what is no background, `UniformMatch.known`.
        anchors: ``[A, 4]``.
        boxes: ``[N, A, 4]``, predicted from them.
        targets: objects.
    """
    anchors, boxes = anchors.float(), boxes.float()
    near = [_nearest(each, targets.boxes, config.nearest) for each in (boxes, anchors.expand_as(boxes))]
    index = torch.stack(near, -1).flatten(2)  # [N, G, K], by rank, boxes before anchors
    fits = iou(anchors[index], targets.boxes.unsqueeze(2)) >= config.positive
    there = targets.valid.unsqueeze(-1).expand_as(fits)
    # an anchor's last pair decides: by rank, then boxes before anchors, then slots
    slots, most = fits.shape[1:]
    turn = torch.arange(most, device=fits.device) * slots + torch.arange(slots, device=fits.device).unsqueeze(1)
    last = torch.full(boxes.shape[:2], -1, device=fits.device)
    last = last.scatter_reduce(1, index.flatten(1), torch.where(there, turn, -1).flatten(1), "amax")
    taken, last = last >= 0, last.clamp(min=0)
    slot, pair = last % slots, last // slots
    positive = taken & fits.flatten(1).gather(1, slot * most + pair)
    found = match(boxes, None, targets, known).positive
    return UniformMatches(slot * positive, positive, ~taken & ~found, index, fits & there)


def _nearest(boxes: Tensor, objects: Tensor, most: int) -> Tensor:
    """Numbers ``[N, G, k]`` of those of ``boxes [N, A, 4]`` that are nearest to ``objects [N, G, 4]``, best first."""
    places, most = to_centres(boxes), min(most, boxes.shape[1])
    found = []
    for some in to_centres(objects.float()).split(_OBJECTS, 1):
        apart = torch.cdist(some, places, p=1.0)
        # anchors on a grid are often equally near: the published training takes those of `topk` on a CPU
        found.append(apart.topk(most, largest=False).indices)
    return torch.cat(found, 1)
