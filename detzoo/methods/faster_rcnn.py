"""Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks, arXiv:1506.01497, 2015.

A region proposal network finds boxes that may hold an object; a second head classifies and refines each of them from
features pooled inside it. By default on a feature pyramid (arXiv:1612.03144); without a neck on C4, whose RoIs go
through the backbone's last stage (``roi_stage``, as in arXiv:1512.03385), or on a dilated C5.

Departures from the paper: both stages are trained together in one step; RoIAlign replaces RoI max pooling; at most
``box_head.candidates`` (RoI, class) pairs per image enter the final suppression (the paper has no bound).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.roi_stage import RoIStage
from detzoo.blocks.any_rpn import RPN_NAMES, AnyRPN
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.rpn import RPN
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Detections, Images, Targets


class FasterRCNN(Detector):
    """Two-stage detection of boxes."""

    class Config(DetectorConfig):
        """Settings of `FasterRCNN`."""

        method: Literal["faster_rcnn"] = "faster_rcnn"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        rpn: AnyRPN = RPN.Config()
        box_head: BoxHead.Config = BoxHead.Config()
        roi_levels: int = 4  # finest pyramid levels that RoIs are pooled from
        roi_stage: bool = False  # the backbone ends with stage 3, and stage 4 runs on every RoI

    def __init__(self, config: FasterRCNN.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.roi_levels = config.roi_levels
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = config.rpn.build(self.neck.channels, self.neck.strides)
        stage = RoIStage(config.backbone) if config.roi_stage else None
        width = stage.channels if stage else self.neck.channels[0]
        self.box_head = BoxHead(config.box_head, width, len(self.classes), stage, levels=config.roi_levels)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """The proposals' losses, mostly ``loss_rpn_cls, loss_rpn_bbox``, and ``loss_cls, loss_bbox``; ``acc`` is the
        RoI accuracy in percent.
        """
        features = self.neck(self.backbone(images.pixels))
        raw = self.rpn(features, images.sizes)
        losses = self.rpn.losses(raw, targets, images.sizes)
        proposals = self.rpn.propose(raw, images, training=True)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        samples = self.box_head.sample(atlas, proposals.boxes, proposals.valid, targets)
        # as the published logs call them
        losses = {name if "rpn" in name else f"rpn_{name}": loss for name, loss in losses.items()}
        return losses | self.box_head.losses(atlas, samples, targets)

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        features = self.neck(self.backbone(images.pixels))
        proposals = self.rpn.propose(self.rpn(features, images.sizes), images, training=False)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        return self.box_head.detect(atlas, proposals.boxes, proposals.valid, images)

    published_names = (
        *RPN_NAMES,
        (r"^roi_head\.shared_head\.", "box_head.stage."),
        (r"^roi_head\.bbox_head\.fc_branch\.", "box_head.shared_fcs."),
        (r"^roi_head\.bbox_head\.(res_block|conv_branch)\.", r"box_head.double_head.\1."),
        (r"^roi_head\.bbox_head\.cls_fcs\.", "box_head.shared_fcs."),
        (r"^roi_head\.bbox_head\.(reg_|upsample_|fc_reg_)", r"box_head.side_aware.\1"),
        (r"^roi_head\.bbox_head\.", "box_head."),
        (r"^roi_head\.bbox_roi_extractor\.", "box_head.extractor."),
    )
