"""Mask Scoring R-CNN, arXiv:1903.00241, 2019.

Mask R-CNN scores a mask by how sure it is of the class. Here a further head looks at each mask beside the features that
it was drawn from and predicts its IoU with the object's; the product with the class score is the detection's score.

Departures from the paper: those of Mask R-CNN; a detection has one score, which ranks its box, too; a pixel counts as
drawn in training where its logit, not its probability, is above ``mask_iou_head.threshold``, as the published weights
were trained. The predicted IoU is a regression that is used as it comes: scores may lie slightly outside of 0 and 1.
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
from detzoo.blocks.assign import RoISamples, pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.layers import Conv2d
from detzoo.blocks.losses import mean_over_ranks
from detzoo.blocks.roi_heads import BoxHead, LearnedMasks, MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import full_precision
from detzoo.ops.nms import rank
from detzoo.ops.roi_align import build_atlas, pixels_inside
from detzoo.types import Detections, Images, Targets


class MaskScoringRCNN(Detector):
    """Two-stage detection of boxes with instance masks, scored by the quality of the mask."""

    class Config(DetectorConfig):
        """Settings of `MaskScoringRCNN`."""

        method: Literal["mask_scoring_rcnn"] = "mask_scoring_rcnn"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        rpn: RPN.Config = RPN.Config()
        box_head: BoxHead.Config = BoxHead.Config()
        mask_head: MaskHead.Config = MaskHead.Config()
        mask_iou_head: MaskIoUHead.Config = Field(default_factory=lambda: MaskIoUHead.Config())
        roi_levels: int = 4  # finest pyramid levels that RoIs are pooled from

    learns_masks = True

    def __init__(self, config: MaskScoringRCNN.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        levels = self.roi_levels = config.roi_levels
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = RPN(config.rpn, self.neck.channels, self.neck.strides)
        width, count = self.neck.channels[0], len(self.classes)
        self.box_head = BoxHead(config.box_head, width, count, levels=levels)
        self.mask_head = MaskHead(config.mask_head, width, count, levels=levels)
        self.mask_iou_head = MaskIoUHead(config.mask_iou_head, width, config.mask_head.size, count)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses of Mask R-CNN (`detzoo.methods.mask_rcnn`) and ``loss_mask_iou``.

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
        positives = self.box_head.config.most_positives
        masks = self.mask_head.learn(atlas, samples, targets, positives)
        return losses | self.mask_head.compare(masks) | self.mask_iou_head.losses(masks, samples, targets)

    def detect(self, images: Images) -> Detections:
        """Detections with mask crops, in pixels of the network input."""
        features = self.neck(self.backbone(images.pixels))
        proposals = self.rpn.propose(self.rpn(features), images, training=False)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        found = self.box_head.detect(atlas, proposals.boxes, proposals.valid, images)
        pooled = self.mask_head.pool(atlas, found.boxes)
        crops = self.mask_head.crops(atlas, found.boxes, found.labels, pooled)
        scores = found.scores * self.mask_iou_head(pooled, crops, found.labels)
        order, valid = rank(scores, found.valid, scores.shape[1])
        found = Detections(
            boxes=pick(found.boxes, order) * valid.unsqueeze(-1),
            scores=scores.gather(1, order) * valid,
            labels=found.labels.gather(1, order) * valid,
            valid=valid,
        )
        return found.with_crops(pick(crops, order), images, self.mask_head.config.threshold)

    published_names = (
        (r"^rpn_head\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
        (r"^roi_head\.bbox_head\.", "box_head."),
        (r"^roi_head\.mask_head\.", "mask_head."),
        (r"^roi_head\.mask_iou_head\.", "mask_iou_head."),
        (r"^roi_head\.bbox_roi_extractor\.", "box_head.extractor."),
        (r"^roi_head\.mask_roi_extractor\.", "mask_head.extractor."),
    )


class MaskIoUHead(nn.Module):
    """The IoU of a drawn mask with its object's, for each class (section 3.2 and figure 3)."""

    class Config(BaseConfig):
        """Settings of `MaskIoUHead`."""

        convs: int = Field(default=4, ge=1)  # 3x3 convolutions, of which the last halves the size
        channels: int = Field(default=256, ge=1)
        fcs: int = Field(default=2, ge=0)
        fc_channels: int = Field(default=1024, ge=1)
        weight: float = Field(default=0.5, ge=0)
        threshold: float = 0.5  # logit above which a pixel counts as drawn in training; 0: a probability of one half

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"fc_mask_iou": ONE_EACH}

    def __init__(self, config: MaskIoUHead.Config, channels: int, size: int, classes: int) -> None:
        """Build for features of ``channels`` and ``size`` bins per side, masks of twice as many, and ``classes``."""
        super().__init__()
        self.config = config
        last = config.convs - 1
        widths = [channels + 1, *[config.channels] * config.convs]
        self.convs = nn.ModuleList(
            Conv2d(widths[index], widths[index + 1], 3, stride=1 + (index == last), padding=1)
            for index in range(config.convs)
        )
        width = config.channels * ((size + 1) // 2) ** 2
        self.fcs = nn.ModuleList()
        for _ in range(config.fcs):
            self.fcs.append(nn.Linear(width, config.fc_channels))
            width = config.fc_channels
        self.fc_mask_iou = nn.Linear(width, classes)
        for layer in self.convs:
            nn.init.kaiming_normal_(layer.get_parameter("weight"), mode="fan_out", nonlinearity="relu")
        for layer in self.fcs:
            nn.init.kaiming_uniform_(layer.get_parameter("weight"), a=1)
        nn.init.normal_(self.fc_mask_iou.weight, std=0.01)
        for layer in (*self.convs, *self.fcs, self.fc_mask_iou):
            nn.init.zeros_(layer.get_parameter("bias"))
        # from 0 on, half of the IoUs, and so of the scores, were negative
        nn.init.constant_(self.fc_mask_iou.bias, 0.5)

    def forward(self, pooled: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
        """IoUs ``[N, R]`` of mask probabilities ``masks [N, R, 2 s, 2 s]`` for their classes ``labels [N, R]``.

        They were drawn from ``pooled [N * R, C, s, s]``.
        """
        smaller = F.max_pool2d(masks.flatten(0, 1).unsqueeze(1), 2)
        x = torch.cat([pooled, smaller.to(pooled.dtype)], 1)
        for conv in self.convs:
            x = F.relu_(conv(x))
        x = x.flatten(1)
        for layer in self.fcs:
            x = F.relu_(layer(x))
        every = full_precision(self.fc_mask_iou(x)).view(*labels.shape, -1)
        return every.gather(2, labels.unsqueeze(2)).squeeze(2)

    def losses(self, masks: LearnedMasks, samples: RoISamples, targets: Targets) -> dict[str, Tensor]:
        """``loss_mask_iou``: mean squared error over the RoIs whose drawn mask has any pixel of the object's."""
        count = masks.positive.shape[1]
        found = self(masks.pooled, masks.logits.sigmoid(), samples.labels[:, :count])
        wanted = self._wanted(masks, samples.boxes[:, :count], samples.slot[:, :count], targets)
        learned = masks.positive & (wanted > 0)
        error = torch.where(learned, found - wanted, 0.0).square().sum()
        return {"loss_mask_iou": error / mean_over_ranks(learned.sum(), floor=1) * self.config.weight}

    @torch.no_grad()
    def _wanted(self, masks: LearnedMasks, boxes: Tensor, slot: Tensor, targets: Targets) -> Tensor:
        """IoU ``[N, P]`` of drawn masks and whole objects, of which a part may lie outside of the box.

        The object's area on the mask's grid is that inside of the box, divided by the share of its pixels there.
        """
        assert targets.masks is not None
        height, width = targets.masks.canvas
        pixels = boxes.nan_to_num(0.0).long()
        x, y = pixels[..., 0::2].clamp(0, width), pixels[..., 1::2].clamp(0, height)
        low, high = torch.stack([x, y], -1).unbind(-2)
        inside = torch.cat([low, torch.maximum(high, low + 1)], -1)
        whole = targets.masks.windows.gather(1, slot.unsqueeze(-1).expand(-1, -1, 4))
        area = pixels_inside(targets.masks, whole, slot).float()
        share = pixels_inside(targets.masks, inside, slot).float() / (area + 1e-7)
        drawn = (masks.logits > self.config.threshold).float()
        common = (drawn * masks.wanted).sum((-1, -2))
        areas = drawn.sum((-1, -2)) + masks.wanted.sum((-1, -2)) / (share + 1e-7)
        return common / (areas - common)
