"""Sparse R-CNN: End-to-End Object Detection with Learnable Proposals, arXiv:2011.12450, 2020.

A few hundred learned boxes, each with a learned feature, take the place of a region proposal network. In every one of
six stages a proposal's feature becomes the weights of two convolutions that look at what is pooled from its box; that
gives the feature and the box of the next stage. Each object teaches one proposal of every stage: nothing is suppressed.

Departures from the paper: a batch without objects divides its losses by one; and detections end at the image's borders,
out of which the published model's reach. As in the published weights' training no gradient goes from a stage to the
boxes of the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.assign import pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.set_prediction import (
    FOCAL_WEIGHTS,
    SetWeights,
    by_layer,
    focal_costs,
    focal_set_losses,
    image_scale,
    match,
)
from detzoo.blocks.towers import PRIOR
from detzoo.blocks.transformer import Attention, FeedForward
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, decode, from_centres, full_precision
from detzoo.ops.roi_align import Atlas, build_atlas, pyramid_levels, roi_align
from detzoo.types import Detections, Images, Targets


class DynamicConv(nn.Module):
    """Two 1x1 convolutions whose weights a proposal's feature gives, and what they make of its RoI (section 3.3)."""

    def __init__(self, width: int, hidden: int, size: int) -> None:
        """Build for RoIs of ``width`` channels and ``size`` bins per side, with ``hidden`` channels in between."""
        super().__init__()
        self.hidden = hidden
        self.dynamic_layer = nn.Linear(width, 2 * width * hidden)
        self.norm_in = nn.LayerNorm(hidden)
        self.norm_out = nn.LayerNorm(width)
        self.fc_layer = nn.Linear(width * size**2, width)
        self.fc_norm = nn.LayerNorm(width)

    def forward(self, features: Tensor, pooled: Tensor) -> Tensor:
        """``[M, width]`` of features ``[M, width]`` and RoIs ``[M, width, size, size]``."""
        into, out = self.dynamic_layer(features).chunk(2, -1)
        x = pooled.flatten(2).transpose(1, 2)
        x = F.relu(self.norm_in(torch.bmm(x, into.unflatten(1, (-1, self.hidden)))))
        x = F.relu(self.norm_out(torch.bmm(x, out.unflatten(1, (self.hidden, -1)))))
        return F.relu(self.fc_norm(self.fc_layer(x.flatten(1))))


