"""RetinaNet: Focal Loss for Dense Object Detection, arXiv:1708.02002, 2017.

A one-stage detector: two small towers classify and refine nine anchors at every cell of a feature pyramid. The focal
loss keeps the hundred thousand easy background anchors from drowning the few objects.

Departures from the paper: L1 rather than smooth L1 on box offsets, and normalization by the positives of the whole
batch with at least one per image, as the published weights were trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import Anchors, all_cells
from detzoo.blocks.assign import MatchConfig, match, pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.free_anchor import FreeAnchor, bag_losses
from detzoo.blocks.gradient_harmonizing import GHMC, GHMR
from detzoo.blocks.layers import Conv2d, Norm
from detzoo.blocks.losses import BoxLoss, box_loss, mean_over_ranks
from detzoo.blocks.prime_samples import PrimeSamples, rank_weights, score_weights
from detzoo.blocks.towers import PRIOR, LevelTower, along, start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, decode, encode, full_precision, widened
from detzoo.ops.focal import focal_loss
from detzoo.types import Detections, Images, Targets


class RetinaNet(Detector):
    """One-stage detection of boxes from anchors."""

    class Head(BaseConfig):
        """Settings of RetinaNet's head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=4, ge=0)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = None
        norm_per_level: bool = False  # each level of the pyramid has normalization of its own (arXiv:1904.07392)
        anchors: Anchors.Config = Anchors.Config(scales=tuple(4 * 2 ** (octave / 3) for octave in range(3)))
        stds: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)  # scale of the offsets dx, dy, dlog w, dlog h
        legacy: bool = False  # anchors and offsets of MMDetection 1.x: boxes end with their last pixel, a pixel sooner
        match: MatchConfig = MatchConfig(positive=0.5, negative=0.4, low_quality=0.0)
        alpha: float = Field(default=0.25, gt=0, lt=1)  # weight of positives in the focal loss
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent
        box_loss: BoxLoss = BoxLoss()
        free_anchor: FreeAnchor | None = None  # takes the place of `match` and of the losses but `box_loss`
        prime: PrimeSamples | None = None  # weighs positives (PISA); None: all alike
        ghm_c: GHMC.Config | None = None  # takes the place of the focal loss
        ghm_r: GHMR.Config | None = None  # takes the place of `box_loss`
        candidates: int = Field(default=1000, ge=1)  # best (anchor, class) pairs per level that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.5, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image
        clip: bool = True  # cut boxes off at the borders of the image
        # with `anchors.classic`: boxes end with the last pixel of the canvas, in pixels of the file, where they are
        # suppressed; of the coarsest level the best count whatever they score (PaddleDetection 0.x)
        last_pixel: bool = False

        @model_validator(mode="after")
        def _fits(self) -> RetinaNet.Head:
            if self.last_pixel and not self.anchors.classic:
                raise ValueError("last_pixel needs anchors.classic")
            if self.norm_per_level and self.norm is None:
                raise ValueError("norm_per_level needs a norm")
            if self.ghm_r is not None and self.box_loss.on_boxes:
                raise ValueError("ghm_r compares offsets, as box_loss.kind='l1' does")
            if self.free_anchor is not None and self.box_loss.on_boxes:
                raise ValueError("free_anchor compares offsets, as box_loss.kind='smooth_l1' does")
            if self.free_anchor is not None and self.legacy:
                raise ValueError("free_anchor has no legacy offsets")
            ways = {name: getattr(self, name) for name in ("free_anchor", "prime", "ghm_c", "ghm_r")}
            told = [name for name, way in ways.items() if way is not None]
            if len(told) > 1 and told != ["ghm_c", "ghm_r"]:
                raise ValueError(f"{' and '.join(told)} are ways to learn of which there can be one")
            return self

    class Config(DetectorConfig):
        """Settings of `RetinaNet`."""

        method: Literal["retinanet"] = "retinanet"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_input")
        head: RetinaNet.Head = Field(default_factory=lambda: RetinaNet.Head())

    def __init__(self, config: RetinaNet.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.anchors = Anchors(head.anchors, self.neck.strides, head.legacy)
        width = self.neck.channels[0]
        self.cls_convs, self.reg_convs = self._tower(width), self._tower(width)
        width = head.channels if head.convs else width
        self.cls = Conv2d(width, self.anchors.per_cell * len(self.classes), 3, padding=1)
        self.reg = Conv2d(width, self.anchors.per_cell * 4, 3, padding=1)
        self.ghm_c = None if head.ghm_c is None else GHMC(head.ghm_c)
        self.ghm_r = None if head.ghm_r is None else GHMR(head.ghm_r)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (focal or GHM-C), ``loss_bbox`` and, with ``prime``, ``loss_carl``.

        With ``free_anchor`` they are those of `bag_losses`.
        """
        head = self.head
        logits, offsets = self.heads(self.neck(self.backbone(images.pixels)))
        anchors = self.anchors([level.shape[-2:] for level in logits])
        flat, moves = all_cells(logits, len(self.classes)), all_cells(offsets, 4)
        if head.free_anchor is not None:
            return bag_losses(head.free_anchor, head.box_loss, flat, moves, anchors, head.stds, targets)
        matches = match(anchors, None, targets, head.match)
        positive, slot = matches.positive, matches.slot
        own, objects = pick(targets.labels, slot), pick(targets.boxes, slot)
        labels = torch.where(positive, own, len(self.classes))
        count = mean_over_ranks(positive.sum(1).clamp(min=1).sum())
        found, wanted = moves, objects
        if head.box_loss.on_boxes:
            found = decode(anchors, moves, head.stds, head.legacy)
        else:
            wanted = encode(anchors, objects, head.stds, head.legacy)

        def by_level(*parts: Tensor) -> Iterator[Sequence[Tensor]]:
            cells = [level[0].numel() // len(self.classes) for level in logits]
            return (part.split(cells, 1) for part in parts)

        def focal(weights: Tensor) -> Tensor:
            return focal_loss(flat, labels, weights, head.alpha, head.gamma)

        losses = {}
        weights = seen = positive | matches.negative
        if head.prime is not None:
            refined = decode(anchors, moves, head.stds, head.legacy)
            weights = seen * rank_weights(head.prime.ranks, refined, objects, positive, slot, own, focal)
            scores = full_precision(flat.gather(2, own.unsqueeze(2)).squeeze(2)).sigmoid()
            by_score = score_weights(head.prime.scores, scores, positive)
            losses["loss_carl"] = box_loss(found, wanted, by_score, head.box_loss) / count
        if self.ghm_c is None:
            losses["loss_cls"] = focal(weights) / count
        else:
            losses["loss_cls"] = self.ghm_c(*by_level(flat, labels, seen))
        if self.ghm_r is None:
            losses["loss_bbox"] = box_loss(found, wanted, positive.float(), head.box_loss) / count
        else:
            losses["loss_bbox"] = self.ghm_r(*by_level(moves, wanted, positive))
        return losses

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, offsets = self.heads(self.neck(self.backbone(images.pixels)))
        anchors = self.anchors([level.shape[-2:] for level in logits])
        head = self.head
        classes, threshold = len(self.classes), head.threshold
        last = 0.0 if head.last_pixel else threshold
        best = best_pairs(logits, classes, (*[threshold] * (len(logits) - 1), last), head.candidates)
        moves = pick(all_cells(offsets, 4), best.where)
        boxes = shown = decode(anchors[best.where], moves, head.stds, head.legacy)
        if head.last_pixel:
            boxes, shown = self._by_pixels(boxes, images)
        elif head.clip:
            boxes = shown = clip(boxes, images.sizes - int(head.legacy))
        return survivors(boxes, best.scores, best.labels, best.used, classes, head.nms, head.detections, shown)

    def _by_pixels(self, boxes: Tensor, images: Images) -> tuple[Tensor, Tensor]:
        """Boxes ``[N, K, 4]`` as they are suppressed, in pixels of the file, and as they are returned."""
        scales, across = images.in_files()
        height, width = images.pixels.shape[-2:]
        canvas = torch.stack([height / scales[:, 0], width / scales[:, 1]], 1).round()
        last = torch.cat([torch.zeros_like(boxes[..., :2]), torch.ones_like(boxes[..., 2:])], -1)
        boxes = clip((boxes - last) / across, canvas - 1)
        return widened(boxes), (boxes + last) * across

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Class logits ``[N, a * C, H, W]`` and offsets ``[N, a * 4, H, W]`` of each level, a anchors per cell."""
        logits = [self.cls(level) for level in along(self.cls_convs, features)]
        return logits, [self.reg(level) for level in along(self.reg_convs, features)]

    def _tower(self, width: int) -> nn.Module:
        head = self.head
        if head.norm_per_level and head.norm is not None:
            return LevelTower(width, head.channels, head.convs, head.norm, len(self.neck.channels))
        return tower(width, head.channels, head.convs, head.norm)

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.retina_(cls|reg)\.", r"\1."),
        (r"^bbox_head\.loss_cls\.", "ghm_c."),
        (r"^bbox_head\.loss_bbox\.", "ghm_r."),
        # of each level the convolutions, which are the same, and the norms
        (r"^bbox_head\.(cls|reg)_convs\.\d+\.(\d+)\.conv\.", r"\1_convs.convs.\2."),
        (r"^bbox_head\.(cls|reg)_convs\.(\d+)\.(\d+)\.(?:bn|gn)\.", r"\1_convs.norms.\3.\2."),
        (r"^bbox_head\.(cls|reg)_convs\.", r"\1_convs."),
    )
