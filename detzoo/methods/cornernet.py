"""CornerNet: Detecting Objects as Paired Keypoints, arXiv:1808.01244, 2018.

No anchors: one heat map per class finds top left corners, another bottom right ones, and a box is a pair of them. Which
two belong together tells a number at each corner, trained to be alike for the corners of one object and to differ
between objects.

Departures from the paper, all as the published weights were trained: pull and push losses are averaged over the objects
of each image and added up over the images; an object's offset counts once per cell, that of the last object there.
A corner has to be a local maximum, which only matters where an image has fewer than ``corners`` of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.hourglass import Hourglass
from detzoo.blocks import corners
from detzoo.blocks.corners import Corner, CornerSettings, CornerTargets, at
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.ops.corner_pool import Direction
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


class CornerNet(Detector):
    """Boxes from pairs of corners."""

    class Head(CornerSettings):
        """Settings of CornerNet's head."""

        pull: float = Field(default=0.1, ge=0)  # weight of the loss that makes an object's two embeddings alike
        push: float = Field(default=0.1, ge=0)  # weight of the loss that keeps those of two objects apart
        margin: float = Field(default=1.0, ge=0)  # distance of embeddings beyond which two objects are apart
        distance: float = Field(default=0.5, ge=0)  # most that the embeddings of a pair may differ

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
        wanted = corners.corner_targets(targets, images.pixels.shape, kinds[0][0].heat.shape, self.head.overlap)
        heat, offset = corners.corner_losses(kinds, wanted, self.head)
        pull = push = images.pixels.new_zeros(())
        for pair in zip(*kinds, strict=True):
            alike, apart = self._embedding_losses(pair, wanted, targets.valid)
            pull, push = pull + alike, push + apart
        return {
            "det_loss": heat,
            "off_loss": offset,
            "pull_loss": pull * self.head.pull,
            "push_loss": push * self.head.push,
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        pixels, shift = corners.centred(images)
        feature = self.backbone(pixels)[-1]
        kinds: tuple[CornerMaps, CornerMaps] = self.top_left[-1](feature), self.bottom_right[-1](feature)
        pairs = corners.pair_corners(*kinds, pixels.shape, shift, self.head)
        tags = [at(maps.embedding, peaks.cells) for maps, peaks in zip(kinds, pairs.peaks, strict=True)]
        alike = (tags[0] - tags[1].transpose(1, 2)).abs() <= self.head.distance
        return corners.best_boxes(pairs, alike, images, self.head)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[CornerMaps], list[CornerMaps]]:
        """Of top left corners, and of bottom right ones: the maps of each stacked network."""
        first = [head(feature) for head, feature in zip(self.top_left, features, strict=True)]
        return first, [head(feature) for head, feature in zip(self.bottom_right, features, strict=True)]

    def _embedding_losses(
        self, pair: Sequence[CornerMaps], wanted: Sequence[CornerTargets], valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pull and push: equations 4 and 5. A mean over objects, and over pairs of them; a sum over images."""
        one, two = (at(maps.embedding, t.cells)[..., 0] for maps, t in zip(pair, wanted, strict=True))
        mean = (one + two) / 2
        count = valid.sum(1)
        pull = ((one - mean).square() + (two - mean).square()) * valid
        close = F.relu(self.head.margin - (mean[:, :, None] - mean[:, None, :]).abs())
        other = ~torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
        push = close * (valid[:, :, None] & valid[:, None, :] & other)
        pull = (pull.sum(1) / count.clamp(min=1)).sum()
        return pull, (push.sum((1, 2)) / (count * (count - 1)).clamp(min=1)).sum()

    published_names = (
        (r"^bbox_head\.tl_(pool|heat|emb|off)\.(\d+)\.", r"top_left.\2.\1."),
        (r"^bbox_head\.br_(pool|heat|emb|off)\.(\d+)\.", r"bottom_right.\2.\1."),
    )


class _Corner(Corner):
    """Everything about one kind of corner: features ``[N, width, h, w]`` to `CornerMaps`."""

    def __init__(
        self, config: CornerNet.Head, width: int, classes: int, directions: tuple[Direction, Direction]
    ) -> None:
        super().__init__(config, width, classes, directions)
        self.emb = corners.branch(width, config.channels, 1)

    def forward(self, x: Tensor) -> CornerMaps:
        x = self.pool(x)
        return CornerMaps(self.heat(x), self.emb(x), self.off(x))