class DynamicHead(nn.Module):
    """One stage: proposals look at each other, then each at its RoI (section 3.3); named as in published weights."""

    class Config(BaseConfig):
        """Settings of `DynamicHead`."""

        stages: int = Field(default=6, ge=1)  # heads in a row, all alike
        size: int = Field(default=7, ge=1)  # bins per side of a pooled RoI
        sampling: int = Field(default=2, ge=0)  # samples per bin and side; 0: adaptive
        heads: int = Field(default=8, ge=1)  # of the proposals' attention to each other
        hidden: int = Field(default=2048, ge=1)  # channels inside the feed-forward layer
        dynamic: int = Field(default=64, ge=1)  # channels between the two dynamic convolutions
        cls_fcs: int = Field(default=1, ge=0)  # layers before the one that scores classes
        reg_fcs: int = Field(default=3, ge=0)  # layers before the one that moves boxes
        dropout: float = Field(default=0.0, ge=0, lt=1)
        stds: tuple[float, float, float, float] = (0.5, 0.5, 1.0, 1.0)  # of box offsets

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"fc_cls": ONE_EACH}

    def __init__(self, config: DynamicHead.Config, width: int, classes: int) -> None:
        super().__init__()
        self.attention = Attention(width, config.heads, config.dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.instance_interactive_conv = DynamicConv(width, config.dynamic, config.size)
        self.instance_interactive_conv_norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(config.dropout)
        self.ffn = FeedForward(width, config.hidden, config.dropout)
        self.ffn_norm = nn.LayerNorm(width)
        self.cls_fcs, self.reg_fcs = _layers(config.cls_fcs, width), _layers(config.reg_fcs, width)
        self.fc_cls = nn.Linear(width, classes)
        self.fc_reg = nn.Linear(width, 4)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.constant_(self.fc_cls.bias, PRIOR)

    def forward(self, features: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits ``[N, Q, C]``, offsets ``[N, Q, 4]`` and the next stage's features ``[N, Q, width]``.

        Args:
            features: of the proposals, ``[N, Q, width]``.
            pooled: their RoIs, ``[N * Q, width, size, size]``.
        """
        x = self.attention_norm(features + self.attention(features, features, features))
        seen = self.instance_interactive_conv(x.flatten(0, 1), pooled).view_as(x)
        x = self.instance_interactive_conv_norm(x + self.drop(seen))
        x = self.ffn_norm(x + self.ffn(x))
        return self.fc_cls(self.cls_fcs(x)), self.fc_reg(self.reg_fcs(x)), x


def _layers(count: int, width: int) -> nn.Sequential:
    each = [(nn.Linear(width, width, bias=False), nn.LayerNorm(width), nn.ReLU(inplace=True)) for _ in range(count)]
    return nn.Sequential(*(layer for layers in each for layer in layers))


class SparseRCNN(Detector):
    """Detection by learned proposals: no anchors, no region proposal network, no suppression."""

    class Config(DetectorConfig):
        """Settings of `SparseRCNN`."""

        method: Literal["sparse_rcnn"] = "sparse_rcnn"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(levels=4, extra="on_input")  # its channels are those of the proposals' features
        queries: int = Field(default=100, ge=1)  # learned proposals
        head: DynamicHead.Config = DynamicHead.Config()
        roi_levels: int = Field(default=4, ge=1)  # finest pyramid levels that RoIs are pooled from
        costs: SetWeights = FOCAL_WEIGHTS  # of a match, from the boxes' corners
        losses: SetWeights = FOCAL_WEIGHTS
        detections: int = Field(default=100, ge=1)  # best (proposal, class) pairs that are returned per image

    def __init__(self, config: SparseRCNN.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.settings = config
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        width = self.neck.channels[0]
        self.boxes = nn.Embedding(config.queries, 4)  # centre and size in parts of the image: all of it at first
        nn.init.constant_(self.boxes.weight[:, :2], 0.5)
        nn.init.constant_(self.boxes.weight[:, 2:], 1.0)
        self.features = nn.Embedding(config.queries, width)
        heads = (DynamicHead(config.head, width, len(self.classes)) for _ in range(config.head.stages))
        self.stages = nn.ModuleList(heads)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses of each stage: ``s0.loss_cls, s0.loss_bbox, s0.loss_iou``, ..."""
        logits, boxes = self.refined(self.neck(self.backbone(images.pixels)), images)
        slots = self.match(logits, boxes, images, targets)
        scale = image_scale(images)
        parts = boxes / scale.unsqueeze(1)
        terms = focal_set_losses(logits, parts, slots, targets, scale, self.settings.losses, corners=True)
        return by_layer(terms, [f"s{stage}." for stage in range(len(self.stages))])

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input: the best of all scores, which a box may have several of."""
        logits, boxes = self.refined(self.neck(self.backbone(images.pixels)), images)
        scores = logits[:, -1].sigmoid().flatten(1)
        best, index = scores.topk(min(self.settings.detections, scores.shape[1]), dim=1)
        classes = len(self.classes)
        return Detections(
            boxes=clip(pick(boxes[:, -1], index // classes), images.sizes),
            scores=best,
            labels=index % classes,
            valid=torch.ones_like(index, dtype=torch.bool),
        )

    def refined(self, features: Sequence[Tensor], images: Images) -> tuple[Tensor, Tensor]:
        """Class logits ``[N, S, Q, C]`` and boxes ``[N, S, Q, 4]``, xyxy pixels, of S stages; in full precision."""
        boxes, known = self.proposals(images)
        atlas = build_atlas(features[: self.settings.roi_levels], self.neck.strides[: self.settings.roi_levels])
        found = []
        for stage in self.stages:  # a stage needs the boxes of the one before
            logits, moved, known = self.look(stage, atlas, boxes, known)
            found.append((logits, moved))
            boxes = moved.detach()
        logits, boxes = (torch.stack(each, 1) for each in zip(*found, strict=True))
        return logits, boxes

    def proposals(self, images: Images) -> tuple[Tensor, Tensor]:
        """The learned boxes ``[N, Q, 4]``, xyxy pixels, and features ``[N, Q, width]``."""
        boxes = from_centres(full_precision(self.boxes.weight)) * image_scale(images)
        return boxes, self.features.weight.expand(boxes.shape[0], -1, -1).contiguous()

    def look(self, stage: nn.Module, atlas: Atlas, boxes: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One stage: class logits ``[N, Q, C]``, moved boxes ``[N, Q, 4]`` and features ``[N, Q, width]``."""
        head, places = self.settings.head, boxes.detach()
        pooled = roi_align(atlas, places, pyramid_levels(places, len(atlas.strides)), head.size, head.sampling)
        logits, offsets, features = stage(features, pooled)
        return full_precision(logits), decode(boxes, offsets, head.stds), features

    def match(self, logits: Tensor, boxes: Tensor, images: Images, targets: Targets) -> Tensor:
        """Object slot ``[N, S, Q]`` of each proposal in each stage, of what `refined` gave; -1 for none."""
        scale = image_scale(images)
        costs = focal_costs(logits, targets.labels)
        return match(costs, boxes / scale.unsqueeze(1), targets, scale, self.settings.costs, corners=True)

    published_names = (
        (r"^rpn_head\.init_proposal_bboxes\.", "boxes."),
        (r"^rpn_head\.init_proposal_features\.", "features."),
        (r"^roi_head\.bbox_head\.(\d+)\.attention\.attn\.", r"stages.\1.attention."),
        (r"^roi_head\.bbox_head\.", "stages."),
    )
