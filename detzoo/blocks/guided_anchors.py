"""Guided anchors: where objects are and how large they are there is predicted, one anchor a cell; arXiv:1901.03278."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from detzoo.blocks.anchors import Anchors, all_cells
from detzoo.blocks.assign import MatchConfig, match, pick, sample
from detzoo.blocks.losses import BoxesLoss, BoxLoss, box_loss, mean_over_ranks
from detzoo.blocks.rpn import objectness
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import from_centres, full_precision, to_centres
from detzoo.ops.focal import focal_loss
from detzoo.ops.regions import regions
from detzoo.types import Targets

MOST_LOG_RATIO = math.log(1e6)  # of an anchor's edge to its square's
_OUTSIDE = 0.1  # weight of cells far from any object
CELLS = 200  # of which one counts in the normalization of a loss of regions
_PRIOR = -math.log(99)  # logit of the share of cells with an object at the start


class Guide(nn.Module):
    """The two branches that make anchors: the logit of an object's centre in a cell, and how large its anchor is.

    Sections 3.2 and 3.3. An anchor has the middle of its cell's square, and its edges are those of the square times the
    exponential of what is predicted. Parameters are ``conv_loc.*`` and ``conv_shape.*``, as published weights
    name them.
    """

    class Config(BaseConfig):
        """Settings of `Guide`."""

        side: float = Field(default=8.0, gt=0)  # of a cell's square, in strides
        std: float = Field(default=0.14, gt=0)  # of the logarithm of an edge's ratio to its square's
        scales: int = Field(default=3, ge=1)  # of the boxes that a shape is matched by, per octave
        ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width of these
        match: MatchConfig = MatchConfig(positive=0.7, negative=0.3, low_quality=0.3)
        samples: int = Field(default=256, ge=1)  # cells per image by which the loss of shapes is normalized
        positives: float = Field(default=0.5, gt=0, le=1)  # largest share of them that learn a shape
        centre: float = Field(
            default=0.2, ge=0, le=1
        )  # edges of the middle of an object, where its location is learned
        around: float = Field(default=0.5, ge=0, le=1)  # edges of what is near an object, where nothing is learned
        threshold: float = Field(default=0.01, ge=0, le=1)  # least score of a location that is looked at in prediction
        alpha: float = Field(default=0.25, gt=0, lt=1)  # weight of centres in the focal loss of locations
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent
        # MMDetection 2 and 3 learn the complement: their focal loss counts classes from 0, and has background last
        inverted: bool = False  # locations are where no object is
        shape_loss: BoxesLoss = BoxLoss(kind="bounded_iou", beta=0.2)

        @model_validator(mode="after")
        def _fits(self) -> Guide.Config:
            if self.around < self.centre:
                raise ValueError("around is no smaller than centre")
            return self

    def __init__(self, config: Guide.Config, channels: int, strides: Sequence[int]) -> None:
        """Build for levels of ``channels`` and ``strides``."""
        super().__init__()
        self.config = config
        self.squares = Anchors(Anchors.Config(scales=(config.side,), ratios=(1.0,)), strides)
        scales = tuple(config.side * 2 ** (step / config.scales) for step in range(config.scales))
        self.approximations = Anchors(Anchors.Config(scales=scales, ratios=config.ratios), strides)
        self.conv_loc = nn.Conv2d(channels, 1, 1)
        self.conv_shape = nn.Conv2d(channels, 2, 1)
        for layer in (self.conv_loc, self.conv_shape):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))
        nn.init.constant_(self.conv_loc.get_parameter("bias"), -_PRIOR if config.inverted else _PRIOR)

    def anchors(self, shapes: Sequence[Tensor]) -> Tensor:
        """Anchors ``[N, A, 4]`` of predicted shapes ``[N, 2, H, W]`` of each level."""
        squares = to_centres(self.squares([level.shape[-2:] for level in shapes]))
        growth = full_precision(all_cells(shapes, 2)) * self.config.std
        edges = squares[:, 2:] * growth.clamp(-MOST_LOG_RATIO, MOST_LOG_RATIO).exp()
        return from_centres(torch.cat([squares[:, :2].expand_as(edges), edges], -1))

    def kept(self, locations: Sequence[Tensor]) -> list[Tensor]:
        """Bool ``[N, H * W]`` of each level: cells that prediction looks at, of logits ``[N, 1, H, W]``."""
        return [level >= self.config.threshold for level in objectness(locations)]

    def losses(self, shapes: Sequence[Tensor], locations: Sequence[Tensor], targets: Targets) -> tuple[Tensor, Tensor]:
        """Losses of shapes ``[N, 2, H, W]`` and of logits of locations ``[N, 1, H, W]``; equation 4 and section 3.2."""
        sizes = [level.shape[-2:] for level in shapes]
        return self._shape_loss(shapes, sizes, targets), self._location_loss(locations, sizes, targets)

    def _shape_loss(self, shapes: Sequence[Tensor], sizes: Sequence[Sequence[int]], targets: Targets) -> Tensor:
        """Of cells of whose approximations one overlaps an object well: the anchor is to be like the object."""
        config = self.config
        boxes = self.approximations(sizes)
        matches = match(boxes, None, targets, config.match, group=self.approximations.per_cell)
        index, chosen, positive = sample(matches.positive, matches.negative, config.samples, config.positives)
        wanted = pick(targets.boxes, pick(matches.slot, index))
        kinds = torch.stack([positive.sum(1), (chosen & ~positive).sum(1)])
        count = mean_over_ranks(kinds.clamp(min=1).sum())
        return box_loss(pick(self.anchors(shapes), index), wanted, positive.float(), config.shape_loss) / count

    def _location_loss(self, locations: Sequence[Tensor], sizes: Sequence[Sequence[int]], targets: Targets) -> Tensor:
        """Centres of objects are learned, what is near one is not, nor near one of a neighbouring level."""
        config = self.config
        seen = regions(
            targets.boxes, targets.valid, sizes, self.squares.strides, config.side, config.centre, config.around
        )
        central = seen.centre >= 0
        # of objects that lie over each other the last one says what a cell learns
        weights = torch.where(seen.around >= 0, (seen.centre == seen.around).float(), _OUTSIDE * ~seen.beside)
        labels = (central if config.inverted else ~central).long()  # 0 is the class, 1 background
        total = focal_loss(all_cells(locations, 1), labels, weights, config.alpha, config.gamma)
        return total / mean_over_ranks(total.new_full((), labels.numel() / CELLS))
