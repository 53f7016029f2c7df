"""Mask R-CNN, arXiv:1703.06870, 2017.

Faster R-CNN with a third output: a small fully convolutional network draws a mask inside every detected box. RoIAlign
samples features at exact positions, without which the masks would be off by up to a feature cell. By default on a
feature pyramid; on C4 (``roi_stage``) both heads share what the backbone's last stage makes of each RoI (figure 4).

Departures from the paper: both stages are trained together in one step; at most ``box_head.candidates`` (RoI, class)
pairs per image enter the final suppression (the paper has no bound).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.roi_stage import RoIStage
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Detections, Images, Targets


class MaskRCNN(Detector):
    """Two-stage detection of boxes with instance masks."""

    class Config(DetectorConfig):
        """Settings of `MaskRCNN`."""

        method: Literal["mask_rcnn"] = "mask_rcnn"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        rpn: RPN.Config = RPN.Config()
        box_head: BoxHead.Config = BoxHead.Config()
        mask_head: MaskHead.Config = MaskHead.Config()
        roi_levels: int = 4  # finest pyramid levels that RoIs are pooled from
        roi_stage: bool = False  # the backbone ends with stage 3, and stage 4 runs on every RoI, for both heads

    learns_masks = True

    def __init__(self, config: MaskRCNN.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.roi_levels = config.roi_levels
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = RPN(config.rpn, self.neck.channels, self.neck.strides)
        stage = RoIStage(config.backbone) if config.roi_stage else None
        width = stage.channels if stage else self.neck.channels[0]
        self.box_head = BoxHead(config.box_head, width, len(self.classes), stage, levels=config.roi_levels)
        self.mask_head = MaskHead(config.mask_head, width, len(self.classes), levels=config.roi_levels)
        self.shares_rois = config.roi_stage

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_rpn_cls, loss_rpn_bbox, loss_cls, loss_bbox, loss_mask``; ``acc`` is RoI accuracy in percent.

        Raises:
            ValueError: the targets have no masks.
        """
        features = self.neck(self.backbone(images.pixels))
        raw = self.rpn(features)
        losses = self.rpn.losses(raw, targets, images.sizes)
        proposals = self.rpn.propose(raw, images, training=True)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        samples = self.box_head.sample(atlas, proposals.boxes, proposals.valid, targets)
        pooled = self.box_head.pool(atlas, samples.boxes)
        losses |= self.box_head.losses(atlas, samples, targets, pooled)
        positives = self.box_head.config.most_positives
        shared = None
        if self.shares_rois:
            shared = pooled.unflatten(0, samples.valid.shape)[:, :positives].flatten(0, 1)
        return losses | self.mask_head.losses(atlas, samples, targets, positives, shared)

    def detect(self, images: Images) -> Detections:
        """Detections with mask crops, in pixels of the network input."""
        features = self.neck(self.backbone(images.pixels))
        proposals = self.rpn.propose(self.rpn(features), images, training=False)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        found = self.box_head.detect(atlas, proposals.boxes, proposals.valid, images)
        crops = self.crops(atlas, found.boxes, found.labels)
        return found.with_crops(crops, images, self.mask_head.config.threshold)

    def crops(self, atlas: Atlas, boxes: Tensor, labels: Tensor) -> Tensor:
        """Mask probabilities ``[N, K, m, m]`` inside boxes ``[N, K, 4]`` of classes ``labels [N, K]``."""
        shared = self.box_head.pool(atlas, boxes) if self.shares_rois else None
        return self.mask_head.crops(atlas, boxes, labels, shared)

    published_names = (
        (r"^rpn_head\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
        (r"^roi_head\.shared_head\.", "box_head.stage."),
        (r"^roi_head\.bbox_head\.", "box_head."),
        (r"^roi_head\.mask_head\.", "mask_head."),
        (r"^roi_head\.bbox_roi_extractor\.", "box_head.extractor."),
        (r"^roi_head\.mask_roi_extractor\.", "mask_head.extractor."),
    )
