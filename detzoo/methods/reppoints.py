"""RepPoints: Point Set Representation for Object Detection, arXiv:1904.11490, 2019.

An object is a set of points. Every cell of a pyramid moves nine points from its own place onto an object, by deformable
convolution reads the features there, and from them tells the class and moves the points once more. Only the box that a
set of points stands for is compared with the object's, so that the points find out by themselves where to look.

Departures from the paper: normalization by the positives of the whole batch with at least one per image, as the
published weights were trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import all_cells, by_cell
from detzoo.blocks.assign import MatchConfig, match, pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.layers import Conv2d, Norm, in_type_of
from detzoo.blocks.losses import BoxLoss, box_loss, mean_over_ranks
from detzoo.blocks.points import cell_centres, middles, per_cell
from detzoo.blocks.towers import PRIOR, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, full_precision
from detzoo.ops.deform_conv import deform_conv
from detzoo.ops.focal import focal_loss
from detzoo.types import Detections, Images, Targets


class RepPoints(Detector):
    """One-stage detection of boxes from sets of points."""

    class Head(BaseConfig):
        """Settings of RepPoints' head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=3, ge=1)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = None
        point_channels: int = Field(default=256, ge=1)  # of the convolutions that read at the points
        points: int = Field(default=9, ge=9)  # of an object: 9, 25, ..., the cells of a kernel
        # the box of points: their mean and learned multiples of their deviations; around all; around the first four;
        # or the points are a grid in a box that is predicted
        box: Literal["moment", "minmax", "partial_minmax", "grid"] = "moment"
        moment_rate: float = Field(default=0.01, ge=0)  # of "moment": its multiples' learning rate, to that of others
        gradient: float = Field(default=0.1, ge=0)  # share of what is read at the points that teaches where they are
        side: float = Field(default=4.0, gt=0)  # strides: edge of an object of a level's size
        # where the first points learn objects: squares of that edge that match; None: one cell, nearest to the centre
        first_match: MatchConfig | None = None
        first_loss: BoxLoss = BoxLoss(kind="smooth_l1", weight=0.5, beta=0.11)  # of boxes, in edges
        match: MatchConfig = MatchConfig(positive=0.5, negative=0.4, low_quality=0.0)  # of the first points' boxes
        box_loss: BoxLoss = BoxLoss(kind="smooth_l1", beta=0.11)
        alpha: float = Field(default=0.25, gt=0, lt=1)  # weight of positives in the focal loss
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent
        candidates: int = Field(default=1000, ge=1)  # best (cell, class) pairs per level that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.5, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image

        @field_validator("points")
        @classmethod
        def _square(cls, points: int) -> int:
            if math.isqrt(points) ** 2 != points or points % 2 == 0:
                raise ValueError("points are the square of an odd number")
            return points

    class Config(DetectorConfig):
        """Settings of `RepPoints`."""

        method: Literal["reppoints"] = "reppoints"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_input")
        head: RepPoints.Head = Field(default_factory=lambda: RepPoints.Head())

    kernel: Tensor

    def __init__(self, config: RepPoints.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.reach = math.isqrt(head.points) // 2  # of a kernel, from its middle
        steps = torch.arange(-self.reach, self.reach + 1.0)
        # down and right of each kernel cell, row by row: where an undeformed convolution looks
        self.register_buffer("kernel", torch.cartesian_prod(steps, steps).view(1, -1, 1, 1), persistent=False)
        width, size = head.channels, 2 * self.reach + 1
        told = 4 if head.box == "grid" else 2 * head.points
        self.cls_convs = tower(self.neck.channels[0], width, head.convs, head.norm)
        self.reg_convs = tower(self.neck.channels[0], width, head.convs, head.norm)
        self.first_conv = Conv2d(width, head.point_channels, 3, padding=1)
        self.first = Conv2d(head.point_channels, told, 1)
        self.cls_conv = Conv2d(width, head.point_channels, size, bias=False)  # this and the next read at the points
        self.cls = Conv2d(head.point_channels, len(self.classes), 1)
        self.reg_conv = Conv2d(width, head.point_channels, size, bias=False)
        self.reg = Conv2d(head.point_channels, told, 1)
        if head.box == "moment":
            self.moment = nn.Parameter(torch.zeros(2))
        start_small(self.cls_convs, self.reg_convs, self.first_conv, self.first, self.cls_conv, self.cls)
        start_small(self.reg_conv, self.reg)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (focal), ``loss_pts_init`` and ``loss_pts_refine``, of the boxes of the first and of the
        moved points.
        """
        logits, first, refined = self.heads(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in logits]
        head, strides = self.head, self.neck.strides
        boxes, refined_boxes = self._in_pixels(first), self._in_pixels(refined)
        edges = per_cell(sizes, [head.side * stride for stride in strides], boxes.device)
        centres = cell_centres(sizes, strides, boxes.device, offset=0.0)
        if head.first_match is None:
            slot, positive = self._nearest(centres, sizes, targets)
        else:
            squares = torch.cat([centres - edges / 2, centres + edges / 2], -1)
            slot, positive, *_ = match(squares, None, targets, head.first_match)
        matches = match(boxes.detach(), None, targets, head.match)
        labels = torch.where(matches.positive, pick(targets.labels, matches.slot), len(self.classes))
        flat, seen = all_cells(logits, len(self.classes)), matches.positive | matches.negative
        count = mean_over_ranks(matches.positive.sum(1).clamp(min=1).sum())
        first_count = mean_over_ranks(positive.sum(1).clamp(min=1).sum())
        first_wanted, wanted = (pick(targets.boxes, which) / edges for which in (slot, matches.slot))
        first_loss = box_loss(boxes / edges, first_wanted, positive.float(), head.first_loss)
        return {
            "loss_cls": focal_loss(flat, labels, seen, head.alpha, head.gamma) / count,
            "loss_pts_init": first_loss / first_count,
            "loss_pts_refine": box_loss(refined_boxes / edges, wanted, matches.positive.float(), head.box_loss) / count,
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, _, refined = self.heads(self.neck(self.backbone(images.pixels)))
        head, classes = self.head, len(self.classes)
        best = best_pairs(logits, classes, head.threshold, head.candidates)
        boxes = clip(pick(self._in_pixels(refined), best.where), images.sizes)
        return survivors(boxes, best.scores, best.labels, best.used, classes, head.nms, head.detections)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Class logits ``[N, C, H, W]`` and the first and the moved points ``[N, 2 P, H, W]`` of each level: of each
        point down and right, in strides from the cell.
        """
        logits, all_first, all_refined = [], [], []
        for feature in features:
            cls, reg = self.cls_convs(feature), self.reg_convs(feature)
            told = full_precision(self.first(F.relu_(self.first_conv(reg))))
            # a grid starts from a square of the level's size
            start = self.kernel * (self.head.side / 2 / self.reach)
            first = self._in_box(told, self.boxes(start)) if self.head.box == "grid" else told
            shifts = first.detach().lerp(first, self.head.gradient) - self.kernel
            cls, reg = (self._at(shifts, *pair) for pair in ((cls, self.cls_conv), (reg, self.reg_conv)))
            told, fixed = full_precision(self.reg(reg)), first.detach()
            logits.append(self.cls(cls))
            all_first.append(first)
            all_refined.append(self._in_box(told, self.boxes(fixed)) if self.head.box == "grid" else fixed + told)
        return logits, all_first, all_refined

    def boxes(self, points: Tensor) -> Tensor:
        """The box ``[N, 4, H, W]`` of each cell's ``points [N, 2 P, H, W]``, xyxy in strides from the cell; section
        3.2.
        """
        points = points.unflatten(1, (-1, 2)).flip(2)  # x, then y
        if self.head.box == "moment":
            rate = self.head.moment_rate
            growth = full_precision(self.moment * rate + self.moment.detach() * (1 - rate)).exp()
            std, middle = torch.std_mean(points, 1)
            half = std * growth.view(2, 1, 1)
            return torch.cat([middle - half, middle + half], 1)
        if self.head.box == "partial_minmax":
            points = points[:, :4]
        return torch.cat([points.amin(1), points.amax(1)], 1)

    def _in_box(self, told: Tensor, boxes: Tensor) -> Tensor:
        """A grid of points ``[N, 2 P, H, W]`` in ``boxes [N, 4, H, W]`` moved by what is ``told [N, 4, H, W]``: the
        shift in edges of the box, and the logarithm of its growth, both right, then down.
        """
        low, high = boxes.chunk(2, 1)
        edges = (high - low).clamp(min=1e-6)
        middle = (low + high) / 2 + edges * told[:, :2]
        edges = edges * told[:, 2:].exp()
        middle, edges = (part.flip(1).repeat(1, self.head.points, 1, 1) for part in (middle, edges))
        return middle + edges * (self.kernel / (2 * self.reach))

    def _at(self, shifts: Tensor, x: Tensor, conv: Conv2d) -> Tensor:
        """ReLU of ``conv`` reading ``x [N, C, H, W]`` at ``shifts [N, 2 P, H, W]`` of its kernel."""
        return F.relu_(deform_conv(in_type_of(conv, x), shifts, conv.weight, padding=self.reach))

    def _in_pixels(self, points: Sequence[Tensor]) -> Tensor:
        """Boxes ``[N, A, 4]`` of the ``points [N, 2 P, H, W]`` of each level, in pixels of the network input."""
        sizes, strides = [level.shape[-2:] for level in points], self.neck.strides
        boxes = [by_cell(self.boxes(level), 4) * stride for level, stride in zip(points, strides, strict=True)]
        return torch.cat(boxes, 1) + cell_centres(sizes, strides, boxes[0].device, offset=0.0).repeat(1, 2)

    @torch.no_grad()
    def _nearest(self, centres: Tensor, sizes: Sequence[Sequence[int]], targets: Targets) -> tuple[Tensor, Tensor]:
        """The object slot ``[N, A]`` that each cell learns, and bool ``[N, A]``: whether it learns one; section 3.3.

        An object has the level of its size, and there the cell at ``centres [A, 2]`` nearest to its centre. Of several
        a cell learns the nearest, in edges of the object.
        """
        middle = middles(targets.boxes)
        edges = (targets.boxes[..., 2:] - targets.boxes[..., :2]).clamp(min=1e-6)
        size = (edges / self.head.side).log2().mean(-1)  # of a level: the stride's logarithm
        where, start = torch.zeros_like(targets.labels), 0
        for number, ((height, width), stride) in enumerate(zip(sizes, self.neck.strides, strict=True)):
            x, y = (middle / stride - 0.5).ceil().nan_to_num().unbind(-1)  # halfway between two cells: the first
            cell = start + y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()
            where = cell if number == 0 else torch.where(size >= math.log2(stride), cell, where)
            start += height * width
        apart = ((centres[where] - middle) / edges).square().sum(-1)
        apart = torch.where(targets.valid, apart, torch.inf)
        least = apart.new_full((len(apart), len(centres)), torch.inf).scatter_reduce(1, where, apart, "amin")
        slots = apart.shape[1]
        number = torch.arange(slots, device=apart.device)
        wins = targets.valid & (apart == least.gather(1, where))
        slot = torch.full_like(least, slots, dtype=torch.int64)
        slot = slot.scatter_reduce(1, where, torch.where(wins, number, slots), "amin")
        positive = slot < slots
        return slot * positive, positive

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.(cls|reg)_convs\.", r"\1_convs."),
        (r"^bbox_head\.reppoints_cls_out\.", "cls."),
        (r"^bbox_head\.reppoints_cls_conv\.", "cls_conv."),
        (r"^bbox_head\.reppoints_pts_init_out\.", "first."),
        (r"^bbox_head\.reppoints_pts_init_conv\.", "first_conv."),
        (r"^bbox_head\.reppoints_pts_refine_out\.", "reg."),
        (r"^bbox_head\.reppoints_pts_refine_conv\.", "reg_conv."),
        (r"^bbox_head\.moment_transfer$", "moment"),
    )
