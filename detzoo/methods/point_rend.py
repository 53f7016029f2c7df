"""PointRend, arXiv:1912.08193, 2019.

Mask R-CNN whose masks are drawn as pictures are rendered: a small head draws each one coarsely, and a perceptron that
sees features of single points decides where that is uncertain. Prediction doubles the mask's sides again and again, and
each time only the least certain points are decided anew; training looks at points of which most are uncertain ones.

Departures from the paper: those of `detzoo.methods.mask_rcnn`; finer masks are computed for the detected class alone,
not for all classes, which changes no mask; coarse logits begin with noise of 0.001, as in the authors' own code, where
the published training began with that constant.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.assign import RoISamples
from detzoo.blocks.class_rows import ClassRows
from detzoo.blocks.losses import binary_loss, mean_over_ranks
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.rpn import RPN
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import full_precision
from detzoo.ops.roi_align import build_atlas, crop_targets, sample_masks
from detzoo.types import Detections, Images, Targets


class CoarseMaskHead(nn.Module):
    """Coarse masks of every class from a grid of points of each RoI; section 4.1 and appendix."""

    class Config(BaseConfig):
        """Settings of `CoarseMaskHead`."""

        size: int = Field(default=14, ge=2)  # points per side that features are read at; masks have half as many
        channels: int = Field(default=256, ge=1)  # of the convolution that halves the grid
        fcs: int = Field(default=2, ge=1)
        fc_channels: int = Field(default=1024, ge=1)
        weight: float = Field(default=1.0, ge=0)  # of the loss
        threshold: float = Field(default=0.5, ge=0, le=1)  # least probability of a pixel inside, also of finer masks

    def __init__(self, config: CoarseMaskHead.Config, channels: int, classes: int) -> None:
        super().__init__()
        self.config, self.side = config, config.size // 2
        self.class_rows = {"fc_logits": ClassRows(each=self.side**2)}
        self.downsample = nn.Conv2d(channels, config.channels, 2, stride=2)
        nn.init.kaiming_normal_(self.downsample.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.downsample.get_parameter("bias"))
        widths = [config.channels * self.side**2, *[config.fc_channels] * config.fcs]
        self.fcs = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(widths))
        for layer in self.fcs:
            nn.init.xavier_normal_(layer.get_parameter("weight"))
            nn.init.zeros_(layer.get_parameter("bias"))
        self.fc_logits = nn.Linear(config.fc_channels, classes * self.side**2)
        nn.init.normal_(self.fc_logits.weight, std=0.001)
        nn.init.zeros_(self.fc_logits.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[K, C, size / 2, size / 2]`` of the features ``[K, channels, size, size]`` of K RoIs."""
        x = F.relu_(self.downsample(x)).flatten(1)
        for layer in self.fcs:
            x = F.relu_(layer(x))
        return self.fc_logits(x).unflatten(1, (-1, self.side, self.side))


class PointHead(nn.Module):
    """A perceptron that every point of every RoI goes through; each of its layers sees the coarse logits, too."""

    class Config(BaseConfig):
        """Settings of `PointHead`: its layers and the points that it decides."""

        fcs: int = Field(default=3, ge=1)
        channels: int = Field(default=256, ge=1)
        weight: float = Field(default=1.0, ge=0)  # of the loss
        points: int = Field(default=196, ge=1)  # of a RoI in training
        oversampling: float = Field(default=3.0, ge=1)  # as many more are drawn at random, to take uncertain ones of
        uncertain: float = Field(default=0.75, ge=0, le=1)  # share of such points, the others are any
        steps: int = Field(default=5, ge=1)  # how often prediction doubles a mask's sides
        step_points: int = Field(default=784, ge=1)  # least certain points that are decided after each

    def __init__(self, config: PointHead.Config, channels: int, classes: int) -> None:
        super().__init__()
        self.config = config
        self.class_rows = {"fc_logits": ClassRows(inputs=config.channels)}
        self.fcs = nn.ModuleList()
        for number, width in enumerate((channels, *[config.channels] * (config.fcs - 1))):
            self.class_rows[f"fcs.{number}"] = ClassRows(before=config.channels, each=0, inputs=width)
            layer = nn.Conv1d(width + classes, config.channels, 1)
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.get_parameter("bias"))
            self.fcs.append(layer)
        self.fc_logits = nn.Conv1d(config.channels + classes, classes, 1)
        nn.init.normal_(self.fc_logits.weight, std=0.001)
        nn.init.zeros_(self.fc_logits.get_parameter("bias"))

    def forward(self, fine: Tensor, coarse: Tensor, labels: Tensor) -> Tensor:
        """Logits ``[K, P]`` of P points of K RoIs for the RoIs' classes ``labels [K]``.

        ``fine [K, channels, P]`` are features there, ``coarse [K, C, P]`` the coarse masks' logits.
        """
        x = torch.cat([fine, coarse], 1)
        for layer in self.fcs:
            x = torch.cat([F.relu_(layer(x)), coarse], 1)
        # only the row of the class is computed, not all classes of which one is then picked
        weight, bias = self.fc_logits.weight[labels].squeeze(2), self.fc_logits.get_parameter("bias")[labels]
        return torch.bmm(weight.unsqueeze(1).to(x.dtype), x).squeeze(1) + bias.unsqueeze(1)

    @torch.no_grad()
    def draw(self, logits: Tensor) -> Tensor:
        """Points to learn from, most of them where the class's coarse ``logits [K, m, m]`` are near 0: ``[K, P, 2]``.

        Section 3.2. Points are x, y in the RoI, from 0 to 1.
        """
        config, logits = self.config, full_precision(logits)
        uncertain = int(config.uncertain * config.points)
        any_point = torch.rand(len(logits), int(config.points * config.oversampling), 2, device=logits.device)
        others = torch.rand(len(logits), config.points - uncertain, 2, device=logits.device)
        doubt = -read(logits.unsqueeze(1), any_point.to(logits.dtype)).squeeze(1).abs()
        index = doubt.topk(uncertain, dim=1).indices.unsqueeze(2).expand(-1, -1, 2)
        return torch.cat([any_point.gather(1, index), others], 1).to(logits.dtype)


