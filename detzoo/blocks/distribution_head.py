"""A dense head that tells how likely each distance to an object's sides is, and one score of class and quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.anchors import Anchors, all_cells
from detzoo.blocks.assign import pick
from detzoo.blocks.atss_assign import AdaptiveSelection
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.layers import Conv2d, Norm
from detzoo.blocks.losses import BoxesLoss, BoxLoss, box_loss, mean_over_ranks
from detzoo.blocks.points import around, cell_centres, per_cell, sides
from detzoo.blocks.towers import PRIOR, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import clip, full_precision, iou
from detzoo.ops.focal import quality_focal_loss
from detzoo.types import Detections, Images, Targets

SHORT_OF_LAST = 0.1  # strides that a distance to be told stays below the largest one


class Told(NamedTuple):
    """What `DistributionHead` tells of each level.

    Attributes:
        logits: ``[N, C, H, W]``; a score is class and quality of the box in one.
        distances: ``[N, 4 b, H, W]``, left, top, right, bottom: logits of the distances 0 to b - 1, in strides.
    """

    logits: list[Tensor]
    distances: list[Tensor]


class DistributionHead(nn.Module):
    """The head of Generalized Focal Loss, arXiv:2006.04388.

    Each object sets its own IoU from which on a cell's square anchor learns it (`AdaptiveSelection`).
    """

    class Config(BaseConfig):
        """Its layers, what it learns from, and what it returns."""

        convs: int = Field(default=4, ge=0)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = "gn"
        farthest: int = Field(default=16, ge=1)  # strides to a side; distances are told from 0 to this
        anchor: float = Field(default=8.0, gt=0)  # strides, edge of the square that decides whether a cell learns
        nearest: int = Field(default=9, ge=1)  # anchors of each level that an object chooses from
        beta: float = Field(default=2.0, ge=0)  # focusing exponent of the scores' loss
        box_loss: BoxesLoss = BoxLoss(kind="giou", weight=2.0)
        distance_weight: float = Field(default=0.25, ge=0)  # of the distances' loss
        candidates: int = Field(default=1000, ge=1)  # best (cell, class) pairs per level that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.6, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image

    def __init__(self, config: DistributionHead.Config, width: int, strides: Sequence[int], classes: int) -> None:
        """Build for levels of ``width`` channels."""
        super().__init__()
        self.config, self.strides, self.classes = config, tuple(strides), classes
        self.steps = config.farthest + 1
        self.anchors = Anchors(Anchors.Config(scales=(config.anchor,), ratios=(1.0,)), strides)
        self.assign = AdaptiveSelection(config.nearest)
        self.cls_convs = tower(width, config.channels, config.convs, config.norm)
        self.reg_convs = tower(width, config.channels, config.convs, config.norm)
        width = config.channels if config.convs else width
        self.cls = Conv2d(width, classes, 3, padding=1)
        self.reg = Conv2d(width, 4 * self.steps, 3, padding=1)
        self.scales = nn.ParameterList(torch.ones(()) for _ in strides)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)

    def forward(self, features: Sequence[Tensor]) -> Told:
        """What is told of levels ``[N, width, H, W]``."""
        logits = [self.cls(self.cls_convs(level)) for level in features]
        distances = [
            full_precision(self.reg(self.reg_convs(level)) * scale)
            for level, scale in zip(features, self.scales, strict=True)
        ]
        return Told(logits, distances)

    def losses(self, told: Told, targets: Targets) -> tuple[dict[str, Tensor], Tensor]:
        """Losses ``loss_cls``, ``loss_bbox`` and ``loss_dfl``, and what each cell counts in the latter two ``[N, A]``:
        its highest score, 0 if it learns no object.
        """
        sizes = [level.shape[-2:] for level in told.logits]
        anchors, centres, strides = self.anchors(sizes), *self._cells(sizes, told.logits[0].device)
        slot, positive = self.assign(anchors, sizes, targets)
        labels = torch.where(positive, pick(targets.labels, slot), self.classes)
        count = mean_over_ranks(positive.sum(1).clamp(min=1).sum())
        logits, distances = all_cells(told.logits, self.classes), self.by_side(told)
        weights = full_precision(logits.detach()).amax(-1).sigmoid() * positive
        weight = mean_over_ranks(weights.sum(), floor=1.0)
        wanted = pick(targets.boxes, slot)
        boxes = around(centres, self._expected(distances) * strides)
        quality = iou(boxes.detach(), wanted) * positive
        asked = (sides(centres, wanted) / strides).clamp(0, self.config.farthest - SHORT_OF_LAST)
        config = self.config
        losses = {
            "loss_cls": quality_focal_loss(logits, labels, quality, config.beta) / count,
            "loss_bbox": box_loss(boxes, wanted, weights, config.box_loss) / weight,
            "loss_dfl": distribution_loss(distances, asked, weights) * config.distance_weight / weight,
        }
        return losses, weights

    def detect(self, told: Told, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        centres, strides = self._cells([level.shape[-2:] for level in told.logits], told.logits[0].device)
        config, classes = self.config, self.classes
        best = best_pairs(told.logits, classes, config.threshold, config.candidates)
        distances = self._expected(pick(self.by_side(told), best.where)) * strides[best.where]
        boxes = clip(around(centres[best.where], distances), images.sizes)
        return survivors(boxes, best.scores, best.labels, best.used, classes, config.nms, config.detections)

    def by_side(self, told: Told) -> Tensor:
        """Logits ``[N, A, 4, b]`` of the distances of all cells to each side."""
        return all_cells(told.distances, 4 * self.steps).unflatten(-1, (4, self.steps))

    def _cells(self, sizes: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
        """Where cells look ``[A, 2]`` and their strides ``[A, 1]``, in pixels."""
        return cell_centres(sizes, self.strides, device, offset=0.0), per_cell(sizes, self.strides, device)

    def _expected(self, distances: Tensor) -> Tensor:
        """Mean distances ``[..., 4]`` in strides of logits ``[..., 4, b]``; equation 5."""
        return distances.softmax(-1) @ torch.arange(self.steps, device=distances.device, dtype=distances.dtype)

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.gfl_(cls|reg)\.", r"head.\1."),
        (r"^bbox_head\.scales\.(\d+)\.scale$", r"head.scales.\1"),
        (r"^bbox_head\.", "head."),
    )


def distribution_loss(distances: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum over cells of the distribution focal loss, a side's mean; equation 6 of arXiv:2006.04388.

    Args:
        distances: logits ``[..., 4, b]`` of the distances 0 to b - 1.
        wanted: ``[..., 4]`` from 0 to less than b - 1; the two distances next to it share it, the nearer the more.
        weights: ``[...]``.
    """
    below = wanted.floor()
    nll = -distances.log_softmax(-1).gather(-1, torch.stack([below, below + 1], -1).long())
    shares = torch.stack([below + 1 - wanted, wanted - below], -1)
    return ((nll * shares).sum(-1).mean(-1) * weights).sum()
