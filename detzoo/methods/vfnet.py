"""VarifocalNet: an IoU-aware dense object detector, arXiv:2008.13367, 2020.

A score is learned as the IoU of the box that it belongs to, by a loss that has good boxes count more. What a box looks
like is read at nine points of it, its star: corners, middles of sides, and the cell itself. The same points give the
score and refine the box by a second look. Which cells learn an object is ATSS's choice, the rest of the head FCOS's.

Departures from the paper: normalization by the positives of the whole batch, with at least one, as the published
weights were trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import Anchors, all_cells
from detzoo.blocks.assign import pick
from detzoo.blocks.atss_assign import AdaptiveSelection
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.layers import Conv2d, ConvNorm, Deform, Norm
from detzoo.blocks.losses import BoxesLoss, BoxLoss, box_loss, mean_over_ranks
from detzoo.blocks.points import around, cell_centres
from detzoo.blocks.towers import PRIOR, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, full_precision, iou
from detzoo.ops.deform_conv import deform_conv
from detzoo.ops.focal import varifocal_loss
from detzoo.types import Detections, Images, Targets


class StarConv(nn.Module):
    """A 3x3 convolution that reads the nine points of a box: section 3.3 of the paper."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, sides: Tensor) -> Tensor:
        """``[N, C, H, W]`` and distances ``[N, 4, H, W]`` to the sides, in cells, to ``[N, C, H, W]``, with ReLU."""
        left, top, right, bottom = sides.unbind(1)
        none = torch.zeros_like(left)
        # the kernel already looks one cell away
        rows, columns = (-top + 1, none, bottom - 1), (-left + 1, none, right - 1)
        shifts = torch.stack([shift for down in rows for across in columns for shift in (down, across)], 1)
        return F.relu_(deform_conv(x, shifts, self.weight, padding=1))


class VFNet(Detector):
    """One-stage detection of boxes from points, and from the points of boxes."""

    class Head(BaseConfig):
        """Settings of VarifocalNet's head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=3, ge=0)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = "gn"
        deform: Deform | None = None  # of the last convolution of each tower; None: an ordinary one
        reach: tuple[float, ...] = (64.0, 128.0, 256.0, 512.0, 1024.0)  # pixels, unit of distances of each level
        star_gradient: float = Field(default=0.1, ge=0, le=1)  # share that first boxes learn from the stars they make
        anchor: float = Field(default=8.0, gt=0)  # strides, edge of the square that decides whether a cell learns
        nearest: int = Field(default=9, ge=1)  # anchors of each level that an object chooses from
        alpha: float = Field(default=0.75, ge=0, le=1)  # weight of negatives in the scores' loss
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent of negatives
        quality_weighted: bool = True  # positives count by their IoU in the scores' loss
        box_loss: BoxesLoss = BoxLoss(kind="giou", weight=1.5)
        refined_loss: BoxesLoss = BoxLoss(kind="giou", weight=2.0)
        candidates: int = Field(default=1000, ge=1)  # best (cell, class) pairs per level that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.6, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image

    class Config(DetectorConfig):
        """Settings of `VFNet`."""

        method: Literal["vfnet"] = "vfnet"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_output", relu_before_extra=True)
        head: VFNet.Head = Field(default_factory=lambda: VFNet.Head())

    def __init__(self, config: VFNet.Config, classes: Sequence[str]) -> None:
        """Build from settings.

        Raises:
            ValueError: ``head.reach`` has not a number for each level.
        """
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        strides = self.neck.strides
        if len(head.reach) != len(strides):
            raise ValueError(f"head.reach has a number for each of {len(strides)} levels, got {head.reach}")
        self.anchors = Anchors(Anchors.Config(scales=(head.anchor,), ratios=(1.0,)), strides)
        self.assign = AdaptiveSelection(head.nearest)
        width = self.neck.channels[0]
        self.cls_convs = tower(width, head.channels, head.convs, head.norm, deform=head.deform)
        self.reg_convs = tower(width, head.channels, head.convs, head.norm, deform=head.deform)
        width = head.channels if head.convs else width
        self.reg_conv = ConvNorm(width, width, 3, norm=head.norm)
        self.reg = Conv2d(width, 4, 3, padding=1)
        self.reg_refine_dconv = StarConv(width)
        self.reg_refine = Conv2d(width, 4, 3, padding=1)
        self.cls_dconv = StarConv(width)
        self.cls = Conv2d(width, len(self.classes), 3, padding=1)
        self.scales = nn.ParameterList(torch.ones(()) for _ in strides)
        self.scales_refine = nn.ParameterList(torch.ones(()) for _ in strides)
        start_small(self.cls_convs, self.reg_convs, self.reg_conv, self.reg, self.reg_refine, self.cls)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (varifocal), ``loss_bbox`` and ``loss_bbox_rf`` (of refined boxes), both by their IoU."""
        logits, refined, first = self.heads(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in logits]
        points = cell_centres(sizes, self.neck.strides, logits[0].device, offset=0.0)
        slot, positive = self.assign(self.anchors(sizes), sizes, targets)
        labels = torch.where(positive, pick(targets.labels, slot), len(self.classes))
        wanted = pick(targets.boxes, slot)
        head, losses = self.head, {}
        quality = torch.zeros_like(wanted[..., 0])
        for name, level, loss in (("bbox", first, head.box_loss), ("bbox_rf", refined, head.refined_loss)):
            boxes = around(points, all_cells(level, 4))
            quality = iou(boxes.detach(), wanted).clamp(min=1e-6) * positive
            losses[f"loss_{name}"] = box_loss(boxes, wanted, quality, loss) / mean_over_ranks(quality.sum(), floor=1.0)
        flat = all_cells(logits, len(self.classes))
        scored = varifocal_loss(flat, labels, quality, head.alpha, head.gamma, head.quality_weighted)
        return {"loss_cls": scored / mean_over_ranks(positive.sum(), floor=1.0), **losses}

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, refined, _ = self.heads(self.neck(self.backbone(images.pixels)))
        points = cell_centres([level.shape[-2:] for level in logits], self.neck.strides, logits[0].device, offset=0.0)
        head, classes = self.head, len(self.classes)
        best = best_pairs(logits, classes, head.threshold, head.candidates)
        boxes = clip(around(points[best.where], pick(all_cells(refined, 4), best.where)), images.sizes)
        return survivors(boxes, best.scores, best.labels, best.used, classes, head.nms, head.detections)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Class logits ``[N, C, H, W]``, refined and first distances to the sides ``[N, 4, H, W]`` in pixels (left,
        top, right, bottom) of each level.
        """
        logits, refined, first = [], [], []
        share = self.head.star_gradient
        of_levels = (self.scales, self.scales_refine, self.head.reach, self.neck.strides)
        for feature, scale, scale_refine, reach, stride in zip(features, *of_levels, strict=True):
            cls, reg = self.cls_convs(feature), self.reg_convs(feature)
            distances = full_precision(self.reg(self.reg_conv(reg)) * scale).exp() * reach
            known = distances.detach()
            star = (known + share * (distances - known)) / stride
            moved = full_precision(self.reg_refine(self.reg_refine_dconv(reg, star)) * scale_refine).exp()
            logits.append(self.cls(self.cls_dconv(cls, star)))
            refined.append(moved * known)
            first.append(distances)
        return logits, refined, first

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.(cls|reg)_convs\.", r"\1_convs."),
        (r"^bbox_head\.vfnet_(\w+)\.", r"\1."),
        (r"^bbox_head\.(scales\w*)\.(\d+)\.scale$", r"\1.\2"),
    )