class PointRend(Detector):
    """Two-stage detection of boxes with instance masks of fine outline."""

    class Config(DetectorConfig):
        """Settings of `PointRend`."""

        method: Literal["point_rend"] = "point_rend"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        rpn: RPN.Config = RPN.Config()
        box_head: BoxHead.Config = BoxHead.Config()
        mask_head: CoarseMaskHead.Config = CoarseMaskHead.Config()
        point_head: PointHead.Config = PointHead.Config()
        roi_levels: int = 4  # finest pyramid levels that RoIs are pooled from; masks see the finest alone

    learns_masks = True

    def __init__(self, config: PointRend.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.roi_levels = config.roi_levels
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = RPN(config.rpn, self.neck.channels, self.neck.strides)
        width = self.neck.channels[0]
        self.box_head = BoxHead(config.box_head, width, len(self.classes), levels=config.roi_levels)
        self.mask_head = CoarseMaskHead(config.mask_head, width, len(self.classes))
        self.point_head = PointHead(config.point_head, width, len(self.classes))

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses as of `MaskRCNN`, and ``loss_point`` of single points of the masks.

        Raises:
            ValueError: the targets have no masks.
        """
        features = self.neck(self.backbone(images.pixels))
        raw = self.rpn(features)
        losses = self.rpn.losses(raw, targets, images.sizes)
        proposals = self.rpn.propose(raw, images, training=True)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        samples = self.box_head.sample(atlas, proposals.boxes, proposals.valid, targets)
        losses |= self.box_head.losses(atlas, samples, targets)
        return losses | self.mask_losses(features[0], samples, targets)

    def mask_losses(self, features: Tensor, samples: RoISamples, targets: Targets) -> dict[str, Tensor]:
        """``loss_mask`` and ``loss_point``: mean binary cross-entropy over coarse pixels and over points of positives.

        Args:
            features: of the finest level, ``[N, channels, H, W]``.
            samples: of which positives, in the first slots, are looked at.
            targets: with masks.
        """
        if targets.masks is None:
            raise ValueError("the targets have no masks: pass masks to Targets.pack, or set data.masks=true")
        count = self.box_head.config.most_positives
        boxes, slots = samples.boxes[:, :count], samples.slot[:, :count]
        labels, positive = samples.labels[:, :count].flatten(), samples.positive[:, :count]
        coarse = self.coarse(features, boxes * positive.unsqueeze(-1))
        mine = _of_class(coarse, labels)
        points = self.point_head.draw(mine)
        logits = self.decide(features, boxes, coarse, labels, points)
        number = mean_over_ranks(positive.sum(), floor=1)
        masks = targets.masks
        losses = {}
        for name, head, found, wanted in (
            ("loss_mask", self.mask_head, mine, crop_targets(masks, boxes, slots, mine.shape[-1])),
            ("loss_point", self.point_head, logits, sample_masks(masks, _inside(boxes, points), slots)),
        ):
            found = found.unflatten(0, positive.shape).flatten(2)
            loss = binary_loss(found, wanted.flatten(2), positive.unsqueeze(-1).float())
            losses[name] = loss / (number * found.shape[2]) * head.config.weight
        return losses

    def detect(self, images: Images) -> Detections:
        """Detections with mask crops, in pixels of the network input."""
        features = self.neck(self.backbone(images.pixels))
        proposals = self.rpn.propose(self.rpn(features), images, training=False)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        found = self.box_head.detect(atlas, proposals.boxes, proposals.valid, images)
        crops = self.crops(features[0], found.boxes, found.labels)
        return found.with_crops(crops, images, self.mask_head.config.threshold)

    def crops(self, features: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
        """Mask probabilities ``[N, K, m, m]`` inside boxes ``[N, K, 4]`` of classes ``labels [N, K]``.

        Subdivision, section 3.1, from ``features [N, channels, H, W]``: a finer mask is interpolated, then its least
        certain points are decided. A step all of whose points the next one decides again is left out.
        """
        config, flat = self.point_head.config, labels.flatten()
        coarse = self.coarse(features, boxes)
        fine = _of_class(coarse, flat).unsqueeze(1)
        for step in range(1, config.steps + 1):
            fine = F.interpolate(fine, scale_factor=2, mode="bilinear")
            side = fine.shape[-1]
            if config.step_points >= 4 * side**2 and step < config.steps:
                continue
            index = (-fine.abs()).flatten(1).topk(min(side**2, config.step_points), dim=1).indices
            points = (torch.stack([index % side, index // side], 2).to(boxes.dtype) + 0.5) / side
            decided = self.decide(features, boxes, coarse, flat, points)
            fine = fine.flatten(1).scatter(1, index, decided.to(fine.dtype)).view_as(fine)
        return full_precision(fine).sigmoid().view(*labels.shape, *fine.shape[2:])

    def coarse(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Coarse logits ``[N * K, C, m, m]`` of boxes ``[N, K, 4]``."""
        size = self.mask_head.config.size
        line = (torch.arange(size, device=boxes.device, dtype=boxes.dtype) + 0.5) / size
        grid = torch.stack([line.expand(size, size), line.unsqueeze(1).expand(size, size)], 2).flatten(0, 1)
        x = self.read_features(features, boxes, grid.expand(boxes.shape[0] * boxes.shape[1], -1, -1))
        return self.mask_head(x.unflatten(2, (size, size)))

    def decide(self, features: Tensor, boxes: Tensor, coarse: Tensor, labels: Tensor, points: Tensor) -> Tensor:
        """The point head's logits ``[N * K, P]`` at ``points [N * K, P, 2]`` of boxes ``[N, K, 4]``."""
        return self.point_head(self.read_features(features, boxes, points), read(coarse, points), labels)

    def read_features(self, features: Tensor, boxes: Tensor, points: Tensor) -> Tensor:
        """Features ``[N * K, channels, P]`` at ``points [N * K, P, 2]`` of boxes ``[N, K, 4]``."""
        height, width = (side * self.neck.strides[0] for side in features.shape[2:])
        x, y = _inside(boxes.detach(), points).unbind(3)
        found = read(features, torch.stack([x / width, y / height], 3).flatten(1, 2))
        return found.unflatten(2, x.shape[1:]).transpose(1, 2).flatten(0, 1)

    published_names = (
        (r"^rpn_head\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
        (r"^roi_head\.bbox_head\.", "box_head."),
        (r"^roi_head\.bbox_roi_extractor\.", "box_head.extractor."),
        (r"^roi_head\.mask_head\.downsample_conv\.conv\.", "mask_head.downsample."),
        (r"^roi_head\.mask_head\.", "mask_head."),
        (r"^roi_head\.point_head\.fcs\.(\d+)\.conv\.", r"point_head.fcs.\1."),
        (r"^roi_head\.point_head\.", "point_head."),
    )


def read(maps: Tensor, points: Tensor) -> Tensor:
    """Values ``[N, C, P]`` of ``maps [N, C, H, W]`` at ``points [N, P, 2]``, x and y from 0 to 1; zeros outside.

    Positions are float32 at least, whatever the maps are.
    """
    grid = 2 * points.unsqueeze(2) - 1
    found = F.grid_sample(full_precision(maps).to(grid.dtype), grid, align_corners=False)
    return found.squeeze(3).to(maps.dtype)


def _of_class(masks: Tensor, labels: Tensor) -> Tensor:
    """The masks ``[K, m, m]`` of classes ``labels [K]`` among ``[K, C, m, m]``."""
    return masks.gather(1, labels.view(-1, 1, 1, 1).expand(-1, -1, *masks.shape[2:])).squeeze(1)


def _inside(boxes: Tensor, points: Tensor) -> Tensor:
    """Where ``points [N * K, P, 2]`` of boxes ``[N, K, 4]`` are, in the boxes' pixels: ``[N, K, P, 2]``."""
    corner, opposite = boxes.unsqueeze(2).split(2, 3)
    return corner + points.unflatten(0, boxes.shape[:2]) * (opposite - corner)
