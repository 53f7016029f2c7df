"""FoveaBox: Beyond Anchor-Based Object Detector, arXiv:1904.03797, 2019.

Every cell of a pyramid tells the classes of the objects in whose middle, the fovea, it lies, and the sides of their
boxes. Each level takes objects of a range of sizes that overlaps those of its neighbours. The aligned form first tells
the box, and reads the features of the class where that box says.

Departures from the paper: class losses are normalized by the positives of the whole batch and one more per image, as
the published weights were trained.
"""

from __future__ import annotations

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
from detzoo.blocks.layers import Conv2d, ConvNorm, FeatureAdaption, Norm
from detzoo.blocks.losses import BoxLoss, OffsetsLoss, box_loss, mean_over_ranks
from detzoo.blocks.points import around, cell_centres, per_cell, sides
from detzoo.blocks.towers import PRIOR, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import area, clip, full_precision
from detzoo.ops.focal import focal_loss
from detzoo.ops.regions import paint
from detzoo.types import Detections, Images, Targets

MOST = 16.0  # edges that a side is learned to be away at most, and the other way the least


class FoveaBox(Detector):
    """One-stage detection of boxes from the middles of objects."""

    class Head(BaseConfig):
        """Settings of FoveaBox's head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=4, ge=1)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = None
        align: bool = False  # classes are told where the box says, by two convolutions of four times the channels
        deform_groups: int = Field(default=4, ge=1)  # of channels, each with shifts of its own, where aligned
        edges: tuple[float, ...] = (16.0, 32.0, 64.0, 128.0, 256.0)  # pixels, of each level: the unit of its distances
        # pixels, of each level: least and largest geometric mean of the edges of an object that it learns
        ranges: tuple[tuple[float, float], ...] = (
            *((1.0, 64.0), (32.0, 128.0), (64.0, 256.0), (128.0, 512.0), (256.0, 2048.0)),
        )
        fovea: float = Field(default=0.4, gt=0, le=1)  # edges of an object's middle, as a share of its own
        alpha: float = Field(default=0.4, gt=0, lt=1)  # weight of positives in the focal loss
        gamma: float = Field(default=1.5, ge=0)  # focusing exponent
        box_loss: OffsetsLoss = BoxLoss(kind="smooth_l1", beta=0.11)  # of logarithms of distances
        candidates: int = Field(default=1000, ge=1)  # best (cell, class) pairs per level that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.5, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image
        empty: bool = True  # a detection may have no width or no height

    class Config(DetectorConfig):
        """Settings of `FoveaBox`."""

        method: Literal["foveabox"] = "foveabox"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_input")
        head: FoveaBox.Head = Field(default_factory=lambda: FoveaBox.Head())

    def __init__(self, config: FoveaBox.Config, classes: Sequence[str]) -> None:
        """Build from settings.

        Raises:
            ValueError: ``head.edges`` or ``head.ranges`` are not as many as the pyramid has levels.
        """
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        levels = len(self.neck.strides)
        if not len(head.edges) == len(head.ranges) == levels:
            raise ValueError(
                f"{levels} levels have as many head.edges and head.ranges, got {head.edges}, {head.ranges}"
            )
        inputs, width = self.neck.channels[0], head.channels
        self.reg_convs = tower(inputs, width, head.convs, head.norm)
        self.reg = Conv2d(width, 4, 3, padding=1)
        if head.align:
            wide = 4 * width
            self.cls_convs = nn.Sequential(
                ConvNorm(width, wide, 3, norm=head.norm), ConvNorm(wide, wide, 1, norm=head.norm)
            )
            self.cls = Conv2d(wide, len(self.classes), 3, padding=1)
        else:
            self.cls_convs = tower(inputs, width, head.convs, head.norm)
            self.cls = Conv2d(width, len(self.classes), 3, padding=1)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)
        if head.align:
            self.feature_adaption = FeatureAdaption(inputs, width, head.deform_groups, told=4)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (focal) and ``loss_bbox``."""
        logits, distances = self.heads(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in logits]
        slot, positive = self._assign(sizes, targets)
        labels = torch.where(positive, pick(targets.labels, slot), len(self.classes))
        points = cell_centres(sizes, self.neck.strides, logits[0].device)
        far = sides(points, pick(targets.boxes, slot)) / per_cell(sizes, self.head.edges, points.device)
        flat, head = all_cells(logits, len(self.classes)), self.head
        count = positive.sum()
        seen = torch.ones_like(positive)
        loss = box_loss(all_cells(distances, 4), far.clamp(1 / MOST, MOST).log(), positive.float(), head.box_loss)
        return {
            "loss_cls": focal_loss(flat, labels, seen, head.alpha, head.gamma)
            / mean_over_ranks(count + positive.shape[0]),
            "loss_bbox": loss / mean_over_ranks(count, floor=1.0),
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, distances = self.heads(self.neck(self.backbone(images.pixels)))
        sizes, head, classes = [level.shape[-2:] for level in logits], self.head, len(self.classes)
        best = best_pairs(logits, classes, head.threshold, head.candidates)
        points = cell_centres(sizes, self.neck.strides, logits[0].device)
        far = full_precision(pick(all_cells(distances, 4), best.where)).exp()
        far = far * per_cell(sizes, head.edges, points.device)[best.where]
        boxes = clip(around(points[best.where], far), images.sizes - 1)
        empty = head.empty
        return survivors(boxes, best.scores, best.labels, best.used, classes, head.nms, head.detections, empty=empty)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Class logits ``[N, C, H, W]`` of each level and distances to the sides ``[N, 4, H, W]`` (left, top, right,
        bottom), as logarithms in edges of the level.
        """
        distances = [self.reg(self.reg_convs(feature)) for feature in features]
        if self.head.align:
            features = [
                self.feature_adaption(feature, far.exp()) for feature, far in zip(features, distances, strict=True)
            ]
        return [self.cls(self.cls_convs(feature)) for feature in features], distances

    @torch.no_grad()
    def _assign(self, sizes: Sequence[Sequence[int]], targets: Targets) -> tuple[Tensor, Tensor]:
        """The object slot ``[N, A]`` that each cell learns, and bool ``[N, A]``: whether it learns one; section 3.3.

        Of the objects of its level in whose middle it lies a cell learns the smallest, the last of equals. The middle
        of an object at the border of the picture has a cell there, too.
        """
        scale = torch.where(targets.valid, area(targets.boxes).sqrt(), -1.0)
        scale, order = scale.sort(dim=1, descending=True, stable=True)  # the smallest is painted last
        boxes = pick(targets.boxes, order)
        middle = (boxes[..., :2] + boxes[..., 2:]) / 2
        reach = (boxes[..., 2:] - boxes[..., :2]) / 2 * self.head.fovea
        found = []
        for (height, width), stride, (least, most) in zip(sizes, self.neck.strides, self.head.ranges, strict=True):
            first = ((middle - reach) / stride - 0.5).ceil()
            last = ((middle + reach) / stride - 0.5).floor()
            columns, rows = torch.stack([first, last], -2).nan_to_num().unbind(-1)
            columns, rows = columns.clamp(0, width - 1).long(), rows.clamp(0, height - 1).long()
            cells = torch.stack([columns, rows], -1).flatten(2)
            shown = (scale >= least) & (scale <= most) & (scale >= 0)
            found.append(paint(cells, shown, height, width).flatten(1))
        place = torch.cat(found, 1)
        positive = place >= 0
        return order.gather(1, place.clamp(min=0)) * positive, positive

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.(cls_convs|reg_convs|feature_adaption)\.", r"\1."),
        (r"^bbox_head\.conv_(cls|reg)\.", r"\1."),
    )
