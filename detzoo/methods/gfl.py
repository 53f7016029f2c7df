"""GFL: Generalized Focal Loss, arXiv:2006.04388, 2020.

A score is learned as the IoU of the box that it belongs to, so that class and quality are one number and suppression
sorts by what it should. A box's sides are told as distributions over distances rather than as single numbers, whose
mean is the box. Both have losses that extend the focal loss to targets between 0 and 1. Which cells learn an object is
ATSS's choice.

Departures from the paper: normalization by the positives of the whole batch with at least one per image, as the
published weights were trained. Head and losses are `DistributionHead`, which localization distillation has, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.distribution_head import DistributionHead
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.types import Detections, Images, Targets


class GFL(Detector):
    """One-stage detection of boxes from distributions over distances."""

    class Config(DetectorConfig):
        """Settings of `GFL`."""

        method: Literal["gfl"] = "gfl"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_output")
        head: DistributionHead.Config = Field(default_factory=DistributionHead.Config)

    def __init__(self, config: GFL.Config, classes: Sequence[str]) -> None:
        """Build from settings.

        Raises:
            ValueError: ``head.box_loss`` is one of offsets.
        """
        super().__init__(config, classes)
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.head = DistributionHead(config.head, self.neck.channels[0], self.neck.strides, len(self.classes))

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (of quality), ``loss_bbox`` and ``loss_dfl`` (of distributions)."""
        told = self.head(self.neck(self.backbone(images.pixels)))
        return self.head.losses(told, targets)[0]

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        return self.head.detect(self.head(self.neck(self.backbone(images.pixels))), images)

    published_names = DistributionHead.published_names
