"""SABL RetinaNet: Side-Aware Boundary Localization for More Precise Object Detection, arXiv:1912.04260, 2019.

RetinaNet with a single square anchor at every cell, around which each side of an object is looked for on its own: the
best of a row of buckets, and an offset from its line. How sure a box's sides are is a factor of its score.

Which squares learn from which object is told by RetinaNet's nine anchors of the cell, of which the best counts.

Departures from the paper: those of RetinaNet (`detzoo.methods.retinanet`), and boxes end a pixel before the image
does, as the published weights were trained and measured.
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
from detzoo.blocks.assign import MatchConfig, match, pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.layers import Conv2d, Norm
from detzoo.blocks.losses import BoxLoss, OffsetsLoss, mean_over_ranks
from detzoo.blocks.side_buckets import NEAREST, bucket_losses, per_side, place
from detzoo.blocks.towers import PRIOR, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip
from detzoo.ops.focal import focal_loss
from detzoo.types import Detections, Images, Targets


class SABLRetinaNet(Detector):
    """One-stage detection of boxes, side by side."""

    class Head(BaseConfig):
        """Settings of the head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=4, ge=0)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = None
        # that objects are compared with; a square of the least scale is what sides are looked for around
        anchors: Anchors.Config = Anchors.Config(scales=tuple(4 * 2 ** (octave / 3) for octave in range(3)))
        buckets: int = Field(default=14, ge=3)  # in a row across a square
        scale: float = Field(default=3.0, gt=0)  # of the square that they lie around
        match: MatchConfig = MatchConfig(positive=0.5, negative=0.4, low_quality=0.0)
        alpha: float = Field(default=0.25, gt=0, lt=1)  # weight of positives in the focal loss
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent
        bucket_weight: float = Field(default=1.5, ge=0)  # of the loss of buckets
        box_loss: OffsetsLoss = BoxLoss(kind="smooth_l1", beta=1 / 9, weight=1.5)  # of the offsets
        candidates: int = Field(default=1000, ge=1)  # best (square, class) pairs per level that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a class
        nms: float = Field(default=0.5, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image

    class Config(DetectorConfig):
        """Settings of `SABLRetinaNet`."""

        method: Literal["sabl_retinanet"] = "sabl_retinanet"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_input")
        head: SABLRetinaNet.Head = Field(default_factory=lambda: SABLRetinaNet.Head())

    def __init__(self, config: SABLRetinaNet.Config, classes: Sequence[str]) -> None:
        """Build from settings."""
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.anchors = Anchors(head.anchors, self.neck.strides)
        self.squares = Anchors(square(head.anchors), self.neck.strides)
        width = self.neck.channels[0]
        self.cls_convs = tower(width, head.channels, head.convs, head.norm)
        self.reg_convs = tower(width, head.channels, head.convs, head.norm)
        width = head.channels if head.convs else width
        self.cls = Conv2d(width, len(self.classes), 3, padding=1)
        self.bbox_cls = Conv2d(width, 4 * per_side(head.buckets), 3, padding=1)
        self.bbox_reg = Conv2d(width, 4 * per_side(head.buckets), 3, padding=1)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.bbox_cls, self.bbox_reg)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (focal), ``loss_bbox_cls`` of the buckets and ``loss_bbox_reg`` of the offsets."""
        logits, told = self.heads(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in logits]
        matches = match(self.anchors(sizes), None, targets, self.head.match, group=self.anchors.per_cell)
        labels = torch.where(matches.positive, pick(targets.labels, matches.slot), len(self.classes))
        count = mean_over_ranks(matches.positive.sum(1).clamp(min=1).sum())
        head, wanted = self.head, pick(targets.boxes, matches.slot)
        chosen, moved = bucket_losses(
            *self._sides(told), self.squares(sizes), wanted, matches.positive, head.buckets, head.scale, head.box_loss
        )
        flat = all_cells(logits, len(self.classes))
        seen = matches.positive | matches.negative
        return {
            "loss_cls": focal_loss(flat, labels, seen, head.alpha, head.gamma) / count,
            "loss_bbox_cls": chosen / (count * 4 * per_side(head.buckets)) * head.bucket_weight,
            "loss_bbox_reg": moved / (count * 4 * NEAREST),
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, told = self.heads(self.neck(self.backbone(images.pixels)))
        head, classes = self.head, len(self.classes)
        best = best_pairs(logits, classes, head.threshold, head.candidates)
        buckets, offsets = (pick(part, best.where) for part in self._sides(told))
        squares = self.squares([level.shape[-2:] for level in logits])[best.where]
        boxes, sure = place(squares, buckets, offsets, head.buckets, head.scale)
        boxes = clip(boxes, images.sizes - 1)
        return survivors(boxes, best.scores * sure, best.labels, best.used, classes, head.nms, head.detections)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        """Of each level class logits ``[N, C, H, W]``; and the logits of the sides' B buckets with the offsets from
        their lines, ``[N, 4 * B, H, W]`` each.
        """
        regs = [self.reg_convs(level) for level in features]
        told = [(self.bbox_cls(level), self.bbox_reg(level)) for level in regs]
        return [self.cls(self.cls_convs(level)) for level in features], told

    def _sides(self, told: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Logits of buckets and offsets of all squares, ``[N, A, 4, B]`` each."""
        width = 4 * per_side(self.head.buckets)
        buckets, offsets = (all_cells(levels, width).unflatten(-1, (4, -1)) for levels in zip(*told, strict=True))
        return buckets, offsets

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.retina_(cls|bbox_cls|bbox_reg)\.", r"\1."),
        (r"^bbox_head\.(cls|reg)_convs\.", r"\1_convs."),
    )


def square(anchors: Anchors.Config) -> Anchors.Config:
    """The square, of their least scale, that stands for ``anchors``."""
    return Anchors.Config(scales=(min(anchors.scales),), ratios=(1.0,))
