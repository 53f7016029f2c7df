"""Grid R-CNN, arXiv:1811.12030, 2018, as Grid R-CNN Plus (arXiv:1906.05688, 2019) has it.

Faster R-CNN whose second stage only classifies: where a box lies is read from a grid of points inside of it, each found
as the peak of a heat map, which neighbouring points help to draw. Each map covers the part where its point can be.

Departures from the papers: RoIs to learn points from are shared by the batch's images, ``grid_head.samples`` of all
positives; at most ``box_head.candidates`` (RoI, class) pairs per image enter the final suppression.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.assign import RoISamples, pick
from detzoo.blocks.layers import Conv2d, conv_norm
from detzoo.blocks.losses import binary_loss, mean_over_ranks
from detzoo.blocks.roi_heads import AnyRoIExtractor, BoxHead, SingleLevel
from detzoo.blocks.rpn import RPN
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, from_centres, full_precision, to_centres
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Detections, Images, Targets


class GridRCNN(Detector):
    """Two-stage detection of boxes, placed by grids of points."""

    class Config(DetectorConfig):
        """Settings of `GridRCNN`."""

        method: Literal["grid_rcnn"] = "grid_rcnn"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        rpn: RPN.Config = RPN.Config()
        box_head: BoxHead.Config = BoxHead.Config(refines=False, threshold=0.03, nms=0.3)
        grid_head: GridHead.Config = Field(default_factory=lambda: GridHead.Config())
        roi_levels: int = 4  # finest pyramid levels that RoIs are pooled from

    def __init__(self, config: GridRCNN.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        levels = self.roi_levels = config.roi_levels
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = RPN(config.rpn, self.neck.channels, self.neck.strides)
        width = self.neck.channels[0]
        self.box_head = BoxHead(config.box_head, width, len(self.classes), levels=levels)
        self.grid_head = GridHead(config.grid_head, width, levels)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_rpn_cls, loss_rpn_bbox, loss_cls, loss_grid``; ``acc`` is the RoI accuracy in percent."""
        features = self.neck(self.backbone(images.pixels))
        raw = self.rpn(features)
        losses = self.rpn.losses(raw, targets, images.sizes)
        proposals = self.rpn.propose(raw, images, training=True)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        samples = self.box_head.sample(atlas, proposals.boxes, proposals.valid, targets)
        losses |= self.box_head.losses(atlas, samples, targets)
        positives = self.box_head.config.most_positives
        return losses | self.grid_head.losses(atlas, samples, targets, positives, images)

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        features = self.neck(self.backbone(images.pixels))
        proposals = self.rpn.propose(self.rpn(features), images, training=False)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        found = self.box_head.detect(atlas, proposals.boxes, proposals.valid, images)
        boxes = self.grid_head.place(atlas, found.boxes)
        if self.grid_head.config.clips:
            boxes = clip(boxes, images.sizes)
        return dataclasses.replace(found, boxes=boxes * found.valid.unsqueeze(-1))

    published_names = (
        (r"^rpn_head\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
        (r"^roi_head\.bbox_head\.", "box_head."),
        (r"^roi_head\.grid_head\.", "grid_head."),
        (r"^roi_head\.bbox_roi_extractor\.", "box_head.extractor."),
        (r"^roi_head\.grid_roi_extractor\.", "grid_head.extractor."),
    )


class GridHead(nn.Module):
    """Heat maps of a square grid of points, row by row of x; sections 3.1 to 3.3 of the paper, and of Plus 2.1 to 2.3.

    The maps lie on twice the RoI, on ``4 size`` cells a side, of which each point's covers the half where it can be.
    Parameters are called as MMDetection calls them.
    """

    class Config(BaseConfig):
        """Settings of `GridHead`."""

        size: int = Field(default=14, ge=2)  # bins per side of a pooled RoI
        sampling: int = Field(default=0, ge=0)  # samples per bin and side; 0: adaptive
        extractor: AnyRoIExtractor = SingleLevel.Config()
        points: int = Field(default=3, ge=2, le=16)  # per side of the grid
        convs: int = Field(default=8, ge=1)  # 3x3 convolutions, of which the first halves the size
        channels: int = Field(default=64, ge=1)  # of each point
        groups: int = Field(default=36, ge=1)  # of the convolutions' normalization
        weight: float = Field(default=15.0, ge=0)
        samples: int = Field(default=192, ge=1)  # RoIs of a batch in training
        radius: int = Field(default=1, ge=0)  # cells around a point's own that belong to it
        jitter: float = Field(default=0.15, ge=0, lt=1)  # of the RoIs in training, as a share of their edges
        clips: bool = True  # boxes at the image's border; False: they may reach out of it, as the published ones do

    def __init__(self, config: GridHead.Config, channels: int, levels: int) -> None:
        """Build for ``levels`` of features of ``channels``."""
        super().__init__()
        self.config = config
        side, each = config.points, config.channels
        count = side**2
        width = count * each
        self.extractor = config.extractor.build(channels, levels, config.size, config.sampling)
        self.convs = nn.Sequential(
            *(
                _ConvGroupNorm(width if i else channels, width, config.groups, 1 if i else 2)
                for i in range(config.convs)
            )
        )
        self.deconv1 = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, groups=count)
        self.norm1 = nn.GroupNorm(count, width)
        self.deconv2 = nn.ConvTranspose2d(width, count, 4, stride=2, padding=1, groups=count)
        steps = ((-1, 0), (0, -1), (0, 1), (1, 0))
        # of each point, those beside it
        self.neighbours = [
            [(x + dx) * side + y + dy for dx, dy in steps if 0 <= x + dx < side and 0 <= y + dy < side]
            for x in range(side)
            for y in range(side)
        ]
        self.forder_trans, self.sorder_trans = (
            nn.ModuleList(nn.ModuleList(_transition(each) for _ in beside) for beside in self.neighbours)
            for _ in range(2)
        )
        self.cells = 2 * config.size  # cells of a map, per side
        own = (self.convs, self.deconv1, self.deconv2, self.forder_trans, self.sorder_trans)
        for layer in (layer for part in own for layer in part.modules()):
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.get_parameter("bias"))
            elif isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.001)
                nn.init.zeros_(layer.get_parameter("bias"))
        nn.init.constant_(self.deconv2.get_parameter("bias"), -math.log(0.99 / 0.01))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``[R, points^2, 2 size, 2 size]`` of heat maps from pooled RoIs ``[R, C, size, size]``.

        First those from features that points have exchanged with their neighbours, twice, then those from their own.
        """
        x = self.convs(x)
        return self._drawn(self._exchanged(x)), self._drawn(x)

    def _exchanged(self, x: Tensor) -> Tensor:
        """Features of the points ``[R, points^2 * channels, h, w]``, each plus what its second neighbours say."""
        once = self._told(x, x, self.forder_trans)
        return self._told(x, once, self.sorder_trans)

    def _told(self, own: Tensor, said: Tensor, transitions: nn.ModuleList) -> Tensor:
        """``own`` plus the transitions of what each point's neighbours have in ``said``."""
        own, said = (part.unflatten(1, (-1, self.config.channels)) for part in (own, said))
        x = torch.cat([said[:, point] for beside in self.neighbours for point in beside], 1)
        layers = [list(one.children()) for point in transitions for one in point.children()]
        for number, groups in ((0, x.shape[1]), (1, len(layers))):  # all connections at once, each in its own group
            weight, bias = (
                torch.cat([pair[number].get_parameter(name) for pair in layers]) for name in ("weight", "bias")
            )
            x = F.conv2d(x.to(weight.dtype), weight, bias, padding=weight.shape[-1] // 2, groups=groups)
        parts = x.unflatten(1, (len(layers), -1)).split([len(beside) for beside in self.neighbours], 1)
        return torch.cat([own[:, index] + part.sum(1) for index, part in enumerate(parts)], 1)

    def _drawn(self, x: Tensor) -> Tensor:
        return self.deconv2(conv_norm(x, self.deconv1, self.norm1, relu=True))

    def place(self, atlas: Atlas, boxes: Tensor) -> Tensor:
        """Boxes ``[N, K, 4]`` where the grids of ``boxes`` lie: an edge is the mean of its points, by their scores."""
        exchanged = self._drawn(self._exchanged(self.convs(self.extractor(atlas, boxes))))
        scores, cell = full_precision(exchanged).sigmoid().flatten(2).max(-1)
        side = self.config.points
        starts = self._starts(boxes.device)
        scores = scores.view(*boxes.shape[:2], side, side)  # by x, then y
        cell = cell.view_as(scores)
        x = (cell % self.cells + starts[:, None] + 0.5) / self.cells
        y = (cell // self.cells + starts + 0.5) / self.cells
        low, edges = boxes[..., :2], boxes[..., 2:] - boxes[..., :2]
        corner = low - edges / 2
        x = x * edges[..., :1, None] + corner[..., :1, None]
        y = y * edges[..., 1:, None] + corner[..., 1:, None]
        lines = ((x[..., 0, :], scores[..., 0, :]), (y[..., 0], scores[..., 0]))
        lines += ((x[..., -1, :], scores[..., -1, :]), (y[..., -1], scores[..., -1]))
        return torch.stack([(place * score).sum(-1) / score.sum(-1) for place, score in lines], -1)

    def losses(
        self, atlas: Atlas, samples: RoISamples, targets: Targets, positives: int, images: Images
    ) -> dict[str, Tensor]:
        """``loss_grid``: mean binary cross-entropy of both kinds of maps, of some of the first ``positives`` RoIs."""
        positive = samples.positive[:, :positives]
        boxes = samples.boxes[:, :positives]
        objects = pick(targets.boxes, samples.slot[:, :positives])
        if self.config.jitter:
            boxes = self._jittered(boxes, images)
        pooled = self.extractor(atlas, boxes * positive.unsqueeze(-1))
        key = torch.where(positive, torch.rand(positive.shape, device=positive.device), -1.0).flatten()
        chosen = key.topk(min(self.config.samples, len(key))).indices  # of all images together
        fused, own = self(pooled[chosen])
        wanted = self._wanted(boxes.flatten(0, 1)[chosen], objects.flatten(0, 1)[chosen])
        used = positive.flatten()[chosen]
        cells = mean_over_ranks(used.sum(), floor=1) * wanted[0].numel()
        weights = used.float().view(-1, 1, 1, 1)
        loss = binary_loss(fused, wanted, weights) + binary_loss(own, wanted, weights)
        return {"loss_grid": loss / cells * self.config.weight}

    def _jittered(self, boxes: Tensor, images: Images) -> Tensor:
        """Boxes ``[N, P, 4]`` moved and resized at random, inside of their image's pixels."""
        noise = (torch.rand(boxes.shape, device=boxes.device) * 2 - 1) * self.config.jitter
        middle, edges = to_centres(boxes).split(2, -1)
        moved = torch.cat([middle + edges * noise[..., :2], edges * (1 + noise[..., 2:])], -1)
        return clip(from_centres(moved), images.sizes - 1)

    @torch.no_grad()
    def _wanted(self, boxes: Tensor, objects: Tensor) -> Tensor:
        """Heat maps ``[R, points^2, 2 size, 2 size]`` of 0 and 1 of ``objects [R, 4]`` on maps around ``boxes [R, 4]``.

        A point's cells are those whose distance from its own is at most the radius. None in boxes that, doubled, are
        no wider or higher than the grid.
        """
        side, whole = self.config.points, 4 * self.config.size
        low, edges = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
        corner, doubled = low - edges / 2, edges * 2
        share = 1 - torch.arange(side, device=boxes.device) / (side - 1)  # of the object's first edge in each line
        lines = share * objects[:, :2, None] + (1 - share) * objects[:, 2:, None]  # [R, 2, side]
        cells = ((lines - corner.unsqueeze(-1)) / doubled.unsqueeze(-1) * whole).nan_to_num(0.0).trunc()
        # [R, 2, side, 2 size], squared distance along an axis from the cells that the map of a line covers
        start = self._starts(boxes.device).unsqueeze(-1)
        away = start + torch.arange(self.cells, device=boxes.device) - cells.unsqueeze(-1)
        x, y = away.square().unbind(1)
        near = x[:, :, None, None, :] + y[:, None, :, :, None] <= self.config.radius**2
        near &= (doubled > side).all(-1)[:, None, None, None, None]
        return near.flatten(1, 2).float()

    def _starts(self, device: torch.device) -> Tensor:
        """The first of the cells that the maps of the grid's lines cover: int64 ``[points]``."""
        side, whole = self.config.points, 4 * self.config.size
        line = torch.arange(side, device=device)
        inner = ((line / (side - 1) - 0.25) * whole).long().clamp(min=0)
        return torch.where(line == side - 1, self.cells, torch.where(line == 0, 0, inner))


class _ConvGroupNorm(nn.Module):
    """A 3x3 convolution, group normalization and ReLU."""

    def __init__(self, inputs: int, outputs: int, groups: int, stride: int) -> None:
        super().__init__()
        self.conv = Conv2d(inputs, outputs, 3, stride, padding=1)
        self.gn = nn.GroupNorm(groups, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return conv_norm(x, self.conv, self.gn, relu=True)


def _transition(channels: int) -> nn.Sequential:
    """What a point is told by a neighbour: a 5x5 convolution of each channel, then one across them."""
    return nn.Sequential(Conv2d(channels, channels, 5, padding=2, groups=channels), Conv2d(channels, channels, 1))
