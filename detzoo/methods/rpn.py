"""Region proposal network: the first half of Faster R-CNN, arXiv:1506.01497, 2015, as a detector of its own.

A small network scores anchors of every level as object or not and refines the best of them. What it finds are
proposals: boxes of one class, measured by how many objects they cover, and taken by methods such as Fast R-CNN.

Departures from the paper: on a feature pyramid (arXiv:1612.03144); L1 rather than smooth L1 on box offsets, as the
published weights were trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.any_rpn import RPN_NAMES, AnyRPN
from detzoo.blocks.rpn import RPN
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.types import Detections, Images, Targets


class RPNDetector(Detector):
    """Boxes that may hold an object of any class. Its one class is called ``object``, whatever it is trained on."""

    class Config(DetectorConfig):
        """Settings of `RPNDetector`."""

        method: Literal["rpn"] = "rpn"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        rpn: AnyRPN = RPN.Config(candidates=2000)

    finds_classes = False

    def __init__(self, config: RPNDetector.Config, classes: Sequence[str]) -> None:
        """Build; ``classes`` are those of the data, which make no difference."""
        super().__init__(config, ("object",))
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = config.rpn.build(self.neck.channels, self.neck.strides)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses, mostly ``loss_rpn_cls, loss_rpn_bbox``; the labels of the targets are not looked at."""
        raw = self.rpn(self.neck(self.backbone(images.pixels)), images.sizes)
        return self.rpn.losses(raw, targets, images.sizes)

    def detect(self, images: Images) -> Detections:
        """Proposals in pixels of the network input, all with label 0."""
        raw = self.rpn(self.neck(self.backbone(images.pixels)), images.sizes)
        found = self.rpn.propose(raw, images, training=False)
        labels = torch.zeros_like(found.valid, dtype=torch.int64)
        return Detections(boxes=found.boxes, scores=found.scores, labels=labels, valid=found.valid)

    published_names = RPN_NAMES
