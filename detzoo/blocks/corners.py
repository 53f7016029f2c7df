"""What methods are made of that find objects by two of their corners: layers, targets, losses and pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.assign import pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.heatmaps import Peaks, bell_radius, draw_bells, find_peaks
from detzoo.blocks.layers import ConvNorm
from detzoo.blocks.losses import mean_over_ranks
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import clip, full_precision
from detzoo.ops.corner_pool import Direction, corner_pool
from detzoo.ops.focal import heat_focal_loss
from detzoo.ops.nms import rank
from detzoo.ops.soft_nms import soft_nms
from detzoo.types import Detections, Images, Targets


class CornerSettings(BaseConfig):
    """What heads on corners have in common: layers, what they learn from, and what they return."""

    channels: int = Field(default=256, ge=1)  # of the layer before each map
    pooled: int = Field(default=128, ge=1)  # channels that are pooled, per direction
    overlap: float = Field(default=0.3, gt=0, lt=1)  # IoU of a box whose corners are as far off as a bell reaches
    alpha: float = Field(default=2.0, ge=0)  # focusing exponent of the heat maps' loss
    gamma: float = Field(default=4.0, ge=0)  # exponent that forgives cells near a corner
    window: Literal[1, 3, 5, 7] = 3  # cells: a corner scores highest in a square of this edge
    corners: int = Field(default=100, ge=1)  # best corners of each kind, per image
    pairs: int = Field(default=1000, ge=1)  # best pairs that enter suppression
    sigma: float = Field(default=0.5, gt=0)  # of gaussian soft suppression, within a class
    threshold: float = Field(default=0.001, ge=0, le=1)  # least score after suppression
    detections: int = Field(default=100, ge=1)  # per image

    @property
    def soft_nms(self) -> dict[str, Any]:
        """The suppression, as `detzoo.ops.soft_nms.soft_nms` takes it."""
        return {"method": "gaussian", "sigma": self.sigma, "min_score": self.threshold}


class KeypointMaps(Protocol):
    """What the network says of one kind of corner, one value or more per cell, beside what pairs are told by."""

    @property
    def heat(self) -> Tensor:
        """``[N, C, h, w]`` logits."""
        ...

    @property
    def offset(self) -> Tensor:
        """``[N, 2, h, w]``, x and y of the corner minus column and row of its cell, in cells."""
        ...


class CornerTargets(NamedTuple):
    """What one kind of corner should look like.

    Attributes:
        heat: ``[N, C, h, w]``, 1 at the corners.
        places: ``[N, G, 2]``, x and y of each object's corner, in cells.
        cells: int64 ``[N, G]``, row times w plus column of the corner's cell.
        offset: ``[N, G, 2]``, as in `KeypointMaps`.
        last: bool ``[N, G]``, objects that are the last of all that have their corner in this cell.
        number: scalar, how many of these there are, at least 1, averaged over ranks.
    """

    heat: Tensor
    places: Tensor
    cells: Tensor
    offset: Tensor
    last: Tensor
    number: Tensor


class CornerPooling(nn.Module):
    """Two corner poolings, added, beside a shortcut: CornerNet, figures 7 and 11 (arXiv:1808.01244).

    Takes and returns ``[N, C, H, W]``. Parameters are named as MMDetection names them.
    """

    def __init__(self, channels: int, pooled: int, directions: tuple[Direction, Direction]) -> None:
        """``channels`` C are taken and returned; ``pooled`` are looked at along each of the two ``directions``."""
        super().__init__()
        self.directions = directions
        self.direction1_conv = ConvNorm(channels, pooled, 3, norm="bn")
        self.direction2_conv = ConvNorm(channels, pooled, 3, norm="bn")
        self.aftpool_conv = ConvNorm(pooled, channels, 3, norm="bn", relu=False)
        self.conv1 = ConvNorm(channels, channels, 1, norm="bn", relu=False)  # the shortcut
        self.conv2 = ConvNorm(channels, channels, 3, norm="bn")
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[N, C, H, W]`` to features of the same shape."""
        first, second = self.directions
        pooled = corner_pool(self.direction1_conv(x), first) + corner_pool(self.direction2_conv(x), second)
        return self.conv2(F.relu_(self.aftpool_conv(pooled) + self.conv1(x)))


