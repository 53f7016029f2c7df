"""CornerNet: Detecting Objects as Paired Keypoints, arXiv:1808.01244, 2018.

No anchors: one heat map per class finds top left corners, another bottom right ones, and a box is a pair of them. Which
two belong together tells a number at each corner, trained to be alike for the corners of one object and to differ
between objects.

Departures from the paper, all as the published weights were trained: pull and push losses are averaged over the objects
of each image and added up over the images; an object's offset counts once per cell, that of the last object there.
A corner has to be a local maximum, which only matters where an image has fewer than ``corners`` of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.hourglass import Hourglass
from detzoo.blocks.assign import pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.corners import CornerPooling
from detzoo.blocks.heatmaps import Peaks, bell_radius, draw_bells, find_peaks
from detzoo.blocks.layers import ConvNorm
from detzoo.blocks.losses import mean_over_ranks
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.ops.boxes import clip, full_precision
from detzoo.ops.corner_pool import Direction
from detzoo.ops.focal import heat_focal_loss
from detzoo.ops.nms import rank
from detzoo.ops.soft_nms import soft_nms
from detzoo.types import Detections, Images, Targets


class CornerMaps(NamedTuple):
    """What the network says of one kind of corner, one value or more per cell.

    Attributes:
        heat: ``[N, C, h, w]`` logits.
        embedding: ``[N, 1, h, w]``.
        offset: ``[N, 2, h, w]``, x and y of the corner minus column and row of its cell, in cells.
    """

    heat: Tensor
    embedding: Tensor
    offset: Tensor


class CornerTargets(NamedTuple):
    """What one kind of corner should look like.

    Attributes:
        heat: ``[N, C, h, w]``, 1 at the corners.
        cells: int64 ``[N, G]``, row times w plus column of each object's corner.
        offset: ``[N, G, 2]``, as in `CornerMaps`.
        last: bool ``[N, G]``, objects that are the last of all that have their corner in this cell.
    """

    heat: Tensor
    cells: Tensor
    offset: Tensor
    last: Tensor


class CornerNet(Detector):
    """Boxes from pairs of corners."""

    class Head(BaseConfig):
        """Settings of CornerNet's head: its layers, what it learns from, and what it returns."""

        channels: int = Field(default=256, ge=1)  # of the layer before each map
        pooled: int = Field(default=128, ge=1)  # channels that are pooled, per direction
        overlap: float = Field(default=0.3, gt=0, lt=1)  # IoU of a box whose corners are as far off as a bell reaches
        alpha: float = Field(default=2.0, ge=0)  # focusing exponent of the heat maps' loss
        gamma: float = Field(default=4.0, ge=0)  # exponent that forgives cells near a corner
        pull: float = Field(default=0.1, ge=0)  # weight of the loss that makes an object's two embeddings alike
        push: float = Field(default=0.1, ge=0)  # weight of the loss that keeps those of two objects apart
        margin: float = Field(default=1.0, ge=0)  # distance of embeddings beyond which two objects are apart
        window: Literal[1, 3, 5, 7] = 3  # cells: a corner scores highest in a square of this edge
        corners: int = Field(default=100, ge=1)  # best corners of each kind, per image
        distance: float = Field(default=0.5, ge=0)  # most that the embeddings of a pair may differ
        pairs: int = Field(default=1000, ge=1)  # best pairs that enter suppression
        sigma: float = Field(default=0.5, gt=0)  # of gaussian soft suppression, within a class
        threshold: float = Field(default=0.001, ge=0, le=1)  # least score after suppression
        detections: int = Field(default=100, ge=1)  # per image

        @property
        def soft_nms(self) -> dict[str, Any]:
            """The suppression, as `detzoo.ops.soft_nms.soft_nms` takes it."""
            return {"method": "gaussian", "sigma": self.sigma, "min_score": self.threshold}

    class Config(DetectorConfig):
        """Settings of `CornerNet`."""

        method: Literal["cornernet"] = "cornernet"
        # pictures keep their size; edges of the canvas are 127, 255, 383, 511, ...
        input: Input = Input(resize=False, multiple=128, less=1)
        backbone: Hourglass.Config = Hourglass.Config()
        head: CornerNet.Head = Field(default_factory=lambda: CornerNet.Head())

    def __init__(self, config: CornerNet.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.head = config.head
        self.backbone = Hourglass(config.backbone)
        count = len(self.classes)
        inputs = self.backbone.channels  # of each of the stacked networks, all of which learn
        self.top_left = nn.ModuleList(_Corner(self.head, width, count, ("top", "left")) for width in inputs)
        self.bottom_right = nn.ModuleList(_Corner(self.head, width, count, ("bottom", "right")) for width in inputs)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``det_loss`` (heat maps), ``off_loss``, ``pull_loss`` and ``push_loss``."""
        kinds = self.heads(self.backbone(images.pixels))
        wanted = self._targets(targets, images.pixels.shape, kinds[0][0].heat.shape)
        heat = offset = pull = push = images.pixels.new_zeros(())
        for maps, corners in zip(kinds, wanted, strict=True):
            heat_count = mean_over_ranks((corners.heat == 1).sum(), floor=1)
            cell_count = mean_over_ranks(corners.last.sum(), floor=1)
            for level in maps:  # one per stacked network
                heat = heat + heat_focal_loss(level.heat, corners.heat, self.head.alpha, self.head.gamma) / heat_count
                offset = offset + _offset_loss(level, corners) / cell_count
        for pair in zip(*kinds, strict=True):
            alike, apart = self._embedding_losses(pair, wanted, targets.valid)
            pull, push = pull + alike, push + apart
        return {
            "det_loss": heat / 2,
            "off_loss": offset / 2,
            "pull_loss": pull * self.head.pull,
            "push_loss": push * self.head.push,
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        pixels, shift = _centred(images)
        feature = self.backbone(pixels)[-1]
        boxes, scores, labels, valid = self._pairs(self.top_left[-1](feature), self.bottom_right[-1](feature), pixels)
        boxes = (boxes - shift.repeat(1, 2).unsqueeze(1)).clamp(min=0)
        valid = valid & (boxes[..., 2:] > boxes[..., :2]).all(-1)
        best, slot = torch.where(valid, scores, -1.0).topk(min(self.head.pairs, scores.shape[1]), dim=1)
        boxes, labels, valid = pick(boxes, slot), labels.gather(1, slot), best >= 0
        scores, left = soft_nms(
            boxes,
            best * valid,
            valid,
            labels,
            limit=self.head.detections,
            **self.head.soft_nms,
        )
        order, kept = rank(scores, left, self.head.detections)
        return Detections(
            boxes=clip(pick(boxes, order), images.sizes) * kept.unsqueeze(-1),
            scores=scores.gather(1, order) * kept,
            labels=labels.gather(1, order) * kept,
            valid=kept,
        )

    def heads(self, features: Sequence[Tensor]) -> tuple[list[CornerMaps], list[CornerMaps]]:
        """Of top left corners, and of bottom right ones: the maps of each stacked network."""
        first = [head(feature) for head, feature in zip(self.top_left, features, strict=True)]
        return first, [head(feature) for head, feature in zip(self.bottom_right, features, strict=True)]

    @torch.no_grad()
    def _targets(self, targets: Targets, canvas: torch.Size, shape: torch.Size) -> tuple[CornerTargets, CornerTargets]:
        """Of top left and bottom right corners; ``canvas`` is the input's shape, ``shape`` that of the heat maps."""
        factors = (shape[3] / canvas[3], shape[2] / canvas[2])
        first, second = (
            torch.stack([xy[..., axis] * factors[axis] for axis in (0, 1)], -1)
            for xy in (targets.boxes[..., :2], targets.boxes[..., 2:])
        )
        radius = bell_radius((second - first).ceil(), self.head.overlap)
        return (
            self._corner_targets(first, radius, targets, shape),
            self._corner_targets(second, radius, targets, shape),
        )

    def _corner_targets(self, places: Tensor, radius: Tensor, targets: Targets, shape: torch.Size) -> CornerTargets:
        """From ``places [N, G, 2]``, x and y of corners in cells, and ``radius [N, G]`` of their bells."""
        classes, height, width = shape[1:]
        x = places[..., 0].clamp(max=width - 1).floor()
        y = places[..., 1].clamp(max=height - 1).floor()
        heat = draw_bells(x, y, radius, targets.labels, targets.valid, (classes, height, width))
        cells = (y * width + x).long()
        number = torch.arange(1, cells.shape[1] + 1, device=cells.device) * targets.valid
        latest = number.new_zeros(len(cells), height * width).scatter_reduce(1, cells, number, "amax")
        last = targets.valid & (latest.gather(1, cells) == number)
        return CornerTargets(heat, cells, places - torch.stack([x, y], -1), last)

    def _embedding_losses(
        self, pair: Sequence[CornerMaps], wanted: Sequence[CornerTargets], valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pull and push: equations 4 and 5. A mean over objects, and over pairs of them; a sum over images."""
        one, two = (_at(maps.embedding, t.cells)[..., 0] for maps, t in zip(pair, wanted, strict=True))
        mean = (one + two) / 2
        count = valid.sum(1)
        pull = ((one - mean).square() + (two - mean).square()) * valid
        close = F.relu(self.head.margin - (mean[:, :, None] - mean[:, None, :]).abs())
        other = ~torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
        push = close * (valid[:, :, None] & valid[:, None, :] & other)
        pull = (pull.sum(1) / count.clamp(min=1)).sum()
        return pull, (push.sum((1, 2)) / (count * (count - 1)).clamp(min=1)).sum()

    def _pairs(self, first: CornerMaps, second: CornerMaps, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Every best top left corner with every best bottom right one, K pairs per image.

        Returns:
            Boxes ``[N, K, 4]`` in pixels, scores, labels, and which pairs are of one class and alike, ``[N, K]``.
        """
        one, two = (find_peaks(maps.heat, self.head.corners, self.head.window) for maps in (first, second))
        places = [_places(maps, peaks, pixels) for maps, peaks in zip((first, second), (one, two), strict=True)]
        tags = [_at(maps.embedding, peaks.cells) for maps, peaks in zip((first, second), (one, two), strict=True)]
        alike = (tags[0] - tags[1].transpose(1, 2)).abs() <= self.head.distance
        same = one.labels[:, :, None] == two.labels[:, None, :]
        used = one.used[:, :, None] & two.used[:, None, :]
        count = same.shape[1:]
        boxes = torch.cat([places[0][:, :, None].expand(-1, *count, 2), places[1][:, None].expand(-1, *count, 2)], -1)
        scores = (one.scores[:, :, None] + two.scores[:, None, :]) / 2
        labels = one.labels[:, :, None].expand(-1, *count)
        return boxes.flatten(1, 2), scores.flatten(1), labels.flatten(1), (alike & same & used).flatten(1)

    published_names = (
        (r"^backbone\.(.*)$", r"backbone.\1"),
        (r"^bbox_head\.tl_(pool|heat|emb|off)\.(\d+)\.", r"top_left.\2.\1."),
        (r"^bbox_head\.br_(pool|heat|emb|off)\.(\d+)\.", r"bottom_right.\2.\1."),
    )


class _Corner(nn.Module):
    """Everything about one kind of corner (figure 11): features ``[N, width, h, w]`` to `CornerMaps`."""

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"heat.1": ONE_EACH}

    def __init__(
        self, config: CornerNet.Head, width: int, classes: int, directions: tuple[Direction, Direction]
    ) -> None:
        super().__init__()
        self.pool = CornerPooling(width, config.pooled, directions)
        self.heat = _branch(width, config.channels, classes)
        self.emb = _branch(width, config.channels, 1)
        self.off = _branch(width, config.channels, 2)
        # a prior of 10 % (as arXiv:1708.02002, section 4.1)
        nn.init.constant_(self.heat[-1].get_parameter("conv.bias"), -math.log(9))

    def forward(self, x: Tensor) -> CornerMaps:
        x = self.pool(x)
        return CornerMaps(self.heat(x), self.emb(x), self.off(x))


def _branch(inputs: int, channels: int, outputs: int) -> nn.Sequential:
    hidden, last = ConvNorm(inputs, channels, 3), ConvNorm(channels, outputs, 1, relu=False)
    nn.init.kaiming_normal_(hidden.conv.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(hidden.get_parameter("conv.bias"))
    return nn.Sequential(hidden, last)


def _at(maps: Tensor, cells: Tensor) -> Tensor:
    """``[N, K, D]`` in full precision: what ``maps [N, D, h, w]`` say at ``cells [N, K]``."""
    flat = full_precision(maps).flatten(2)
    return flat.gather(2, cells.unsqueeze(1).expand(-1, flat.shape[1], -1)).transpose(1, 2)


def _offset_loss(maps: CornerMaps, wanted: CornerTargets) -> Tensor:
    """Sum of the smooth L1 loss of corners' offsets (equation 3)."""
    loss = F.smooth_l1_loss(_at(maps.offset, wanted.cells), wanted.offset, reduction="none")
    return (loss * wanted.last.unsqueeze(-1)).sum()


def _places(maps: CornerMaps, peaks: Peaks, pixels: Tensor) -> Tensor:
    """x and y ``[N, K, 2]`` of corners in pixels of the canvas."""
    height, width = maps.offset.shape[2:]
    offset = _at(maps.offset, peaks.cells)
    x = (peaks.cells % width + offset[..., 0]) * (pixels.shape[3] / width)
    y = (peaks.cells // width + offset[..., 1]) * (pixels.shape[2] / height)
    return torch.stack([x, y], -1)


def _centred(images: Images) -> tuple[Tensor, Tensor]:
    """Pixels with each image in the middle of the canvas, and ``[N, 2]``, by how much it moved along x and y.

    Training images have padding all around, too, so the network knows corners that touch the border from there.
    """
    height, width = images.pixels.shape[2:]
    down = height // 2 - images.sizes[:, 0] // 2
    right = width // 2 - images.sizes[:, 1] // 2
    # the padding is zero, so what a full turn brings back at the other side is no part of the image
    rows = (torch.arange(height, device=down.device) - down[:, None]) % height
    columns = (torch.arange(width, device=down.device) - right[:, None]) % width
    pixels = images.pixels.gather(2, rows[:, None, :, None].expand_as(images.pixels))
    return pixels.gather(3, columns[:, None, None, :].expand_as(pixels)), torch.stack([right, down], -1)
