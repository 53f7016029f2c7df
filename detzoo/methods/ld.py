"""LD: Localization Distillation for Object Detection, arXiv:2102.12252, 2021.

A small GFL learns from a large one, its teacher, how sure it may be of each side of a box: both tell distributions over
distances, and beside its own losses the student takes those of the teacher as targets, softened by a temperature.

The teacher looks at the pictures in training only. It is no part of the student: neither saved with it, nor seen by the
optimizer, nor switched to training. A recipe names it, and `detzoo.train` loads it; without `train` it is given by
`learn_from`.

Departures from the paper, as the published models were trained: distillation at the cells that learn an object, not at
those around them; and its sum is not divided by their weights, so that it grows with the images of a device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.distribution_head import DistributionHead
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.methods.gfl import GFL
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.types import Detections, Images, Targets


class Distillation(BaseConfig):
    """Who is learned from, and how."""

    # name of a GFL of the zoo, whose published weights are fetched, or path of a file that one was saved to
    teacher: str = "gfl_r101_fpn_mstrain_2x_coco"
    temperature: float = Field(default=10.0, gt=0)  # that logits of both are divided by
    weight: float = Field(default=0.25, ge=0)  # of the loss


class LD(Detector):
    """GFL that learns from a larger one."""

    class Config(DetectorConfig):
        """Settings of `LD`."""

        method: Literal["ld"] = "ld"
        backbone: AnyBackbone = ResNet.Config(depth=18)
        neck: AnyNeck = FPN.Config(start=1, extra="on_output")
        head: DistributionHead.Config = Field(default_factory=DistributionHead.Config)
        distillation: Distillation = Distillation()

    # in a tuple, in which torch does not look for parts
    teacher: tuple[GFL] | None = None

    def __init__(self, config: LD.Config, classes: Sequence[str]) -> None:
        """Build from settings, without a teacher.

        Raises:
            ValueError: ``head.box_loss`` is one of offsets.
        """
        super().__init__(config, classes)
        self.distillation = config.distillation
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.head = DistributionHead(config.head, self.neck.channels[0], self.neck.strides, len(self.classes))

    def learn_from(self, teacher: Detector) -> None:
        """Have a teacher, which is frozen and moves along with this detector from now on.

        Raises:
            ValueError: it is no `GFL`, or one that tells other distances, of other levels, or of other pixels.
        """
        if not isinstance(teacher, GFL):
            raise ValueError(f"a teacher of localization is a GFL, not {type(teacher).__name__}")
        if (teacher.head.steps, teacher.head.strides) != (self.head.steps, self.head.strides):
            raise ValueError(
                f"the teacher tells {teacher.head.steps} distances at strides {teacher.head.strides}, the student "
                f"{self.head.steps} at {self.head.strides}"
            )
        mine, its = (one.config.input.model_dump(include={"order", "mean", "std"}) for one in (self, teacher))
        if mine != its:
            raise ValueError(
                f"the teacher sees pictures by {its}, the student by {mine}: model.input has to be the same"
            )
        self.teacher = (teacher.eval().requires_grad_(False).to(self.device, self.dtype),)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls``, ``loss_bbox`` and ``loss_dfl`` of `GFL`, and ``loss_ld`` (of distillation).

        Raises:
            ValueError: there is no teacher.
        """
        if self.teacher is None:
            raise ValueError("LD learns from a teacher: detzoo.train loads it, and otherwise learn_from takes it")
        teacher = self.teacher[0]
        with torch.no_grad():
            shown = self.head.by_side(teacher.head(teacher.neck(teacher.backbone(images.pixels))))
        told = self.head(self.neck(self.backbone(images.pixels)))
        losses, weights = self.head.losses(told, targets)
        # the divergence of each side's distribution, a distance's mean, and a side's
        heat, weight = self.distillation.temperature, self.distillation.weight
        mine = (self.head.by_side(told) / heat).log_softmax(-1)
        apart = F.kl_div(mine, (shown / heat).softmax(-1), reduction="none").mean((-2, -1))
        return {**losses, "loss_ld": (apart * weights).sum() * (heat**2 * weight)}

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        return self.head.detect(self.head(self.neck(self.backbone(images.pixels))), images)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Detector:
        """What moves or converts this detector does so to its teacher, too."""
        if self.teacher is not None:
            self.teacher[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)

    published_names = DistributionHead.published_names
