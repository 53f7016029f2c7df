"""Guided anchors on RetinaNet: Region Proposal by Guided Anchoring, arXiv:1901.03278, 2019.

RetinaNet's two towers, but in place of nine anchors at every cell one, whose place and shape are predicted from the
features; before classes and offsets are, a deformable convolution adapts the features to that shape.

Departures from the paper: smooth L1 on box offsets, as the published weights were trained; at most ``head.pairs``
(cell, class) pairs per image enter suppression; cells in which no object is expected stay slots, so that any number of
images is one batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import all_cells, by_cell
from detzoo.blocks.assign import MatchConfig, match, pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_cells
from detzoo.blocks.guided_anchors import Guide
from detzoo.blocks.layers import Conv2d, FeatureAdaption, Norm
from detzoo.blocks.losses import BoxLoss, box_loss, mean_over_ranks
from detzoo.blocks.towers import PRIOR, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, decode, encode, full_precision
from detzoo.ops.focal import focal_loss
from detzoo.ops.nms import rank, select
from detzoo.types import Detections, Images, Targets

STDS = (1.0, 1.0, 1.0, 1.0)


class GARetinaNet(Detector):
    """One-stage detection of boxes from anchors of predicted place and shape."""

    class Head(BaseConfig):
        """Settings of the head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=4, ge=0)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = None
        guide: Guide.Config = Guide.Config(
            side=4.0, std=1.0, match=MatchConfig(positive=0.5, negative=0.4, low_quality=0.4)
        )
        deform_groups: int = Field(default=4, ge=1)  # of channels, each with shifts of its own
        match: MatchConfig = MatchConfig(positive=0.5, negative=0.5, low_quality=0.0)
        alpha: float = Field(default=0.25, gt=0, lt=1)  # weight of positives in the focal loss
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent
        box_loss: BoxLoss = BoxLoss(kind="smooth_l1", beta=0.04)
        candidates: int = Field(default=1000, ge=1)  # best cells per level of which all classes are looked at
        pairs: int = Field(default=4096, ge=1)  # best (cell, class) pairs per image that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.5, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image

    class Config(DetectorConfig):
        """Settings of `GARetinaNet`."""

        method: Literal["ga_retinanet"] = "ga_retinanet"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_input")
        head: GARetinaNet.Head = Field(default_factory=lambda: GARetinaNet.Head())

    def __init__(self, config: GARetinaNet.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        width, channels = self.neck.channels[0], head.channels if head.convs else self.neck.channels[0]
        self.cls_convs, self.reg_convs = (tower(width, channels, head.convs, head.norm) for _ in range(2))
        self.guide = Guide(head.guide, channels, self.neck.strides)
        self.feature_adaption_cls = FeatureAdaption(channels, channels, head.deform_groups)
        self.feature_adaption_reg = FeatureAdaption(channels, channels, head.deform_groups)
        self.cls = Conv2d(channels, len(self.classes), 3, padding=1)
        self.reg = Conv2d(channels, 4, 3, padding=1)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (focal), ``loss_bbox``, ``loss_shape`` and ``loss_loc`` (focal)."""
        logits, offsets, shapes, locations = self.heads(self.neck(self.backbone(images.pixels)))
        anchors = self.guide.anchors(shapes).detach()
        matches = match(anchors, None, targets, self.head.match)
        labels = torch.where(matches.positive, pick(targets.labels, matches.slot), len(self.classes))
        count = mean_over_ranks(matches.positive.sum(1).clamp(min=1).sum())
        moves = all_cells(offsets, 4)
        wanted = pick(targets.boxes, matches.slot)
        if self.head.box_loss.on_boxes:
            moves = decode(anchors, moves, STDS)
        else:
            wanted = encode(anchors, wanted, STDS)
        flat = all_cells(logits, len(self.classes))
        seen = matches.positive | matches.negative
        by_shape, by_location = self.guide.losses(shapes, locations, targets)
        return {
            "loss_cls": focal_loss(flat, labels, seen, self.head.alpha, self.head.gamma) / count,
            "loss_bbox": box_loss(moves, wanted, matches.positive.float(), self.head.box_loss) / count,
            "loss_shape": by_shape,
            "loss_loc": by_location,
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, offsets, shapes, locations = self.heads(self.neck(self.backbone(images.pixels)))
        head, classes = self.head, len(self.classes)
        of_levels = (full_precision(by_cell(level, classes)).sigmoid() for level in logits)
        scores, where, used = best_cells(of_levels, head.candidates, self.guide.kept(locations))
        usable = (scores > head.threshold) & used.unsqueeze(-1)
        pair, used = rank(scores.flatten(1), usable.flatten(1), head.pairs)
        cell = pick(where, pair // classes)
        moves = pick(all_cells(offsets, 4), cell)
        boxes = clip(decode(pick(self.guide.anchors(shapes), cell), moves, STDS), images.sizes)
        best, labels = scores.flatten(1).gather(1, pair), pair % classes
        order, kept = select(boxes, best, used, head.nms, head.detections, labels, classes)
        return Detections(
            boxes=pick(boxes, order) * kept.unsqueeze(-1),
            scores=best.gather(1, order) * kept,
            labels=labels.gather(1, order) * kept,
            valid=kept,
        )

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Of each level class logits ``[N, C, H, W]``, offsets ``[N, 4, H, W]``, shapes ``[N, 2, H, W]`` and logits
        of locations ``[N, 1, H, W]``.
        """
        by_class = [self.cls_convs(level) for level in features]
        by_box = [self.reg_convs(level) for level in features]
        locations = [self.guide.conv_loc(level) for level in by_class]
        shapes = [self.guide.conv_shape(level) for level in by_box]
        by_class = [
            self.feature_adaption_cls(level, shape.detach()) for level, shape in zip(by_class, shapes, strict=True)
        ]
        by_box = [self.feature_adaption_reg(level, shape.detach()) for level, shape in zip(by_box, shapes, strict=True)]
        return [self.cls(level) for level in by_class], [self.reg(level) for level in by_box], shapes, locations

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.retina_(cls|reg)\.", r"\1."),
        (r"^bbox_head\.(conv_loc|conv_shape)\.", r"guide.\1."),
        (r"^bbox_head\.((?:cls|reg)_convs|feature_adaption_(?:cls|reg))\.", r"\1."),
    )
