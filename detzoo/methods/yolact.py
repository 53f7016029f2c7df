"""YOLACT: Real-time Instance Segmentation, arXiv:1904.02689, 2019.

A one-stage detector of boxes whose masks are sums of prototypes: one small network draws maps that all objects of a
picture share, and every anchor predicts by how much each of them counts. Suppression decides all boxes at once.

Departures from the paper, as the published weights were trained: one convolution stands before all three predictions;
masks are cut one cell of the map outside of their boxes; where an image has no positive all its background is learned.
The map of class c is learned in channel c - 1 of the semantic loss, that of the first class in the last: a slip that
published weights have. A picture is taken to fill its canvas where the input keeps no ratio, as theirs does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import ShapedAnchors, all_cells, by_cell
from detzoo.blocks.assign import MatchConfig, Matches, match, pick, sample
from detzoo.blocks.class_rows import BACKGROUND_LAST, ClassRows
from detzoo.blocks.layers import Conv2d, start_xavier
from detzoo.blocks.losses import BoxLoss, OffsetsLoss, binary_loss, box_loss, mean_over_ranks
from detzoo.blocks.towers import tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, decode, encode, full_precision
from detzoo.ops.fast_nms import fast_nms
from detzoo.ops.mask_maps import at_size
from detzoo.ops.nms import rank
from detzoo.types import Detections, Images, Targets

STDS = (0.1, 0.1, 0.2, 0.2)
_WORST = 100.0  # cross-entropy of a pixel that is inside and said to be outside for certain


class Prototypes(nn.Module):
    """Maps that masks are sums of, at twice the size of the finest level, and the semantic loss; 3.1 and 3.4."""

    class Config(BaseConfig):
        """Settings of `Prototypes` and of the masks made of them."""

        prototypes: int = Field(default=32, ge=1)
        convs: int = Field(default=3, ge=1)  # before the map is doubled
        channels: int = Field(default=256, ge=1)
        most: int = Field(default=100, ge=1)  # positives of an image whose masks are learned
        weight: float = Field(default=6.125, ge=0)  # of the masks' loss
        semantic: bool = True  # a layer that only training uses learns where each class is
        threshold: float = Field(default=0.5, ge=0, le=1)  # a pixel is inside where its probability is above this

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"segm_conv": ClassRows(shift=-1)}

    def __init__(self, config: Prototypes.Config, inputs: int, classes: int) -> None:
        super().__init__()
        self.config = config
        widths = [inputs] + [config.channels] * config.convs
        layers: list[nn.Module] = []
        for width in widths[:-1]:
            layers += [Conv2d(width, config.channels, 3, padding=1), nn.ReLU()]
        layers += [nn.Upsample(scale_factor=2, mode="bilinear"), nn.ReLU()]
        layers += [Conv2d(config.channels, config.channels, 3, padding=1), nn.ReLU()]
        self.protonet = nn.Sequential(*layers, Conv2d(config.channels, config.prototypes, 1), nn.ReLU())
        self.segm_conv = Conv2d(inputs, classes, 1) if config.semantic else None
        start_xavier(self)

    def forward(self, feature: Tensor, weights: Tensor) -> Tensor:
        """Logits ``[N, K, h, w]`` of masks whose ``weights [N, K, P]`` of the prototypes are given; equation 1.

        ``feature``: the finest level, ``[N, channels, h / 2, w / 2]``.
        """
        maps = self.protonet(feature)
        return torch.bmm(weights.to(maps), maps.flatten(2)).unflatten(2, maps.shape[2:])

    def semantic_loss(self, feature: Tensor, targets: Targets) -> dict[str, Tensor]:
        """``loss_segm``, the mean over cells, of whether an object of each class covers it; none without the layer."""
        if self.segm_conv is None or targets.masks is None:
            return {}
        logits = self.segm_conv(feature)
        classes, size = logits.shape[1], (logits.shape[2], logits.shape[3])
        shown = at_size(targets.masks, size).flatten(2) & targets.valid.unsqueeze(2)
        numbers = torch.arange(classes, device=logits.device)
        own = (targets.labels.unsqueeze(1) - 1) % classes == numbers.unsqueeze(1)
        covered = torch.bmm(own.float(), shown.float()) > 0
        some = targets.valid.any(1)[:, None, None]
        loss = binary_loss(logits.flatten(2), covered, some)
        return {"loss_segm": loss / mean_over_ranks(loss.new_full((), logits[:, 0].numel()))}


class YOLACT(Detector):
    """One-stage detection of boxes and instance masks from anchors and prototypes."""

    class Head(BaseConfig):
        """Settings of the head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=1, ge=0)
        channels: int = Field(default=256, ge=1)
        sizes: tuple[float, ...] = (24, 48, 96, 192, 384)  # pixels, of each level: the edge of its square anchor
        ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width of a cell's anchors
        steps: tuple[float, ...] = tuple(550 / cells for cells in (69, 35, 18, 9, 5))  # pixels between cells
        match: MatchConfig = MatchConfig(positive=0.5, negative=0.4, low_quality=0.0, low_quality_ties=False)
        hard: float = Field(default=3.0, ge=0)  # background anchors that are learned for every positive of an image
        box_loss: OffsetsLoss = BoxLoss(kind="smooth_l1", weight=1.5)
        candidates: int = Field(default=1000, ge=1)  # best anchors per level of which all classes are looked at
        best: int = Field(default=200, ge=1)  # boxes of each class that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.5, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image

        @model_validator(mode="after")
        def _fits(self) -> YOLACT.Head:
            if len(self.sizes) != len(self.steps):
                raise ValueError(f"sizes and steps have one number for each level, got {self.sizes}, {self.steps}")
            if not self.ratios or min(*self.sizes, *self.ratios, *self.steps) <= 0:
                raise ValueError("sizes, ratios and steps are above 0, and there is at least one ratio")
            return self

        def shapes(self) -> list[list[tuple[float, float]]]:
            """Width and height of the anchors of a cell, in pixels, for each level."""
            return [[(size / ratio**0.5, size * ratio**0.5) for ratio in self.ratios] for size in self.sizes]

    class Config(DetectorConfig):
        """Settings of `YOLACT`."""

        method: Literal["yolact"] = "yolact"
        input: Input = Input(
            short=550,
            long=550,
            keep_ratio=False,
            multiple=1,
            mean=(123.68, 116.78, 103.94),
            std=(58.40, 57.12, 57.38),
        )
        backbone: AnyBackbone = ResNet.Config(frozen_stages=-1, norm_eval=False, zero_init=False)
        neck: AnyNeck = FPN.Config(start=1, extra="on_input", upsample="bilinear")
        head: YOLACT.Head = Field(default_factory=lambda: YOLACT.Head())
        mask_head: Prototypes.Config = Prototypes.Config()

    learns_masks = True

    def __init__(self, config: YOLACT.Config, classes: Sequence[str]) -> None:
        """Build from settings.

        Raises:
            ValueError: ``head.sizes`` are not as many as the pyramid has levels.
        """
        super().__init__(config, classes)
        head = self.head = config.head
        self.fills = not config.input.keep_ratio and config.input.multiple == 1
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        if len(head.sizes) != len(self.neck.channels):
            raise ValueError(f"head.sizes is for {len(head.sizes)} levels, but there are {len(self.neck.channels)}")
        self.anchors = ShapedAnchors(head.shapes(), head.steps)
        inputs, anchors = self.neck.channels[0], len(head.ratios)
        width = head.channels if head.convs else inputs
        self.head_convs = tower(inputs, head.channels, head.convs, None)
        self.cls = Conv2d(width, anchors * (len(self.classes) + 1), 3, padding=1)  # background last
        self.reg = Conv2d(width, anchors * 4, 3, padding=1)
        self.coefficients = Conv2d(width, anchors * config.mask_head.prototypes, 3, padding=1)
        for part in (self.head_convs, self.cls, self.reg, self.coefficients):
            start_xavier(part)
        self.mask_head = Prototypes(config.mask_head, inputs, len(self.classes))

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (softmax cross-entropy), ``loss_bbox``, ``loss_mask`` and ``loss_segm``.

        Raises:
            ValueError: the targets have no masks.
        """
        head, background = self.head, len(self.classes)
        features = self.neck(self.backbone(images.pixels))
        logits, offsets, coefficients = self.heads(features)
        anchors = self.anchors([level.shape[-2:] for level in logits])
        matches = match(anchors, None, targets, head.match)
        positive, slot = matches.positive, matches.slot
        count = mean_over_ranks(positive.sum(1).clamp(min=1).sum())
        flat = full_precision(all_cells(logits, background + 1))
        labels = torch.where(positive, pick(targets.labels, slot), background)
        errors = F.cross_entropy(flat.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
        wanted = encode(anchors, pick(targets.boxes, slot), STDS)
        losses = {
            "loss_cls": ((errors * positive).sum() + self._hardest(errors, matches)) / count,
            "loss_bbox": box_loss(all_cells(offsets, 4), wanted, positive.float(), head.box_loss) / count,
            "loss_mask": self._mask_loss(features[0], coefficients, matches, images, targets),
        }
        return losses | self.mask_head.semantic_loss(features[0], targets)

    def detect(self, images: Images) -> Detections:
        """Detections with masks of the size of the prototypes, in pixels of the network input."""
        head = self.head
        features = self.neck(self.backbone(images.pixels))
        logits, offsets, coefficients = self.heads(features)
        scores, where = self._best_anchors(logits)
        anchors = self.anchors([level.shape[-2:] for level in logits])
        boxes = clip(decode(anchors[where], pick(all_cells(offsets, 4), where), STDS), images.sizes)
        index, scores, labels, used = fast_nms(boxes, scores, head.threshold, head.nms, head.best, head.detections)
        boxes = pick(boxes, index) * used.unsqueeze(-1)
        weights = pick(all_cells(coefficients, self.mask_head.config.prototypes), pick(where, index))
        masks = full_precision(self.mask_head(features[0], weights)).sigmoid()
        high, wide = masks.shape[2:]
        extent = self._extent(images)
        masks = masks * _inside(boxes, extent, high, wide)
        # a frame that repeats the outermost cells, because crops are nothing outside of their grid
        cell = torch.stack([extent[:, 0] / wide, extent[:, 1] / high], 1)
        span = torch.cat([-cell, extent + cell], 1).to(boxes)
        canvas = images.pixels.shape[-2:]
        return Detections(
            boxes=boxes,
            scores=scores,
            labels=labels,
            valid=used,
            crops=F.pad(masks, (1, 1, 1, 1), mode="replicate"),
            crop_boxes=span.unsqueeze(1).expand_as(boxes),
            canvas=(canvas[0], canvas[1]),
            # where no prototype is active the probability is a half, which is not inside
            mask_threshold=self.mask_head.config.threshold + 1e-6,
        )

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Of each level class logits ``[N, a * (C + 1), H, W]``, offsets ``[N, a * 4, H, W]`` and coefficients of P
        prototypes ``[N, a * P, H, W]`` between -1 and 1, a anchors per cell.
        """
        levels = [self.head_convs(level) for level in features]
        logits, offsets = [self.cls(level) for level in levels], [self.reg(level) for level in levels]
        return logits, offsets, [self.coefficients(level).tanh() for level in levels]

    def _hardest(self, errors: Tensor, matches: Matches) -> Tensor:
        """Sum of the largest ``errors [N, A]`` of the background of each image; of all where it has no positive."""
        worst = (errors * matches.negative).sort(dim=1, descending=True).values
        positives = matches.positive.sum(1, keepdim=True)
        wanted = torch.where(positives > 0, positives * self.head.hard, worst.shape[1])
        return (worst * (torch.arange(worst.shape[1], device=worst.device) < wanted)).sum()

    def _mask_loss(
        self, feature: Tensor, coefficients: Sequence[Tensor], matches: Matches, images: Images, targets: Targets
    ) -> Tensor:
        """Cross-entropy of the masks of positives in their objects' boxes, each divided by its box's area; 3.1.

        Memory: a few maps of each of the ``most`` positives, and a byte for each cell of each object's.
        """
        if targets.masks is None:
            raise ValueError("the targets have no masks: pass masks to Targets.pack, or set data.masks=true")
        config = self.mask_head.config
        drawn, chosen, _ = sample(matches.positive, torch.zeros_like(matches.positive), config.most, 1.0)
        slot = pick(matches.slot, drawn)
        found = full_precision(self.mask_head(feature, pick(all_cells(coefficients, config.prototypes), drawn)))
        high, wide = found.shape[2:]
        wanted = pick(at_size(targets.masks, (high, wide)), slot)
        boxes, extent = pick(targets.boxes, slot), self._extent(images)
        inside = _inside(boxes, extent, high, wide)
        errors = F.binary_cross_entropy_with_logits(found, wanted.to(found), reduction="none") * inside
        errors = errors + _WORST * (wanted & ~inside)
        share = ((boxes[..., 2:] - boxes[..., :2]) / extent.unsqueeze(1)).prod(-1).clamp(min=1e-6)
        loss = (errors.mean((2, 3)) / share * chosen).sum()
        return loss / mean_over_ranks(chosen.sum(), floor=1) * config.weight

    def _extent(self, images: Images) -> Tensor:
        """Width and height ``[N, 2]`` that maps span, in pixels: of the picture where it fills its canvas."""
        if self.fills:
            return images.sizes.flip(1).float()
        height, width = images.pixels.shape[-2:]
        sides = [torch.full_like(images.sizes[:, 0], side, dtype=torch.float32) for side in (width, height)]
        return torch.stack(sides, 1)

    def _best_anchors(self, logits: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of each level's best anchors, by their best class, scores ``[N, K, C]`` and numbers among all ``[N, K]``."""
        found, start = [], 0
        for level in logits:  # levels differ in size: one ranking each
            scores = full_precision(by_cell(level, len(self.classes) + 1)).softmax(-1)[..., :-1]
            best = scores.amax(-1)
            anchor, _ = rank(best, torch.ones_like(best, dtype=torch.bool), self.head.candidates)
            found.append((pick(scores, anchor), anchor + start))
            start += scores.shape[1]
        scores, where = (torch.cat(part, 1) for part in zip(*found, strict=True))
        return scores, where

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": BACKGROUND_LAST}
    published_names = (
        (r"^bbox_head\.head_convs\.", "head_convs."),
        (r"^bbox_head\.conv_(cls|reg)\.", r"\1."),
        (r"^bbox_head\.conv_coeff\.", "coefficients."),
        (r"^mask_head\.segm_branch\.", "mask_head."),
        (r"^mask_head\.protonet\.", "mask_head.protonet."),
        # versions before 3 have the layer in a part of its own
        (r"^segm_head\.", "mask_head."),
    )


def _inside(boxes: Tensor, extent: Tensor, high: int, wide: int) -> Tensor:
    """Bool ``[N, K, high, wide]``: cells of maps of ``extent [N, 2]`` within ``boxes [N, K, 4]`` and a cell around."""
    x1, y1, x2, y2 = (boxes / extent.repeat(1, 2).unsqueeze(1)).unbind(-1)
    rows, columns = torch.arange(high, device=boxes.device), torch.arange(wide, device=boxes.device)
    across = (columns >= (x1 * wide - 1).unsqueeze(2)) & (columns < (x2 * wide + 1).unsqueeze(2))
    down = (rows >= (y1 * high - 1).unsqueeze(2)) & (rows < (y2 * high + 1).unsqueeze(2))
    return down.unsqueeze(3) & across.unsqueeze(2)
