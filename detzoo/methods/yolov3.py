"""YOLOv3: An Incremental Improvement, arXiv:1804.02767, 2018.

The cell that holds an object's centre answers for it, with the priors of three maps that fit its shape; every prior
predicts a place within its cell, a size, whether there is an object, and independent class probabilities.

Departures from the paper, as the published weights were trained: every prior of an answering cell that overlaps an
object by more than half learns it, not its best one alone; a prior is background by its own overlap with the objects,
not by that of what it predicts; losses are sums over the batch. The published results reach out of their image, which
``head.clip`` decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.darknet import SLOPE, Darknet
from detzoo.blocks.anchors import ShapedAnchors, all_cells
from detzoo.blocks.assign import MatchConfig, match, pick
from detzoo.blocks.class_rows import ClassRows
from detzoo.blocks.dense import survivors
from detzoo.blocks.layers import ConvNorm, Norm
from detzoo.blocks.losses import binary_loss
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.necks.yolo import YOLONeck
from detzoo.ops.boxes import clip, full_precision
from detzoo.ops.nms import rank
from detzoo.types import Detections, Images, Targets

EPS = 1e-6  # a wanted place within a cell stays this far from its borders, where its logit would be infinite
LARGEST = 10.0  # logarithm of the largest ratio of a box to its prior: keeps boxes finite


class Learned(NamedTuple):
    """What each of A priors learns.

    Attributes:
        slot: int64 ``[N, A]``, object slot of a positive; 0 elsewhere.
        positive: bool ``[N, A]``.
        negative: bool ``[N, A]``, learns that there is no object.
    """

    slot: Tensor
    positive: Tensor
    negative: Tensor


class YOLOv3(Detector):
    """One-stage detection of boxes from the cells that objects are centred in."""

    class Head(BaseConfig):
        """Settings of YOLOv3's head: its priors, what it learns from, and what it returns."""

        # width and height in pixels of the priors of each map, coarsest first (section 2.3)
        priors: tuple[tuple[tuple[float, float], ...], ...] = (
            ((116, 90), (156, 198), (373, 326)),
            ((30, 61), (62, 45), (59, 119)),
            ((10, 13), (16, 30), (33, 23)),
        )
        norm: Norm = "bn"
        match: MatchConfig = MatchConfig(positive=0.5, negative=0.5, low_quality=0.0, closed=False)
        place_weight: float = Field(default=2.0, ge=0)  # of loss_xy
        size_weight: float = Field(default=2.0, ge=0)  # of loss_wh
        objectness: float = Field(default=0.005, ge=0, le=1)  # least probability of an object at a prior
        threshold: float = Field(default=0.05, ge=0, le=1)  # least probability of its class
        candidates: int = Field(default=1000, ge=1)  # (prior, class) pairs of best class that enter suppression
        nms: float = Field(default=0.45, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image
        clip: bool = True  # cut boxes off at the borders of the image, after suppression

    class Config(DetectorConfig):
        """Settings of `YOLOv3`."""

        method: Literal["yolov3"] = "yolov3"
        input: Input = Input(short=608, long=608, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))
        backbone: Darknet.Config = Darknet.Config()
        neck: YOLONeck.Config = YOLONeck.Config()
        head: YOLOv3.Head = Field(default_factory=lambda: YOLOv3.Head())

    def __init__(self, config: YOLOv3.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = Darknet(config.backbone)
        self.neck = YOLONeck(config.neck, self.backbone.channels, self.backbone.strides)
        if len(head.priors) != len(self.neck.channels):
            raise ValueError(f"head.priors is for {len(head.priors)} maps, but there are {len(self.neck.channels)}")
        self.priors = ShapedAnchors(head.priors, self.neck.strides)
        # of the negatives: nothing is positive for being an object's best
        self.apart = head.match.replace(low_quality=None)
        self.bridges, self.outputs = nn.ModuleList(), nn.ModuleList()
        for width, priors in zip(self.neck.channels, self.priors.per_cell, strict=True):
            self.bridges.append(ConvNorm(width, 2 * width, 3, norm=head.norm, slope=SLOPE))
            self.outputs.append(nn.Conv2d(2 * width, priors * (5 + len(self.classes)), 1))
        self._initialize()

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls``, ``loss_conf``, ``loss_xy`` and ``loss_wh``, sums over the batch (section 2.1)."""
        maps = self.maps(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in maps]
        flat = full_precision(all_cells(maps, 5 + len(self.classes)))
        learned = self._assign(sizes, targets)
        # an object makes one cell of each map answer, so that all positives fit these slots
        most = min(targets.valid.shape[1] * sum(self.priors.per_cell), flat.shape[1])
        here, index = learned.positive.float().topk(most, dim=1)
        here = here.unsqueeze(-1)
        some, slot = pick(flat, index), pick(learned.slot, index)
        place, size = self._encode(index, sizes, pick(targets.boxes, slot))
        labels = pick(targets.labels, slot).unsqueeze(-1) == torch.arange(len(self.classes), device=flat.device)
        seen = learned.positive | learned.negative
        return {
            "loss_cls": binary_loss(some[..., 5:], labels, here),
            "loss_conf": binary_loss(flat[..., 4], learned.positive, seen),
            "loss_xy": binary_loss(some[..., :2], place, here) * self.head.place_weight,
            "loss_wh": ((some[..., 2:4] - size).square() * here).sum() * self.head.size_weight,
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        head, classes = self.head, len(self.classes)
        maps = self.maps(self.neck(self.backbone(images.pixels)))
        flat = full_precision(all_cells(maps, 5 + classes))
        moves, objectness, scores = flat.split([4, 1, classes], 2)
        objectness, scores = objectness.squeeze(2).sigmoid(), scores.sigmoid()
        usable = (scores > head.threshold) & (objectness >= head.objectness).unsqueeze(-1)
        pair, used = rank(scores.flatten(1), usable.flatten(1), head.candidates)
        prior, labels = pair // classes, pair % classes
        best = scores.flatten(1).gather(1, pair) * objectness.gather(1, prior)
        boxes = self._decode(prior, [level.shape[-2:] for level in maps], pick(moves, prior))
        shown = clip(boxes, images.sizes) if head.clip else boxes
        return survivors(boxes, best, labels, used, classes, head.nms, head.detections, shown)

    def maps(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Raw outputs ``[N, p * (5 + C), H, W]`` of each map, p priors per cell: x, y, w, h, object, classes."""
        parts = zip(self.bridges, self.outputs, features, strict=True)
        return [output(bridge(feature)) for bridge, output, feature in parts]

    @torch.no_grad()
    def _assign(self, sizes: Sequence[Sequence[int]], targets: Targets) -> Learned:
        """Positives are priors of answering cells, by overlap; all that overlap no object enough are negatives."""
        priors = self.priors(sizes)
        near = match(priors, self._answering(sizes, targets), targets, self.head.match)
        far = match(priors, None, targets, self.apart).negative
        return Learned(near.slot, near.positive, far & ~near.positive)

    def _answering(self, sizes: Sequence[Sequence[int]], targets: Targets) -> Tensor:
        """Bool ``[N, A]``: priors of cells that hold the centre of an object."""
        centre = (targets.boxes[..., :2] + targets.boxes[..., 2:]) * 0.5
        levels = []
        for (height, width), step, count in zip(sizes, self.priors.steps, self.priors.per_cell, strict=True):
            column, row = (centre / step).floor().long().unbind(-1)
            cell = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            # slots without an object mark a cell that is not there
            cell = torch.where(targets.valid, cell, height * width)
            marks = torch.zeros(len(cell), height * width + 1, dtype=torch.bool, device=cell.device)
            marks = marks.scatter(1, cell, True)[:, :-1]
            levels.append(marks.unsqueeze(-1).expand(-1, -1, count).flatten(1))
        return torch.cat(levels, 1)

    def _encode(self, index: Tensor, sizes: Sequence[Sequence[int]], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Wanted place within the cell, in [0, 1], and log size ratio, of ``boxes [N, K, 4]`` at priors ``index``."""
        centre, size, step = self._geometry(index, sizes)
        place = ((boxes[..., :2] + boxes[..., 2:]) * 0.5 - centre) / step + 0.5
        return place.clamp(EPS, 1 - EPS), ((boxes[..., 2:] - boxes[..., :2]) / size).clamp(min=EPS).log()

    def _decode(self, index: Tensor, sizes: Sequence[Sequence[int]], moves: Tensor) -> Tensor:
        """Boxes ``[N, K, 4]`` of raw outputs ``moves [N, K, 4]`` at priors ``index [N, K]``."""
        centre, size, step = self._geometry(index, sizes)
        centre = centre + (moves[..., :2].sigmoid() - 0.5) * step
        half = size * 0.5 * moves[..., 2:].clamp(max=LARGEST).exp()
        return torch.cat([centre - half, centre + half], -1)

    def _geometry(self, index: Tensor, sizes: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Centre and size ``[N, K, 2]`` of the priors at ``index``, and the distance of their cells ``[N, K, 1]``."""
        priors = self.priors(sizes)
        steps = torch.cat(
            [
                priors.new_full((height * width * count,), step)
                for (height, width), step, count in zip(sizes, self.priors.steps, self.priors.per_cell, strict=True)
            ]
        )
        boxes = priors[index]
        return (boxes[..., :2] + boxes[..., 2:]) * 0.5, boxes[..., 2:] - boxes[..., :2], steps[index].unsqueeze(-1)

    def _initialize(self) -> None:
        """Eight objects per map of a 608 pixel input, each class with 1 %, so that the first steps are stable."""
        for bridge, output, stride in zip(self.bridges, self.outputs, self.neck.strides, strict=True):
            for layer in (*bridge.modules(), output):
                if isinstance(layer, nn.Conv2d):
                    nn.init.normal_(layer.weight, std=0.01)
            bias = torch.zeros(5 + len(self.classes))
            bias[4] = -math.log((608 / stride) ** 2 / 8 - 1)
            bias[5:] = -math.log(99)
            with torch.no_grad():
                output.get_parameter("bias").view(-1, len(bias)).copy_(bias)

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"outputs": ClassRows(before=5)}
    published_names = (
        (r"^backbone\.", "backbone."),
        (r"^neck\.", "neck."),
        (r"^bbox_head\.convs_bridge\.", "bridges."),
        (r"^bbox_head\.convs_pred\.", "outputs."),
    )
