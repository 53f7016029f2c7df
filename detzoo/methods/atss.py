"""ATSS: Adaptive Training Sample Selection, arXiv:1912.02424, 2019.

What separates detectors with anchors from those without is which cells learn an object, not how its box is told. So a
cell has a single anchor, and each object sets its own IoU from which on anchors are positive: the mean and the standard
deviation of the IoUs of the few anchors of each level that lie nearest to its centre, added up. Towers and centerness
are FCOS's.

Departures from the paper: normalization by the positives of the whole batch with at least one per image, as the
published weights were trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import Anchors, all_cells
from detzoo.blocks.assign import pick
from detzoo.blocks.atss_assign import AdaptiveSelection
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.layers import Conv2d, Norm
from detzoo.blocks.losses import BoxesLoss, BoxLoss, binary_loss, box_loss, mean_over_ranks
from detzoo.blocks.points import centerness, middles, sides
from detzoo.blocks.towers import PRIOR, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, decode, full_precision
from detzoo.ops.focal import focal_loss
from detzoo.types import Detections, Images, Targets

STDS = (0.1, 0.1, 0.2, 0.2)


class ATSS(Detector):
    """One-stage detection of boxes from one anchor per cell."""

    class Head(BaseConfig):
        """Settings of ATSS's head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=4, ge=0)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = "gn"
        anchors: Anchors.Config = Anchors.Config(scales=(8.0,), ratios=(1.0,))
        nearest: int = Field(default=9, ge=1)  # anchors of each level that an object chooses from
        alpha: float = Field(default=0.25, gt=0, lt=1)  # weight of positives in the focal loss
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent
        box_loss: BoxesLoss = BoxLoss(kind="giou", weight=2.0)
        candidates: int = Field(default=1000, ge=1)  # best (anchor, class) pairs per level that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least class score of a detection
        nms: float = Field(default=0.6, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image

    class Config(DetectorConfig):
        """Settings of `ATSS`."""

        method: Literal["atss"] = "atss"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_output")
        head: ATSS.Head = Field(default_factory=lambda: ATSS.Head())

    def __init__(self, config: ATSS.Config, classes: Sequence[str]) -> None:
        """Build from settings."""
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.anchors = Anchors(head.anchors, self.neck.strides)
        self.assign = AdaptiveSelection(head.nearest, self.anchors.per_cell)
        width = self.neck.channels[0]
        self.cls_convs = tower(width, head.channels, head.convs, head.norm)
        self.reg_convs = tower(width, head.channels, head.convs, head.norm)
        width = head.channels if head.convs else width
        self.cls = Conv2d(width, self.anchors.per_cell * len(self.classes), 3, padding=1)
        self.reg = Conv2d(width, self.anchors.per_cell * 4, 3, padding=1)
        self.centerness = Conv2d(width, self.anchors.per_cell, 3, padding=1)
        self.scales = nn.ParameterList(torch.ones(()) for _ in self.neck.strides)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg, self.centerness)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (focal), ``loss_bbox`` (of each anchor by its centerness) and ``loss_centerness``."""
        logits, offsets, central = self.heads(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in logits]
        anchors = self.anchors(sizes)
        slot, positive = self.assign(anchors, sizes, targets)
        labels = torch.where(positive, pick(targets.labels, slot), len(self.classes))
        count = mean_over_ranks(positive.sum(1).clamp(min=1).sum())
        wanted = pick(targets.boxes, slot)
        centred = centerness(sides(middles(anchors), wanted), positive)
        boxes = decode(anchors, all_cells(offsets, 4), STDS)
        flat = all_cells(logits, len(self.classes))
        head = self.head
        return {
            "loss_cls": focal_loss(flat, labels, torch.ones_like(centred), head.alpha, head.gamma) / count,
            "loss_bbox": box_loss(boxes, wanted, centred, head.box_loss) / mean_over_ranks(centred.sum(), floor=1.0),
            "loss_centerness": binary_loss(all_cells(central, 1).squeeze(-1), centred, positive) / count,
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, offsets, central = self.heads(self.neck(self.backbone(images.pixels)))
        anchors = self.anchors([level.shape[-2:] for level in logits])
        head, classes = self.head, len(self.classes)
        best = best_pairs(logits, classes, head.threshold, head.candidates)
        moves = pick(all_cells(offsets, 4), best.where)
        boxes = clip(decode(anchors[best.where], moves, STDS), images.sizes)
        scores = best.scores * full_precision(pick(all_cells(central, 1).squeeze(-1), best.where)).sigmoid()
        return survivors(boxes, scores, best.labels, best.used, classes, head.nms, head.detections)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Class logits ``[N, a * C, H, W]``, offsets ``[N, a * 4, H, W]`` and centerness logits ``[N, a, H, W]`` of
        each level, a anchors per cell.
        """
        logits, offsets, central = [], [], []
        for feature, scale in zip(features, self.scales, strict=True):
            reg = self.reg_convs(feature)
            logits.append(self.cls(self.cls_convs(feature)))
            offsets.append(full_precision(self.reg(reg) * scale))
            central.append(self.centerness(reg))
        return logits, offsets, central

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.(cls|reg)_convs\.", r"\1_convs."),
        (r"^bbox_head\.atss_(cls|reg|centerness)\.", r"\1."),
        (r"^bbox_head\.scales\.(\d+)\.scale$", r"scales.\1"),
    )
