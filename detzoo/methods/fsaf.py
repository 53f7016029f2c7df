"""FSAF: Feature Selective Anchor-Free Module for Single-Shot Object Detection, arXiv:1903.00621, 2019.

RetinaNet without anchors: each cell tells a class and four distances to the sides of a box. No size decides on which
level of the pyramid an object is learned: the one whose cells in the object's middle have the smallest loss does.

Departures from the paper, as the published weights were trained: the branch without anchors alone, with IoU loss and
distances that are rectified, so that they begin positive; what is near an object, or in the middle of a larger one too,
learns no background of that object's class, and a cell near two objects of one class learns neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import all_cells
from detzoo.blocks.assign import pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.layers import Conv2d, Norm
from detzoo.blocks.losses import BoxesLoss, BoxLoss, box_loss, box_losses, mean_over_ranks
from detzoo.blocks.points import around, cell_centres, per_cell
from detzoo.blocks.towers import PRIOR, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import area, clip, full_precision
from detzoo.ops.focal import focal_loss, focal_losses
from detzoo.types import Detections, Images, Targets

_HIDDEN = -100.0  # logit of a class that is not learned: as background it has no loss and no gradient
_NEVER = 1e6  # loss of an object on a level without a cell in its middle
_CHUNK = 16  # objects that are compared with all cells at once: bounds the memory


class Cells(NamedTuple):
    """What A cells learn.

    Attributes:
        slot: int64 ``[N, A]``, object slot that a positive learns from; 0 elsewhere.
        positive: bool ``[N, A]``.
        hidden: bool ``[N, A, C]``, classes that a cell does not learn.
        used: bool ``[N, A]``, cells that learn at all.
    """

    slot: Tensor
    positive: Tensor
    hidden: Tensor
    used: Tensor


class FSAF(Detector):
    """One-stage detection of boxes from cells, each object on the level that finds it best."""

    class Head(BaseConfig):
        """Settings of the head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=4, ge=0)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = None
        cell: float = Field(default=1.0, gt=0)  # edge of the square that stands for a cell, in strides
        unit: float = Field(default=4.0, gt=0)  # of distances, in edges of that square
        middle: float = Field(default=0.2, gt=0, le=1)  # share of an object's edges whose cells are positive
        near: float = Field(default=0.2, gt=0)  # share outside of which cells are background
        least: float = Field(default=0.01, ge=0, lt=1)  # share of a cell's square that lies in either, at least
        left_out: float = Field(default=0.5, gt=0, le=1)  # share of the edges of ignored regions: cells learn nothing
        alpha: float = Field(default=0.25, gt=0, lt=1)  # weight of positives in the focal loss
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent
        box_loss: BoxesLoss = BoxLoss(kind="iou")
        candidates: int = Field(default=1000, ge=1)  # best (cell, class) pairs per level that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.5, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image

    class Config(DetectorConfig):
        """Settings of `FSAF`."""

        method: Literal["fsaf"] = "fsaf"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_input")
        head: FSAF.Head = Field(default_factory=lambda: FSAF.Head())

    def __init__(self, config: FSAF.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        width = self.neck.channels[0]
        self.cls_convs, self.reg_convs = (tower(width, head.channels, head.convs, head.norm) for _ in range(2))
        width = head.channels if head.convs else width
        self.cls = Conv2d(width, len(self.classes), 3, padding=1)
        self.reg = Conv2d(width, 4, 3, padding=1)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)
        nn.init.constant_(self.reg.get_parameter("bias"), 0.25)  # a box that begins without an area learns nothing

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (focal) and ``loss_bbox``."""
        head, classes = self.head, len(self.classes)
        logits, distances = self.heads(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in logits]
        cells = self._assign(sizes, targets)
        # a box has an area, so that its loss is finite
        boxes = self._boxes(sizes, all_cells(distances, 4).clamp(min=1e-4))
        flat, wanted = full_precision(all_cells(logits, classes)), pick(targets.boxes, cells.slot)
        own = pick(targets.labels, cells.slot)
        chosen = self._chosen(sizes, flat, boxes, wanted, own, cells, targets)
        refused = (cells.positive & ~chosen).unsqueeze(2)
        hidden = cells.hidden | (refused & (own.unsqueeze(2) == torch.arange(classes, device=own.device)))
        labels = torch.where(chosen, own, classes)
        number, background = mean_over_ranks(chosen.sum()), mean_over_ranks((cells.used & ~cells.positive).sum())
        count = torch.where(number > 0, number, background.clamp(min=1))
        seen = flat.masked_fill(hidden, _HIDDEN)
        return {
            "loss_cls": focal_loss(seen, labels, cells.used, head.alpha, head.gamma) / count,
            "loss_bbox": box_loss(boxes, wanted, chosen.float(), head.box_loss) / count,
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        head, classes = self.head, len(self.classes)
        logits, distances = self.heads(self.neck(self.backbone(images.pixels)))
        best = best_pairs(logits, classes, head.threshold, head.candidates)
        boxes = self._boxes([level.shape[-2:] for level in logits], all_cells(distances, 4))
        boxes = clip(pick(boxes, best.where), images.sizes)
        return survivors(boxes, best.scores, best.labels, best.used, classes, head.nms, head.detections)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Class logits ``[N, C, H, W]`` and distances to the sides ``[N, 4, H, W]`` (top, bottom, left, right) in
        ``unit`` edges of a cell's square of each level.
        """
        logits = [self.cls(self.cls_convs(level)) for level in features]
        return logits, [F.relu(self.reg(self.reg_convs(level))) for level in features]

    def _boxes(self, sizes: Sequence[Sequence[int]], distances: Tensor) -> Tensor:
        """Boxes ``[N, A, 4]`` at ``distances [N, A, 4]`` from the corners of the cells, which are their points."""
        strides, edge = self.neck.strides, self.head.unit * self.head.cell
        top, bottom, left, right = full_precision(distances).unbind(-1)
        far = torch.stack([left, top, right, bottom], -1) * per_cell(sizes, strides, distances.device) * edge
        return around(cell_centres(sizes, strides, distances.device, offset=0.0), far)

    @torch.no_grad()
    def _assign(self, sizes: Sequence[Sequence[int]], targets: Targets) -> Cells:
        """Which object each cell may learn, on all levels, and which classes it does not; section 3.2, effective and
        ignoring regions. Of several objects a cell learns the smallest, the last of equals.
        """
        head, classes = self.head, len(self.classes)
        size = torch.where(targets.valid, area(targets.boxes), torch.inf)
        order = size.sort(dim=1, descending=True, stable=True).indices  # the smallest come last
        boxes, valid, labels = (pick(part, order) for part in (targets.boxes, targets.valid, targets.labels))
        ignore = pick(targets.ignore, order)
        numbers = torch.arange(order.shape[1], device=order.device)
        found = []
        for (height, width), stride in zip(sizes, self.neck.strides, strict=True):
            x, y = (torch.arange(cells, device=boxes.device) * float(stride) for cells in (width, height))
            half = stride * head.cell / 2
            best = torch.full((boxes.shape[0], height * width), -1, device=boxes.device)
            around = torch.zeros(boxes.shape[0], classes, height * width, dtype=torch.int32, device=boxes.device)
            out = torch.zeros_like(best, dtype=torch.bool)
            for some in (slice(start, start + _CHUNK) for start in range(0, order.shape[1], _CHUNK)):
                objects, shown = boxes[:, some], valid[:, some, None]
                core = _covers(_scaled(objects, head.middle), x, y, half, head.least) & _holds(objects, x, y) & shown
                close = core | (_covers(_scaled(objects, head.near), x, y, half, head.least) & shown)
                best = torch.maximum(best, torch.where(core, numbers[some, None], -1).amax(1))
                around.scatter_add_(1, labels[:, some, None].expand(close.shape), close.int())
                out |= (_holds(_scaled(objects, head.left_out), x, y) & ignore[:, some, None]).any(1)
            found.append((best, around, out))
        best, around, out = (torch.cat(parts, -1) for parts in zip(*found, strict=True))
        # of the objects of its own class a positive is near that one alone
        own = pick(labels, best.clamp(min=0)).unsqueeze(1)
        positive = (best >= 0) & ~out & (around.gather(1, own).squeeze(1) == 1)
        around.scatter_add_(1, own, -positive.int().unsqueeze(1))
        slot = order.gather(1, best.clamp(min=0)) * positive
        return Cells(slot, positive, (around > 0).transpose(1, 2), ~out)

    @torch.no_grad()
    def _chosen(
        self,
        sizes: Sequence[Sequence[int]],
        logits: Tensor,
        boxes: Tensor,
        wanted: Tensor,
        own: Tensor,
        cells: Cells,
        targets: Targets,
    ) -> Tensor:
        """Bool ``[N, A]``: positives on the level where their object's mean loss is smallest; equations 1 and 2."""
        head, levels = self.head, len(sizes)
        labels = torch.where(cells.positive, own, logits.shape[2])
        seen = logits.masked_fill(cells.hidden, _HIDDEN)
        loss = focal_losses(seen, labels, cells.positive.float(), head.alpha, head.gamma)
        loss = torch.where(cells.positive, loss + head.box_loss.weight * box_losses(boxes, wanted, head.box_loss), 0.0)
        level = per_cell(sizes, range(levels), boxes.device).squeeze(1).long()
        group = cells.slot * levels + level
        total = loss.new_zeros(loss.shape[0], targets.valid.shape[1] * levels)
        count = total.scatter_add(1, group, cells.positive.to(loss))
        mean = torch.where(count > 0, total.scatter_add(1, group, loss) / count.clamp(min=1), _NEVER)
        best = mean.unflatten(1, (-1, levels)).argmin(2)
        return cells.positive & (best.gather(1, cells.slot) == level)

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.retina_(cls|reg)\.", r"\1."),
        (r"^bbox_head\.(cls|reg)_convs\.", r"\1_convs."),
    )


