"""SSD: Single Shot MultiBox Detector, arXiv:1512.02325, 2015.

Feature maps of falling resolution each predict classes and offsets of a few default boxes per cell in one pass. Only
the hardest background boxes are learned from, three for every positive.

Departures from the paper, as the published weights were trained: the sizes of default boxes are whole pixels, and their
offsets are divided by 0.1 and 0.2. A map that is smaller than the kernel on it is filled up with zeros, so that every
input size works; an object that overlaps no default box at all is not learned. PaddleDetection's weights were trained
with unlike default boxes, and with all positives of a batch counted together (``head.alone``); its BlazeFace and
FaceBoxes are SSDs of square ones. There the very first default box is always background; here it is like any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.vgg import VGG
from detzoo.blocks.anchors import ShapedAnchors, all_cells, by_cell
from detzoo.blocks.assign import MatchConfig, match, pick
from detzoo.blocks.class_rows import BACKGROUND_LAST, ClassRows
from detzoo.blocks.dense import survivors
from detzoo.blocks.layers import Conv2d, follow_batches, set_norm_eps, start_xavier
from detzoo.blocks.losses import BoxLoss, box_loss, mean_over_ranks
from detzoo.blocks.prime_samples import PrimeSamples, rank_weights, score_weights
from detzoo.blocks.ssdlite import SeparableConv
from detzoo.config import Config as BaseConfig
from detzoo.config import kind_if_absent
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.ssd import SSDNeck
from detzoo.ops.boxes import clip, decode, encode, full_precision
from detzoo.ops.nms import rank
from detzoo.types import Detections, Images, Targets

STDS = (0.1, 0.1, 0.2, 0.2)
_Neck = Annotated[SSDNeck.Config | AnyNeck, Field(discriminator="kind"), BeforeValidator(kind_if_absent("ssd"))]


class SSD(Detector):
    """One-stage detection of boxes from default boxes on several feature maps."""

    class Head(BaseConfig):
        """Settings of SSD's head: its default boxes, what it learns from, and what it returns."""

        # pixels; a cell of map k has squares of size k and of the geometric mean of sizes k and k + 1 ...
        sizes: tuple[float, ...] = (21, 45, 99, 153, 207, 261, 315)
        # ... and boxes of the area of the first whose height / width is each of these ratios of map k, or its inverse
        ratios: tuple[tuple[float, ...], ...] = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
        steps: tuple[int, ...] | None = (8, 16, 32, 64, 100, 300)  # pixels between cells; None: the strides of the maps
        spread: bool = False  # cells of a map share the input evenly, whatever its size; `steps` are not used
        mean_last: bool = False  # the square of the mean size comes behind the boxes of other ratios
        first_mean: bool = True  # cells of the first map have one, too
        inside: bool = False  # default boxes are cut off at the borders of the input
        # in place of sizes and ratios: pixels of the squares of each map, and how many times as many in a row and in a
        # column there are than cells (FaceBoxes, arXiv:1708.05234, section 3.3); empty: once
        squares: tuple[tuple[float, ...], ...] = ()
        densities: tuple[tuple[int, ...], ...] = ()
        legacy: bool = False  # anchors and offsets of MMDetection 1.x: boxes end with their last pixel, a pixel sooner
        match: MatchConfig = MatchConfig(positive=0.5, negative=0.5, low_quality=0.0, low_quality_ties=False)
        hard: float = Field(default=3.0, ge=0)  # background boxes that are learned from for every positive of an image
        # part of the boxes that an image without positives learns from, its loss then being among those of the batch's
        # positives; None: it learns nothing, and counts as if it had one
        alone: float | None = Field(default=None, ge=0, le=1)
        box_loss: BoxLoss = BoxLoss(kind="smooth_l1")
        prime: PrimeSamples | None = None  # weighs positives (PISA); None: all alike
        candidates: int = Field(default=1000, ge=1)  # best (box, class) pairs per map that enter suppression
        together: bool = False  # ... of all maps together
        threshold: float = Field(default=0.02, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.45, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=200, ge=1)  # per image
        clip: bool = True  # cut boxes off at the borders of the image
        kernel: Literal[1, 3] = 3  # of the convolutions that predict
        separable: bool = False  # each of them in two, for channels and for places: SSDLite (arXiv:1801.04381)
        biased: bool = True  # the last of them has a bias
        norm_eps: float = Field(default=1e-5, ge=0)  # what normalization between the two adds to the variance

        @model_validator(mode="after")
        def _fits(self) -> SSD.Head:
            if self.squares:
                for counts in zip(self.squares, self.densities, strict=True) if self.densities else ():
                    if len(counts[0]) != len(counts[1]):
                        raise ValueError("densities need one entry for each of squares")
                return self
            lengths = len(self.sizes) - 1, len(self.ratios), len(self.steps or self.ratios)
            if len(set(lengths)) > 1:
                raise ValueError(
                    "sizes need one entry more than there are maps, ratios and steps one per map; these are for "
                    "{}, {} and {} maps".format(*lengths)
                )
            return self

        @property
        def maps(self) -> int:
            """How many maps there are default boxes for."""
            return len(self.squares) or len(self.ratios)

        def shapes(self) -> list[list[tuple[float, float]]]:
            """Width and height of the default boxes of a cell, in pixels, for each map."""
            if self.squares:
                dense = self.densities or tuple((1,) * len(sizes) for sizes in self.squares)
                pairs = (zip(*each, strict=True) for each in zip(self.squares, dense, strict=True))
                return [[(size, size) for size, count in level for _ in range(count**2)] for level in pairs]
            maps = []
            for small, large, ratios in zip(self.sizes[:-1], self.sizes[1:], self.ratios, strict=True):
                between = math.sqrt(small * large)
                mean = [(between, between)] if maps or self.first_mean else []
                shapes = [(small, small), *([] if self.mean_last else mean)]
                for ratio in ratios:
                    long, short = small * math.sqrt(ratio), small / math.sqrt(ratio)
                    shapes += [(long, short), (short, long)]
                maps.append([*shapes, *(mean if self.mean_last else [])])
            return maps

        def shifts(self, steps: Sequence[int]) -> list[list[tuple[float, float]]] | None:
            """How far the middle of each of them is from its cell's, across and down, in pixels; None: not at all."""
            if not self.densities:
                return None
            maps = []
            for step, counts in zip(steps, self.densities, strict=True):
                places = [[(2 * i + 1) * (step // count) / 2 - step / 2 for i in range(count)] for count in counts]
                maps.append([(x, y) for some in places for y in some for x in some])
            return maps

    class Config(DetectorConfig):
        """Settings of `SSD`."""

        method: Literal["ssd"] = "ssd"
        input: Input = Input(short=300, long=300, keep_ratio=False, multiple=1, std=(1.0, 1.0, 1.0))
        backbone: AnyBackbone = VGG.Config()
        neck: _Neck = SSDNeck.Config()
        head: SSD.Head = Field(default_factory=lambda: SSD.Head())
        follow_batches: bool = False  # of batch normalization: see `detzoo.blocks.layers.follow_batches`

    def __init__(self, config: SSD.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        if head.maps != len(self.neck.channels):
            what = "squares" if head.squares else "ratios"
            raise ValueError(f"head.{what} is for {head.maps} maps, but there are {len(self.neck.channels)}")
        steps = (0,) * head.maps if head.spread else head.steps or self.neck.strides
        self.anchors = ShapedAnchors(head.shapes(), steps, head.legacy, head.shifts(steps))
        parts = list(zip(self.neck.channels, self.anchors.per_cell, strict=True))
        outputs = len(self.classes) + 1  # background last
        kind = SeparableConv if head.separable else Conv2d
        conv = partial(kind, kernel_size=head.kernel, padding=head.kernel // 2, bias=head.biased)
        self.cls = nn.ModuleList(conv(width, boxes * outputs) for width, boxes in parts)
        self.reg = nn.ModuleList(conv(width, boxes * 4) for width, boxes in parts)
        for layers in (self.cls, self.reg):
            start_xavier(layers)
            set_norm_eps(layers, head.norm_eps)
        if config.follow_batches:
            follow_batches(self)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (softmax cross-entropy) and ``loss_bbox``; equations 1 to 3 of arXiv:1512.02325.

        With ``prime`` there is ``loss_carl``, too.
        """
        head, background = self.head, len(self.classes)
        logits, offsets = self.heads(self.neck(self.backbone(images.pixels)))
        boxes = self._default(logits, images)
        matches = match(boxes, None, targets, head.match)
        positive, slot = matches.positive, matches.slot
        own, objects = pick(targets.labels, slot), pick(targets.boxes, slot)
        count = positive.sum(1).clamp(min=1).sum() if head.alone is None else positive.sum()
        count = mean_over_ranks(count, floor=1.0)
        moves = all_cells(offsets, 4)
        found, wanted = moves, objects
        if head.box_loss.on_boxes:
            found = decode(boxes, moves, STDS, head.legacy)
        else:
            wanted = encode(boxes, objects, STDS, head.legacy)
        flat = full_precision(all_cells(logits, background + 1))
        labels = torch.where(positive, own, background)
        errors = F.cross_entropy(flat.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
        weights = positive
        losses = {"loss_bbox": box_loss(found, wanted, positive.float(), head.box_loss) / count}
        if head.prime is not None:
            refined = decode(boxes, moves, STDS, head.legacy)
            of = positive, slot, own
            ranks = rank_weights(head.prime.ranks, refined, objects, *of, lambda w: (errors * w).sum())
            weights = weights * ranks
            scores = flat.softmax(-1).gather(2, own.unsqueeze(2)).squeeze(2)
            by_score = score_weights(head.prime.scores, scores, positive)
            losses["loss_carl"] = box_loss(found, wanted, by_score, head.box_loss) / count
        hardest = self._hardest(errors * matches.negative, positive.sum(1, keepdim=True))
        return {"loss_cls": ((errors * weights).sum() + hardest) / count} | losses

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, offsets = self.heads(self.neck(self.backbone(images.pixels)))
        default = self._default(logits, images)
        best, index, labels, used = self._candidates(logits)
        moves = pick(all_cells(offsets, 4), index)
        head = self.head
        boxes = decode(default[index], moves, STDS, head.legacy)
        if head.clip:
            boxes = clip(boxes, images.sizes - int(head.legacy))
        return survivors(boxes, best, labels, used, len(self.classes), head.nms, head.detections)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Class logits ``[N, b * (C + 1), H, W]`` and offsets ``[N, b * 4, H, W]`` of each map, b boxes per cell."""
        logits = [layer(feature) for layer, feature in zip(self.cls, features, strict=True)]
        return logits, [layer(feature) for layer, feature in zip(self.reg, features, strict=True)]

    def _default(self, logits: Sequence[Tensor], images: Images) -> Tensor:
        """Default boxes ``[A, 4]`` of maps of the size of these."""
        height, width = images.pixels.shape[-2:]
        boxes = self.anchors([level.shape[-2:] for level in logits], (height, width))
        if not self.head.inside:
            return boxes
        x, y = boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)
        return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1)

    def _hardest(self, errors: Tensor, positives: Tensor) -> Tensor:
        """Sum over the background boxes of each image that are classified worst (section 2.2).

        Their ``errors [N, A]`` are positive, those of other boxes 0; ``positives [N, 1]`` are counted.
        """
        worst = errors.sort(dim=1, descending=True).values
        count = positives * self.head.hard
        if self.head.alone is not None:
            count = torch.where(positives > 0, count, worst.shape[1] * self.head.alone)
        taken = torch.arange(worst.shape[1], device=worst.device) < count
        return (worst * taken).sum()

    def _candidates(self, logits: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The best (box, class) pairs of each map or of all: scores, boxes, labels and slots in use, all ``[N, K]``."""
        found, start = [], 0
        classes = len(self.classes)
        cells = [by_cell(level, classes + 1) for level in logits]
        for level in [torch.cat(cells, 1)] if self.head.together else cells:  # maps differ in size: one ranking each
            scores = full_precision(level).softmax(-1)[..., :-1].flatten(1)
            pair, used = rank(scores, scores > self.head.threshold, self.head.candidates)
            found.append((scores.gather(1, pair), pair // classes + start, pair % classes, used))
            start += scores.shape[1] // classes
        scores, boxes, labels, used = (torch.cat(part, 1) for part in zip(*found, strict=True))
        return scores, boxes, labels, used

    @property
    def class_rows(self) -> Mapping[str, ClassRows]:
        """Where the classes are in the outputs' weights."""
        names = [f"cls.{level}.pw_conv" for level in range(len(self.cls))] if self.head.separable else ["cls"]
        return dict.fromkeys(names, BACKGROUND_LAST)

    published_names = (
        (r"^bbox_head\.(cls|reg)_convs\.(\d+)\.(?:0\.)?(weight|bias)$", r"\1.\2.\3"),
        (r"^bbox_head\.(cls|reg)_convs\.(\d+)\.0\.conv\.", r"\1.\2.dw_conv."),
        (r"^bbox_head\.(cls|reg)_convs\.(\d+)\.0\.bn\.", r"\1.\2.bn."),
        (r"^bbox_head\.(cls|reg)_convs\.(\d+)\.1\.", r"\1.\2.pw_conv."),
        # weights from before MMDetection 2.14 have the neck's layers in the backbone, one after the other
        (r"^backbone\.l2_norm\.", "neck.l2_norm."),
        *((rf"^backbone\.extra\.{i}\.", f"neck.extra_layers.{i // 2}.{i % 2}.conv.") for i in range(10)),
    )