class Corner(nn.Module):
    """Layers for one kind of corner (CornerNet, figure 11), to which a method adds what pairs are told by."""

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"heat.1": ONE_EACH}

    def __init__(
        self, config: CornerSettings, width: int, classes: int, directions: tuple[Direction, Direction]
    ) -> None:
        """For features of ``width`` channels, looked at along ``directions``."""
        super().__init__()
        self.pool = CornerPooling(width, config.pooled, directions)
        self.heat = branch(width, config.channels, classes)
        self.off = branch(width, config.channels, 2)
        # a prior of 10 % (as arXiv:1708.02002, section 4.1)
        nn.init.constant_(self.heat[-1].get_parameter("conv.bias"), -math.log(9))


def branch(inputs: int, channels: int, outputs: int) -> nn.Sequential:
    """The two layers before a map of ``outputs`` numbers a cell."""
    hidden, last = ConvNorm(inputs, channels, 3), ConvNorm(channels, outputs, 1, relu=False)
    nn.init.kaiming_normal_(hidden.conv.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(hidden.get_parameter("conv.bias"))
    return nn.Sequential(hidden, last)


@torch.no_grad()
def corner_targets(
    targets: Targets, canvas: torch.Size, shape: torch.Size, overlap: float
) -> tuple[CornerTargets, CornerTargets]:
    """Of top left and bottom right corners; ``canvas`` is the input's shape, ``shape`` that of the heat maps."""
    factors = (shape[3] / canvas[3], shape[2] / canvas[2])
    first, second = (
        torch.stack([xy[..., axis] * factors[axis] for axis in (0, 1)], -1)
        for xy in (targets.boxes[..., :2], targets.boxes[..., 2:])
    )
    radius = bell_radius((second - first).ceil(), overlap)
    return _of_one_kind(first, radius, targets, shape), _of_one_kind(second, radius, targets, shape)


def _of_one_kind(places: Tensor, radius: Tensor, targets: Targets, shape: torch.Size) -> CornerTargets:
    """From ``places [N, G, 2]``, x and y of corners in cells, and ``radius [N, G]`` of their bells."""
    classes, height, width = shape[1:]
    x = places[..., 0].clamp(max=width - 1).floor()
    y = places[..., 1].clamp(max=height - 1).floor()
    heat = draw_bells(x, y, radius, targets.labels, targets.valid, (classes, height, width))
    cells = (y * width + x).long()
    number = torch.arange(1, cells.shape[1] + 1, device=cells.device) * targets.valid
    latest = number.new_zeros(len(cells), height * width).scatter_reduce(1, cells, number, "amax")
    last = targets.valid & (latest.gather(1, cells) == number)
    offset = places - torch.stack([x, y], -1)
    return CornerTargets(heat, places, cells, offset, last, mean_over_ranks(last.sum(), floor=1))


def corner_losses(
    kinds: Sequence[Sequence[KeypointMaps]], wanted: Sequence[CornerTargets], config: CornerSettings
) -> tuple[Tensor, Tensor]:
    """Losses of heat maps and of offsets (CornerNet, equations 1 and 3), summed over the stacked networks of each kind
    of corner, the mean over the kinds.
    """
    heat = offset = wanted[0].heat.new_zeros(())
    for maps, corners in zip(kinds, wanted, strict=True):
        count = mean_over_ranks((corners.heat == 1).sum(), floor=1)
        for level in maps:  # one per stacked network
            heat = heat + heat_focal_loss(level.heat, corners.heat, config.alpha, config.gamma) / count
            offset = offset + place_loss(level.offset, corners.offset, corners)
    return heat / 2, offset / 2


def place_loss(maps: Tensor, wanted: Tensor, corners: CornerTargets) -> Tensor:
    """Mean over corners' cells of the smooth L1 loss of what ``maps [N, D, h, w]`` say there; ``wanted [N, G, D]``."""
    loss = F.smooth_l1_loss(at(maps, corners.cells), wanted, reduction="none")
    return (loss * corners.last.unsqueeze(-1)).sum() / corners.number


def at(maps: Tensor, cells: Tensor) -> Tensor:
    """``[N, K, D]`` in full precision: what ``maps [N, D, h, w]`` say at ``cells [N, K]``."""
    flat = full_precision(maps).flatten(2)
    return flat.gather(2, cells.unsqueeze(1).expand(-1, flat.shape[1], -1)).transpose(1, 2)


class Pairs(NamedTuple):
    """Every best top left corner with every best bottom right one: K times K pairs per image.

    Attributes:
        peaks: of each kind of corner.
        places: x and y of each kind in pixels of the image, ``[N, K, 2]``.
        boxes: ``[N, K, K, 4]``, in pixels of the image.
        scores: ``[N, K, K]``.
        labels: int64 ``[N, K, K]``.
        fit: bool ``[N, K, K]``, whether the two are of one class and make a box.
    """

    peaks: tuple[Peaks, Peaks]
    places: tuple[Tensor, Tensor]
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    fit: Tensor


def pair_corners(
    first: KeypointMaps, second: KeypointMaps, canvas: torch.Size, shift: Tensor, config: CornerSettings
) -> Pairs:
    """Pairs of corners, of the maps of both kinds.

    ``canvas`` is the shape of the pixels, on which images lie ``shift [N, 2]`` right and down (see `centred`).
    """
    one, two = (find_peaks(maps.heat, config.corners, config.window) for maps in (first, second))
    places = []
    for maps, peaks in ((first, one), (second, two)):
        width = maps.heat.shape[3]
        cells = torch.stack([peaks.cells % width, peaks.cells // width], -1)
        places.append(to_pixels(cells + at(maps.offset, peaks.cells), maps.heat.shape, canvas) - shift.unsqueeze(1))
    count = one.cells.shape[1], two.cells.shape[1]
    boxes = torch.cat([places[0][:, :, None].expand(-1, *count, 2), places[1][:, None].expand(-1, *count, 2)], -1)
    boxes = boxes.clamp(min=0)
    fit = (one.labels[:, :, None] == two.labels[:, None, :]) & one.used[:, :, None] & two.used[:, None, :]
    return Pairs(
        peaks=(one, two),
        places=(places[0], places[1]),
        boxes=boxes,
        scores=(one.scores[:, :, None] + two.scores[:, None, :]) / 2,
        labels=one.labels[:, :, None].expand(-1, *count),
        fit=fit & (boxes[..., 2:] > boxes[..., :2]).all(-1),
    )


def to_pixels(cells: Tensor, shape: torch.Size, canvas: torch.Size) -> Tensor:
    """x and y ``[..., 2]`` in cells of maps of ``shape`` to pixels of a ``canvas`` of that shape."""
    return torch.stack([cells[..., axis] * (canvas[3 - axis] / shape[3 - axis]) for axis in (0, 1)], -1)


def best_boxes(pairs: Pairs, alike: Tensor, images: Images, config: CornerSettings) -> Detections:
    """What softly suppressed pairs leave of those that are ``alike``, bool ``[N, K, K]``."""
    fit = (pairs.fit & alike).flatten(1)
    scores = pairs.scores.flatten(1)
    best, slot = torch.where(fit, scores, -1.0).topk(min(config.pairs, scores.shape[1]), dim=1)
    boxes, labels = pick(pairs.boxes.flatten(1, 2), slot), pairs.labels.flatten(1).gather(1, slot)
    valid = best >= 0
    scores, left = soft_nms(boxes, best * valid, valid, labels, limit=config.detections, **config.soft_nms)
    order, kept = rank(scores, left, config.detections)
    return Detections(
        boxes=clip(pick(boxes, order), images.sizes) * kept.unsqueeze(-1),
        scores=scores.gather(1, order) * kept,
        labels=labels.gather(1, order) * kept,
        valid=kept,
    )


def centred(images: Images) -> tuple[Tensor, Tensor]:
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