def _scaled(boxes: Tensor, share: float) -> Tensor:
    """Boxes ``[..., 4]`` around the same middle with a ``share`` of their edges."""
    middle, half = (boxes[..., 2:] + boxes[..., :2]) * 0.5, (boxes[..., 2:] - boxes[..., :2]) * 0.5 * share
    return torch.cat([middle - half, middle + half], -1)


def _covers(boxes: Tensor, x: Tensor, y: Tensor, half: float, least: float) -> Tensor:
    """Bool ``[N, G, H * W]``: squares around ``x [W]`` and ``y [H]`` of whose area ``boxes [N, G, 4]`` cover more than
    ``least``.
    """
    left, top, right, bottom = boxes.unsqueeze(3).unbind(2)
    wide = (torch.minimum(x + half, right) - torch.maximum(x - half, left)).clamp(min=0)
    high = (torch.minimum(y + half, bottom) - torch.maximum(y - half, top)).clamp(min=0)
    return (high.unsqueeze(3) * wide.unsqueeze(2) / (2 * half) ** 2 > least).flatten(2)


def _holds(boxes: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bool ``[N, G, H * W]``: points at columns ``x [W]`` and rows ``y [H]`` inside of ``boxes [N, G, 4]``."""
    left, top, right, bottom = boxes.unsqueeze(3).unbind(2)
    return (((y > top) & (y < bottom)).unsqueeze(3) & ((x > left) & (x < right)).unsqueeze(2)).flatten(2)
