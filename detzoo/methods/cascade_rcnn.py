"""Cascade R-CNN: Delving into High Quality Object Detection, arXiv:1712.00726, 2017.

A box head learns best from proposals about as good as those it will see. So three heads stand in a row: each is trained
with a higher IoU threshold than the one before, on the boxes that one refined, and the last one's boxes are the result.

Departures from the paper, as the published weights were trained: box offsets are scaled by fixed numbers per stage, not
by measured statistics; the losses of the stages are weighted 1, 0.5 and 0.25; a score is the softmax of the heads' mean
logits, each for its own boxes (in the paper, the mean probability of the last boxes). At most
``box_head.candidates`` (RoI, class) pairs per image enter the final suppression (the paper has no bound).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import model_validator
from torch import Tensor

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.cascade import Averaged, CascadeConfig, box_heads, refined
from detzoo.blocks.class_aware_cascade import best_of_stages, placed_by_class
from detzoo.blocks.roi_heads import BoxHead, RawBoxes
from detzoo.blocks.rpn import RPN
from detzoo.detector import Detector
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Detections, Images, Targets


class CascadeRCNN(Detector):
    """Detection of boxes in a first stage and three that refine."""

    class Config(CascadeConfig):
        """Settings of `CascadeRCNN`."""

        method: Literal["cascade_rcnn"] = "cascade_rcnn"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        # of the stages in the mean of each class's scores and boxes; None: scores as `averaged` says, the last boxes
        shares: tuple[float, ...] | None = None

        @model_validator(mode="after")
        def _shares_fit(self) -> Self:
            head = self.box_head
            if self.shares is None:
                return self
            if len(self.shares) != len(self.stages):
                raise ValueError(f"shares has {len(self.shares)} numbers for {len(self.stages)} stages")
            if head.class_agnostic or not head.refines or head.side_aware is not None or not head.in_files:
                raise ValueError("shares needs a box_head with a box for each class that moves boxes in_files")
            return self

    def __init__(self, config: CascadeRCNN.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.stages, self.objects_once = config.stages, config.objects_once
        self.averaged: Averaged = config.averaged
        self.shares = config.shares
        self.roi_levels = config.roi_levels
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = RPN(config.rpn, self.neck.channels, self.neck.strides)
        width, count = self.neck.channels[0], len(self.classes)
        many = config.roi_levels, self.objects_once, config.shared_layers
        self.box_heads = box_heads(config.box_head, config.stages, width, count, *many)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_rpn_cls, loss_rpn_bbox`` and, of each stage, ``s0.loss_cls, s0.loss_bbox``.

        ``s0.acc`` is the accuracy of a stage in percent.
        """
        features = self.neck(self.backbone(images.pixels))
        raw = self.rpn(features)
        losses = self.rpn.losses(raw, targets, images.sizes)
        boxes, _, valid = self.rpn.propose(raw, images, training=True)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        for number, (stage, head) in enumerate(zip(self.stages, self.box_heads, strict=True)):
            samples = head.sample(atlas, boxes, valid, targets)
            found = head(atlas, samples.boxes, samples.valid)
            for name, value in head.compare(found, samples, targets).items():
                losses[f"s{number}.{name}"] = value * stage.weight if "loss" in name else value
            # a next stage learns from the same RoIs, moved
            if self.shares is None:
                boxes = head.refine(found, samples.boxes, images, samples)
            else:
                boxes = placed_by_class(head, found, samples.boxes)[1]
            valid = samples.passed_on(boxes, self.objects_once)
        return losses

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        features = self.neck(self.backbone(images.pixels))
        proposals = self.rpn.propose(self.rpn(features), images, training=False)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])

        def score(head: BoxHead, some: Tensor) -> RawBoxes:
            return head(atlas, some)

        if self.shares is not None:
            return best_of_stages(self.box_heads, score, proposals.boxes, proposals.valid, images, self.shares)
        raw, boxes = refined(self.box_heads, score, proposals.boxes, images, self.averaged)
        return self.box_heads[-1].best(raw, boxes, proposals.valid, images)

    published_names = (
        (r"^rpn_head\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
        (r"^roi_head\.bbox_head\.(\d+)\.cls_fcs\.", r"box_heads.\1.shared_fcs."),
        (r"^roi_head\.bbox_head\.(\d+)\.(reg_|upsample_|fc_reg_)", r"box_heads.\1.side_aware.\2"),
        (r"^roi_head\.bbox_head\.", "box_heads."),
        (r"^roi_head\.bbox_roi_extractor\.(\d+)\.", r"box_heads.\1.extractor."),
    )
