"""FCOS: Fully Convolutional One-Stage Object Detection, arXiv:1904.01355, 2019.

No anchors: every cell of a pyramid that lies in an object tells its class and its distances to the object's four sides,
each level objects of its own range of sizes. A third output, the centerness, says how far from the middle of its object
a cell is, and lets suppression prefer the boxes that were told from there.

Departures from the paper: a score is the class score times the centerness, without the square root of the revised paper
(arXiv:2006.09214), as the published numbers were measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import all_cells
from detzoo.blocks.assign import pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.layers import Conv2d, Deform, Norm
from detzoo.blocks.losses import BoxesLoss, BoxLoss, binary_loss, box_loss, mean_over_ranks
from detzoo.blocks.points import around, cell_centres, centerness, per_cell, sides
from detzoo.blocks.towers import PRIOR, searched_tower, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, full_precision, iou
from detzoo.ops.focal import focal_loss
from detzoo.ops.points import smallest_objects
from detzoo.types import Detections, Images, Targets


class FCOS(Detector):
    """One-stage detection of boxes from points."""

    class Head(BaseConfig):
        """Settings of FCOS's head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=4, ge=0)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = "gn"
        bias: bool = False  # a convolution that is followed by a norm has a bias too
        deform: Deform | None = None  # of the last convolution of each tower; None: an ordinary one
        deform_all: bool = False  # all convolutions of a tower are deformed so
        searched: bool = False  # towers are those that NAS-FCOS found; `convs`, `bias` and `deform` are not used
        in_strides: bool = False  # distances are ReLU(x) strides ("norm_on_bbox"); otherwise exp(x) pixels
        centerness_on_reg: bool = False  # centerness is told by the regression tower; otherwise by the class tower
        ranges: tuple[float, ...] = (64.0, 128.0, 256.0, 512.0)  # pixels to the farthest side, where levels meet
        radius: float | None = Field(default=None, gt=0)  # strides from an object's centre that learn it; None: all
        alpha: float = Field(default=0.25, gt=0, lt=1)  # weight of positives in the focal loss
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent
        box_loss: BoxesLoss = BoxLoss(kind="iou")
        loss_in_strides: bool = False  # areas of `box_loss.more` are in squared strides, not in pixels
        # the third output learns the IoU of a cell's box, as `box_loss` has it; then cells' boxes count alike
        learns_iou: bool = False
        candidates: int = Field(default=1000, ge=1)  # best (cell, class) pairs per level that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least class score of a detection
        by_product: bool = False  # `threshold` and candidates are of class score times centerness
        nms: float = Field(default=0.5, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image
        clip: bool = True  # cut boxes off at the borders of the image, and leave out empty ones

    class Config(DetectorConfig):
        """Settings of `FCOS`."""

        method: Literal["fcos"] = "fcos"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_output", relu_before_extra=True)
        head: FCOS.Head = Field(default_factory=lambda: FCOS.Head())

    def __init__(self, config: FCOS.Config, classes: Sequence[str]) -> None:
        """Build from settings.

        Raises:
            ValueError: ``head.ranges`` are not one fewer than the pyramid has levels.
        """
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        if len(head.ranges) != len(self.neck.strides) - 1:
            raise ValueError(f"{len(self.neck.strides)} levels meet at one fewer head.ranges, got {head.ranges}")
        width = self.neck.channels[0]
        self.cls_convs, self.reg_convs = _tower(head, width), _tower(head, width)
        width = head.channels if head.convs or head.searched else width
        self.cls = Conv2d(width, len(self.classes), 3, padding=1)
        self.reg = Conv2d(width, 4, 3, padding=1)
        self.centerness = Conv2d(width, 1, 3, padding=1)
        self.scales = nn.ParameterList(torch.ones(()) for _ in self.neck.strides)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg, self.centerness)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (focal), ``loss_bbox`` (of each cell by its centerness) and ``loss_centerness``."""
        logits, distances, central = self.heads(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in logits]
        points = cell_centres(sizes, self.neck.strides, logits[0].device)
        slot, positive = self._assign(points, sizes, targets)
        labels = torch.where(positive, pick(targets.labels, slot), len(self.classes))
        wanted = pick(targets.boxes, slot)
        centred = centerness(sides(points, wanted), positive)
        count = mean_over_ranks(positive.sum(), floor=1.0)
        found = around(points, all_cells(distances, 4))
        flat = all_cells(logits, len(self.classes))
        everywhere = torch.ones_like(centred)
        head = self.head
        if head.loss_in_strides:
            unit = per_cell(sizes, self.neck.strides, points.device)
            found, wanted = found / unit, wanted / unit
        quality, weights, total = centred, centred, mean_over_ranks(centred.sum(), floor=1e-6)
        if head.learns_iou:
            overlap = iou(full_precision(found.detach()), wanted, more=head.box_loss.more)
            quality, weights, total = torch.where(positive, overlap, 0.0), positive.float(), count
        return {
            "loss_cls": focal_loss(flat, labels, everywhere, head.alpha, head.gamma) / count,
            "loss_bbox": box_loss(found, wanted, weights, head.box_loss) / total,
            "loss_centerness": binary_loss(all_cells(central, 1).squeeze(-1), quality, positive) / count,
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, distances, central = self.heads(self.neck(self.backbone(images.pixels)))
        points = cell_centres([level.shape[-2:] for level in logits], self.neck.strides, logits[0].device)
        head, classes = self.head, len(self.classes)
        quality = central if head.by_product else None
        best = best_pairs(logits, classes, head.threshold, head.candidates, quality)
        boxes = around(points[best.where], pick(all_cells(distances, 4), best.where))
        boxes = clip(boxes, images.sizes) if head.clip else boxes
        scores = best.scores
        if not head.by_product:
            scores = scores * full_precision(pick(all_cells(central, 1).squeeze(-1), best.where)).sigmoid()
        empty = not head.clip
        return survivors(boxes, scores, best.labels, best.used, classes, head.nms, head.detections, empty=empty)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Class logits ``[N, C, H, W]``, distances to the sides ``[N, 4, H, W]`` in pixels (left, top, right, bottom)
        and centerness logits ``[N, 1, H, W]`` of each level.
        """
        logits, distances, central = [], [], []
        for feature, scale, stride in zip(features, self.scales, self.neck.strides, strict=True):
            cls, reg = self.cls_convs(feature), self.reg_convs(feature)
            logits.append(self.cls(cls))
            central.append(self.centerness(reg if self.head.centerness_on_reg else cls))
            told = full_precision(self.reg(reg) * scale)
            distances.append(told.clamp(min=0) * stride if self.head.in_strides else told.exp())
        return logits, distances, central

    @torch.no_grad()
    def _assign(self, points: Tensor, sizes: Sequence[Sequence[int]], targets: Targets) -> tuple[Tensor, Tensor]:
        """The object slot ``[N, A]`` that each point learns, and bool ``[N, A]``: whether it learns one.

        Of the objects that a point lies in, near enough to the centre and of its level's sizes, it learns the smallest
        (sections 3.1 and 3.2; centre sampling: section 2.1 of arXiv:2006.09214).
        """
        strides, radius = self.neck.strides, self.head.radius
        reach = [math.inf if radius is None else stride * radius for stride in strides]
        return smallest_objects(points, sizes, targets.boxes, targets.valid, self.head.ranges, reach)

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.(cls|reg)_convs\.", r"\1_convs."),
        (r"^bbox_head\.(?:conv|fcos)_(cls|reg|centerness)\.", r"\1."),  # "fcos" before MMDetection 2
        (r"^bbox_head\.scales\.(\d+)\.scale$", r"scales.\1"),
    )


def _tower(head: FCOS.Head, inputs: int) -> nn.Sequential:
    if head.searched:
        return searched_tower(inputs, head.channels, head.norm)
    settings = {"bias": head.bias, "deform": head.deform, "deform_all": head.deform_all}
    return tower(inputs, head.channels, head.convs, head.norm, **settings)
