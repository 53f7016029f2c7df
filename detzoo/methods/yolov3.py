"""YOLOv3: An Incremental Improvement, arXiv:1804.02767, 2018.

The cell that holds an object's centre answers for it, with the priors of three maps that fit its shape; every prior
predicts a place within its cell, a size, whether there is an object, and independent class probabilities.

Departures from the paper, as the published weights were trained: every prior of an answering cell that overlaps an
object by more than half learns it, not its best one alone; a prior is background by its own overlap with the objects,
not by that of what it predicts; losses are sums over the batch. ``head.by_shape`` takes none of these, as Darknet and
PaddleDetection do not, whose IoU-aware branch (arXiv:1912.05992) is ``head.iou_aware``. The published results of
MMDetection reach out of their image, which ``head.clip`` decides; those of PaddleDetection end with its last pixel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.darknet import SLOPE, Darknet
from detzoo.blocks.anchors import ShapedAnchors, all_cells
from detzoo.blocks.assign import MatchConfig, match, pick
from detzoo.blocks.class_rows import ClassRows
from detzoo.blocks.dense import survivors
from detzoo.blocks.layers import ConvNorm, Norm, follow_batches
from detzoo.blocks.losses import binary_loss
from detzoo.blocks.yolo_loss import ByShape, answers, losses
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.necks.yolo import YOLONeck
from detzoo.ops.boxes import clip, full_precision, widened
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
        # of the 3x3 convolution of each map before what it predicts, coarsest first; None: twice those of the map
        bridge_channels: tuple[int, ...] | None = Field(default=None, min_length=1)
        norm: Norm = "bn"
        match: MatchConfig = MatchConfig(positive=0.5, negative=0.5, low_quality=0.0, closed=False)
        place_weight: float = Field(default=2.0, ge=0)  # of loss_xy
        size_weight: float = Field(default=2.0, ge=0)  # of loss_wh
        by_shape: ByShape | None = None  # takes the place of `match` and of the weights
        # exponent of a box's predicted IoU in its objectness, that of its probability being the rest; None: no such
        iou_aware: float | None = Field(default=None, ge=0, le=1)
        objectness: float = Field(default=0.005, ge=0, le=1)  # least probability of an object at a prior
        threshold: float = Field(default=0.05, ge=0, le=1)  # least probability of its class
        joint: bool = False  # `threshold` and `candidates` are about probabilities of class and object together
        candidates: int = Field(default=1000, ge=1)  # (prior, class) pairs of best class that enter suppression
        nms: float = Field(default=0.45, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image
        clip: bool = True  # cut boxes off at the borders of the image, after suppression
        last_pixel: bool = False  # boxes end with the last pixel of the image's file, also for suppression
        legacy: bool = False  # suppression takes boxes to be a pixel of the file wider and higher

        @model_validator(mode="after")
        def _fits(self) -> YOLOv3.Head:
            if self.iou_aware is not None and self.by_shape is None:
                raise ValueError("iou_aware is learned with by_shape alone")
            return self

    class Config(DetectorConfig):
        """Settings of `YOLOv3`."""

        method: Literal["yolov3"] = "yolov3"
        input: Input = Input(short=608, long=608, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))
        backbone: AnyBackbone = Darknet.Config()
        neck: YOLONeck.Config = YOLONeck.Config()
        head: YOLOv3.Head = Field(default_factory=lambda: YOLOv3.Head())
        follow_batches: bool = False  # of batch normalization: see `detzoo.blocks.layers.follow_batches`

    def __init__(self, config: YOLOv3.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = YOLONeck(config.neck, self.backbone.channels, self.backbone.strides)
        if len(head.priors) != len(self.neck.channels):
            raise ValueError(f"head.priors is for {len(head.priors)} maps, but there are {len(self.neck.channels)}")
        self.priors = ShapedAnchors(head.priors, self.neck.strides)
        # of the negatives: nothing is positive for being an object's best
        self.apart = head.match.replace(low_quality=None)
        self.bridges, self.outputs = nn.ModuleList(), nn.ModuleList()
        inner = head.bridge_channels or tuple(2 * width for width in self.neck.channels)
        if len(inner) != len(head.priors):
            raise ValueError(f"head.bridge_channels is for {len(inner)} maps, but there are {len(head.priors)}")
        for width, between, priors in zip(self.neck.channels, inner, self.priors.per_cell, strict=True):
            self.bridges.append(ConvNorm(width, between, 3, norm=head.norm, slope=SLOPE))
            self.outputs.append(nn.Conv2d(between, priors * (5 + len(self.classes) + self._aware), 1))
        self._initialize()
        if config.follow_batches:
            follow_batches(self)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls``, ``loss_conf``, ``loss_xy`` and ``loss_wh``, sums over the batch (section 2.1).

        With ``by_shape`` they are those of `detzoo.blocks.yolo_loss.losses`.
        """
        maps = self.maps(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in maps]
        flat = self._flat(maps)
        if self.head.by_shape is not None:
            canvas = images.pixels.shape[-2:]
            found = answers(self.priors, sizes, targets, canvas, len(self.classes))
            here = pick(flat, found.prior)
            every = torch.arange(flat.shape[1], device=flat.device).expand(flat.shape[:2])
            boxes = self._decode(every, sizes, flat[..., :4]), self._decode(found.prior, sizes, here[..., :4])
            wanted = self._encode(found.prior, sizes, targets.boxes)
            return losses(self.head.by_shape, found, (flat, here), boxes, wanted, targets, canvas)
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
        flat = self._flat(maps)
        objectness, scores = self._objectness(flat), flat[..., 5 : 5 + classes].sigmoid()
        both = scores * objectness.unsqueeze(-1)
        scores = both if head.joint else scores
        usable = (scores > head.threshold) & (objectness >= head.objectness).unsqueeze(-1)
        pair, used = rank(scores.flatten(1), usable.flatten(1), head.candidates)
        prior, labels = pair // classes, pair % classes
        best = both.flatten(1).gather(1, pair)
        moves, _ = flat.split([4, flat.shape[2] - 4], 2)  # a slice OpenVINO would leave out before `pick`
        boxes = self._decode(prior, [level.shape[-2:] for level in maps], pick(moves, prior))
        boxes, shown = self._bounded(boxes, images)
        return survivors(boxes, best, labels, used, classes, head.nms, head.detections, shown)

    def maps(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Raw outputs ``[N, p * (5 + C), H, W]`` of each map, p priors per cell: x, y, w, h, object, classes.

        With ``iou_aware`` there are p more in front of them.
        """
        parts = zip(self.bridges, self.outputs, features, strict=True)
        return [output(bridge(feature)) for bridge, output, feature in parts]

    @property
    def _aware(self) -> bool:
        """Whether a prior predicts the IoU of its box."""
        return self.head.iou_aware is not None

    def _flat(self, maps: Sequence[Tensor]) -> Tensor:
        """Raw outputs ``[N, A, 5 + C]`` of all priors, and behind them the logit of the IoU, if that is predicted."""
        width = 5 + len(self.classes)
        if not self._aware:
            return full_precision(all_cells(maps, width))
        counts = self.priors.per_cell
        ious = all_cells([level[:, :count] for level, count in zip(maps, counts, strict=True)], 1)
        rest = all_cells([level[:, count:] for level, count in zip(maps, counts, strict=True)], width)
        return full_precision(torch.cat([rest, ious], 2))

    def _objectness(self, flat: Tensor) -> Tensor:
        """Probability ``[N, A]`` of an object, to which the predicted IoU of its box (arXiv:1912.05992) belongs."""
        told, share = flat[..., 4].sigmoid(), self.head.iou_aware
        if share is None:
            return told
        told = told.pow(1 - share) * flat[..., -1].sigmoid().pow(share)
        return told.clamp(1e-7, 1 / (1 + 1e-7))  # as the original, which makes a logit of it

    def _bounded(self, boxes: Tensor, images: Images) -> tuple[Tensor, Tensor]:
        """Boxes ``[N, K, 4]`` that are suppressed, in pixels of the file or the input, and those that are returned."""
        head = self.head
        if not (head.last_pixel or head.legacy):
            return boxes, clip(boxes, images.sizes) if head.clip else boxes
        scales, across = images.in_files()
        boxes = boxes / across
        if head.last_pixel:
            boxes = clip(boxes, (images.sizes / scales + 1e-3).floor() - 1)  # rounding keeps nothing from being whole
        return widened(boxes) if head.legacy else boxes, boxes * across

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
        parts = zip(self.bridges, self.outputs, self.neck.strides, self.priors.per_cell, strict=True)
        for bridge, output, stride, priors in parts:
            for layer in (*bridge.modules(), output):
                if isinstance(layer, nn.Conv2d):
                    nn.init.normal_(layer.weight, std=0.01)
            bias = torch.zeros(5 + len(self.classes))
            bias[4] = -math.log((608 / stride) ** 2 / 8 - 1)
            bias[5:] = -math.log(99)
            with torch.no_grad():
                nn.init.zeros_(output.get_parameter("bias"))
                output.get_parameter("bias")[priors * self._aware :].view(-1, len(bias)).copy_(bias)

    @property
    def class_rows(self) -> Mapping[str, ClassRows]:
        """Where the classes are in the outputs' weights."""
        return {"outputs": ClassRows(before=5, apart=self._aware)}

    published_names = (
        (r"^bbox_head\.convs_bridge\.", "bridges."),
        (r"^bbox_head\.convs_pred\.", "outputs."),
    )
