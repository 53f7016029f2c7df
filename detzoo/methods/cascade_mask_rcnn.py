"""Cascade Mask R-CNN: Cascade R-CNN with instance masks, arXiv:1906.09756, 2019.

Three box heads refine each other's boxes, trained with rising IoU thresholds (arXiv:1712.00726), and each stage has a
mask head that learns from its RoIs. The three masks of a final box are averaged.

Departures from the paper: those of Cascade R-CNN (`detzoo.methods.cascade_rcnn`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.cascade import Averaged, CascadeConfig, box_heads, refined
from detzoo.blocks.roi_heads import MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.detector import Detector
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Detections, Images, Targets


class CascadeMaskRCNN(Detector):
    """Detection of boxes with instance masks in a first stage and three that refine."""

    class Config(CascadeConfig):
        """Settings of `CascadeMaskRCNN`."""

        method: Literal["cascade_mask_rcnn"] = "cascade_mask_rcnn"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        mask_head: MaskHead.Config = MaskHead.Config()  # of every stage
        one_mask_head: bool = False  # learns from the RoIs of `mask_stage`; False: each stage has its own
        mask_stage: int = Field(default=0, ge=0)  # from 0

        @model_validator(mode="after")
        def _masks_have_a_stage(self) -> CascadeMaskRCNN.Config:
            if self.mask_stage >= (len(self.stages) if self.one_mask_head else 1):
                raise ValueError("mask_stage is that of one_mask_head, which is one of the stages")
            return self

    learns_masks = True

    def __init__(self, config: CascadeMaskRCNN.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.stages, self.objects_once = config.stages, config.objects_once
        self.averaged: Averaged = config.averaged
        self.roi_levels = config.roi_levels
        self.mask_stage, self.mask_threshold = config.mask_stage, config.mask_head.threshold
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = RPN(config.rpn, self.neck.channels, self.neck.strides)
        width, count = self.neck.channels[0], len(self.classes)
        many = config.roi_levels, self.objects_once, config.shared_layers
        self.box_heads = box_heads(config.box_head, config.stages, width, count, *many)
        masked = 1 if config.one_mask_head else len(config.stages)
        mask_heads = [MaskHead(config.mask_head, width, count, levels=config.roi_levels) for _ in range(masked)]
        self.mask_heads = cast("Sequence[MaskHead]", nn.ModuleList(mask_heads))

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_rpn_cls, loss_rpn_bbox`` and, of each stage, ``s0.loss_cls, s0.loss_bbox, s0.loss_mask``.

        ``s0.acc`` is the accuracy of a stage in percent.

        Raises:
            ValueError: the targets have no masks.
        """
        features = self.neck(self.backbone(images.pixels))
        raw = self.rpn(features)
        losses = self.rpn.losses(raw, targets, images.sizes)
        boxes, _, valid = self.rpn.propose(raw, images, training=True)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        for number, (stage, head) in enumerate(zip(self.stages, self.box_heads, strict=True)):
            samples = head.sample(atlas, boxes, valid, targets)
            found = head(atlas, samples.boxes, samples.valid)
            positives = head.config.most_positives
            some = head.compare(found, samples, targets)
            if 0 <= (place := number - self.mask_stage) < len(self.mask_heads):
                some |= self.mask_heads[place].losses(atlas, samples, targets, positives)
            for name, value in some.items():
                losses[f"s{number}.{name}"] = value * stage.weight if "loss" in name else value
            # a next stage learns from the same RoIs, moved
            boxes = head.refine(found, samples.boxes, images, samples)
            valid = samples.passed_on(boxes, self.objects_once)
        return losses

    def detect(self, images: Images) -> Detections:
        """Detections with mask crops, in pixels of the network input."""
        features = self.neck(self.backbone(images.pixels))
        proposals = self.rpn.propose(self.rpn(features), images, training=False)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        raw, boxes = refined(
            self.box_heads, lambda head, some: head(atlas, some), proposals.boxes, images, self.averaged
        )
        found = self.box_heads[-1].best(raw, boxes, proposals.valid, images)
        crops = self.crops(atlas, found.boxes, found.labels)
        return found.with_crops(crops, images, self.mask_threshold)

    def crops(self, atlas: Atlas, boxes: Tensor, labels: Tensor) -> Tensor:
        """Mask probabilities ``[N, K, m, m]``, the stages' mean, inside boxes ``[N, K, 4]`` of classes ``labels``."""
        return torch.stack([head.crops(atlas, boxes, labels) for head in self.mask_heads]).mean(0)

    published_names = (
        (r"^rpn_head\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
        (r"^roi_head\.bbox_head\.", "box_heads."),
        (r"^roi_head\.mask_head\.", "mask_heads."),
        (r"^roi_head\.bbox_roi_extractor\.(\d+)\.", r"box_heads.\1.extractor."),
        (r"^roi_head\.mask_roi_extractor\.(\d+)\.", r"mask_heads.\1.extractor."),
    )
