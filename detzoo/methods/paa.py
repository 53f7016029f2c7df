"""PAA: Probabilistic Anchor Assignment with IoU Prediction for Object Detection, arXiv:2007.08103, 2020.

Which anchors learn an object is decided by how well they find it already. Of the anchors that overlap an object a
little, each level's best few have their losses split in two by a mixture of Gaussians, and those of the lower losses
learn it. The head, ATSS's, tells the IoU of each box instead of its centerness; a score is the geometric mean of class
and IoU, and a detection may become the mean of all boxes around it, by score (voting).

Departures from the paper: as the published weights were trained, the lower Gaussian is cut at its most likely loss
(figure 3c), losses are normalized by the positives of the whole batch, box losses weigh by the IoU, and the IoU is
part of no anchor's loss when anchors are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import Anchors, all_cells, by_cell
from detzoo.blocks.assign import MatchConfig, Matches, match, pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_cells, survivors
from detzoo.blocks.layers import Conv2d, Norm
from detzoo.blocks.losses import BoxesLoss, BoxLoss, binary_loss, box_loss, box_losses, mean_over_ranks
from detzoo.blocks.towers import PRIOR, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, decode, full_precision, iou, pairwise_iou
from detzoo.ops.focal import focal_loss, focal_losses
from detzoo.ops.mixture import split_in_two
from detzoo.ops.nms import rank
from detzoo.ops.places import places
from detzoo.types import Detections, Images, Targets

STDS = (0.1, 0.1, 0.2, 0.2)
_AROUND = 0.01  # IoU with a detection above which a box votes
_SHARPNESS = 0.025  # of votes: the smaller, the less boxes of a lower IoU count


class PAA(Detector):
    """One-stage detection of boxes from one anchor per cell, whose losses say which learn."""

    class Head(BaseConfig):
        """Settings of PAA's head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=4, ge=0)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = "gn"
        anchors: Anchors.Config = Anchors.Config(scales=(8.0,), ratios=(1.0,))
        match: MatchConfig = MatchConfig(positive=0.1, negative=0.1, low_quality=0.0)  # who may learn
        best: int = Field(default=9, ge=1)  # anchors of each level, of least loss, that an object chooses from
        alpha: float = Field(default=0.25, gt=0, lt=1)  # weight of positives in the focal loss
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent
        box_loss: BoxesLoss = BoxLoss(kind="giou", weight=1.3)
        iou_weight: float = Field(default=0.5, ge=0)
        candidates: int = Field(default=1000, ge=1)  # best anchors per level that enter suppression and vote
        pairs: int = Field(default=4096, ge=1)  # best (anchor, class) pairs per image of those, that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.6, ge=0, le=1)  # IoU, within a class
        voting: bool = True
        detections: int = Field(default=100, ge=1)  # per image

    class Config(DetectorConfig):
        """Settings of `PAA`."""

        method: Literal["paa"] = "paa"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_output")
        head: PAA.Head = Field(default_factory=lambda: PAA.Head())

    def __init__(self, config: PAA.Config, classes: Sequence[str]) -> None:
        """Build from settings."""
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.anchors = Anchors(head.anchors, self.neck.strides)
        width = self.neck.channels[0]
        self.cls_convs = tower(width, head.channels, head.convs, head.norm)
        self.reg_convs = tower(width, head.channels, head.convs, head.norm)
        width = head.channels if head.convs else width
        self.cls = Conv2d(width, self.anchors.per_cell * len(self.classes), 3, padding=1)
        self.reg = Conv2d(width, self.anchors.per_cell * 4, 3, padding=1)
        self.iou = Conv2d(width, self.anchors.per_cell, 3, padding=1)
        self.scales = nn.ParameterList(torch.ones(()) for _ in self.neck.strides)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg, self.iou)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (focal), ``loss_bbox`` (of each anchor by its IoU) and ``loss_iou``."""
        logits, offsets, overlaps = self.heads(self.neck(self.backbone(images.pixels)))
        head, classes = self.head, len(self.classes)
        anchors = self.anchors([level.shape[-2:] for level in logits])
        matches = match(anchors, None, targets, head.match)
        labels, wanted = pick(targets.labels, matches.slot), pick(targets.boxes, matches.slot)
        flat, boxes = all_cells(logits, classes), decode(anchors, all_cells(offsets, 4), STDS)
        with torch.no_grad():
            cost = focal_losses(flat, labels, torch.ones_like(flat[..., 0]), head.alpha, head.gamma)
            cost = cost + box_losses(boxes, wanted, head.box_loss) * head.box_loss.weight
            cells = [level[0].numel() // classes for level in logits]
            positive = self._positive(cost, matches, cells, targets.boxes.shape[1])
            quality = iou(boxes, wanted) * positive
        seen = matches.positive | matches.negative
        count = positive.sum()
        wants = torch.where(positive, labels, classes)
        loss_cls = focal_loss(flat, wants, seen, head.alpha, head.gamma)
        loss_iou = binary_loss(all_cells(overlaps, 1).squeeze(-1), quality, positive) * head.iou_weight
        return {
            "loss_cls": loss_cls / mean_over_ranks(count.clamp(min=positive.shape[0])),
            "loss_bbox": box_loss(boxes, wanted, quality, head.box_loss) / mean_over_ranks(quality.sum(), floor=1e-6),
            "loss_iou": loss_iou / mean_over_ranks(count, floor=1.0),
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, offsets, overlaps = self.heads(self.neck(self.backbone(images.pixels)))
        head, classes = self.head, len(self.classes)
        products = (
            full_precision(by_cell(level, classes)).sigmoid() * full_precision(by_cell(overlap, 1)).sigmoid()
            for level, overlap in zip(logits, overlaps, strict=True)
        )
        best, where, _ = best_cells(products, head.candidates)
        scores = best.sqrt()
        anchors = self.anchors([level.shape[-2:] for level in logits])
        boxes = clip(decode(anchors[where], pick(all_cells(offsets, 4), where), STDS), images.sizes)
        flat = scores.flatten(1)
        pair, used = rank(flat, flat > head.threshold, head.pairs)
        told = pick(boxes, pair // classes)
        kept = survivors(told, flat.gather(1, pair), pair % classes, used, classes, head.nms, head.detections)
        return self._voted(kept, boxes, scores) if head.voting else kept

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Class logits ``[N, a * C, H, W]``, offsets ``[N, a * 4, H, W]`` and IoU logits ``[N, a, H, W]`` of each
        level, a anchors per cell.
        """
        logits, offsets, overlaps = [], [], []
        for feature, scale in zip(features, self.scales, strict=True):
            reg = self.reg_convs(feature)
            logits.append(self.cls(self.cls_convs(feature)))
            offsets.append(full_precision(self.reg(reg) * scale))
            overlaps.append(self.iou(reg))
        return logits, offsets, overlaps

    def _positive(self, cost: Tensor, matches: Matches, cells: Sequence[int], slots: int) -> Tensor:
        """Bool ``[N, A]``: whether an anchor learns the object that it is matched with; algorithm 1 of the paper.

        Args:
            cost: ``[N, A]``, the loss of each anchor for that object.
            matches: who may learn.
            cells: anchors of each level.
            slots: of objects.
        """
        best, costs, numbers, start = self.head.best, [], [], 0
        group = torch.where(matches.positive, matches.slot, slots)
        for mine, loss in zip(group.split(list(cells), 1), cost.split(list(cells), 1), strict=True):
            place = places(mine, loss)
            # a row for each object, and a last slot for all that is not among the best
            spot = torch.where((mine < slots) & (place < best), mine * best + place, slots * best)
            number = torch.arange(start, start + mine.shape[1], device=cost.device).expand_as(mine)
            costs.append(loss.new_full((len(loss), slots * best + 1), torch.inf).scatter(1, spot, loss))
            numbers.append(torch.zeros_like(costs[-1], dtype=torch.int64).scatter(1, spot, number))
            start += mine.shape[1]
        costs, number = (
            torch.cat([level[:, :-1].unflatten(1, (slots, best)) for level in part], 2).flatten(0, 1)
            for part in (costs, numbers)
        )
        costs, order = costs.sort(dim=1, stable=True)
        number = number.gather(1, order)
        valid = costs < torch.inf
        low, likely = split_in_two(costs, valid)
        low &= valid & (valid.sum(1, keepdim=True) > 1)  # a single loss cannot be split
        last = torch.where(low, likely, -torch.inf).argmax(1, keepdim=True)
        chosen = low & (torch.arange(costs.shape[1], device=cost.device) <= last)
        spot = torch.where(chosen, number, cost.shape[1]).view(len(cost), -1)
        nobody = torch.zeros((len(cost), cost.shape[1] + 1), dtype=torch.bool, device=cost.device)
        return nobody.scatter(1, spot, True)[:, :-1]

    def _voted(self, kept: Detections, boxes: Tensor, scores: Tensor) -> Detections:
        """Detections whose boxes are means of the ``boxes [N, K, 4]`` around them, by their ``scores [N, K, C]`` for
        the detection's class; section 3.4.
        """
        near = pairwise_iou(kept.boxes, boxes)
        own = scores.transpose(1, 2)
        own = own.gather(1, kept.labels.unsqueeze(-1).expand(-1, -1, own.shape[-1]))
        votes = own * (-(1 - near).square() / _SHARPNESS).exp() * ((near > _AROUND) & (own > self.head.threshold))
        total = votes.sum(-1, keepdim=True)
        mean = votes @ boxes / torch.where(total > 0, total, 1.0)
        return Detections(boxes=mean, scores=kept.scores, labels=kept.labels, valid=kept.valid)

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.(cls|reg)_convs\.", r"\1_convs."),
        (r"^bbox_head\.atss_(cls|reg)\.", r"\1."),
        (r"^bbox_head\.atss_centerness\.", "iou."),
        (r"^bbox_head\.scales\.(\d+)\.scale$", r"scales.\1"),
    )
