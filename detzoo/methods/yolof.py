"""YOLOF: You Only Look One-level Feature, arXiv:2103.09460, 2021.

What a pyramid is good for is less its many maps than that large and small objects have anchors of their own to learn
them. So a single coarse map, made to see objects of all sizes by dilation, tells five square anchors at every cell, and
every object is learned by equally many of them (`uniform_match`). A score is that of the class and of an object being
there at all, in one.

Departures from the paper: normalization by the positives of the whole batch with at least one per image, as the
published weights were trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import Anchors, all_cells
from detzoo.blocks.assign import pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.layers import Conv2d, Norm
from detzoo.blocks.losses import BoxesLoss, BoxLoss, box_loss, mean_over_ranks
from detzoo.blocks.towers import PRIOR, start_small, tower
from detzoo.blocks.uniform_match import UniformMatch, uniform_match
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.dilated_encoder import DilatedEncoder
from detzoo.ops.boxes import clip, decode
from detzoo.ops.focal import focal_loss, joint_logits
from detzoo.types import Detections, Images, Targets

STDS = (1.0, 1.0, 1.0, 1.0)


class YOLOF(Detector):
    """One-stage detection of boxes from the anchors of one map."""

    class Head(BaseConfig):
        """Settings of YOLOF's head: its layers, what it learns from, and what it returns."""

        cls_convs: int = Field(default=2, ge=0)  # of the class tower, as wide as the map
        reg_convs: int = Field(default=4, ge=0)  # of the regression tower
        norm: Norm | None = "bn"
        anchors: Anchors.Config = Anchors.Config(scales=(1.0, 2.0, 4.0, 8.0, 16.0), ratios=(1.0,))
        farthest: float | None = Field(default=32.0, gt=0)  # pixels that centres move in x and in y; None: any
        match: UniformMatch = UniformMatch()
        alpha: float = Field(default=0.25, gt=0, lt=1)  # weight of positives in the focal loss
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent
        box_loss: BoxesLoss = BoxLoss(kind="giou")
        candidates: int = Field(default=1000, ge=1)  # best (anchor, class) pairs that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.6, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image

    class Config(DetectorConfig):
        """Settings of `YOLOF`."""

        method: Literal["yolof"] = "yolof"
        backbone: AnyBackbone = ResNet.Config(out_stages=(4,))
        neck: AnyNeck = DilatedEncoder.Config()
        head: YOLOF.Head = Field(default_factory=lambda: YOLOF.Head())

    def __init__(self, config: YOLOF.Config, classes: Sequence[str]) -> None:
        """Build from settings."""
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.anchors = Anchors(head.anchors, self.neck.strides)
        self.known = head.match.known
        width, per_cell = self.neck.channels[0], self.anchors.per_cell
        self.cls_convs = tower(width, width, head.cls_convs, head.norm)
        self.reg_convs = tower(width, width, head.reg_convs, head.norm)
        self.cls = Conv2d(width, per_cell * len(self.classes), 3, padding=1)
        self.reg = Conv2d(width, per_cell * 4, 3, padding=1)
        self.object = Conv2d(width, per_cell, 3, padding=1)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg, self.object)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls`` (focal) and ``loss_bbox``."""
        logits, offsets = self.heads(self.neck(self.backbone(images.pixels)))
        head = self.head
        anchors = self.anchors([level.shape[-2:] for level in logits])
        boxes = decode(anchors, all_cells(offsets, 4), STDS, farthest=head.farthest)
        matches = uniform_match(head.match, self.known, anchors, boxes.detach(), targets)
        labels = pick(targets.labels, matches.slot).where(matches.positive, len(self.classes))
        seen = matches.positive | matches.negative
        count = mean_over_ranks(matches.positive.sum(1).clamp(min=1).sum())
        found = pick(boxes, matches.pairs.flatten(1)).view(*matches.pairs.shape, 4)
        wanted = targets.boxes.unsqueeze(2).expand_as(found)
        flat = all_cells(logits, len(self.classes))
        return {
            "loss_cls": focal_loss(flat, labels, seen, head.alpha, head.gamma) / count,
            "loss_bbox": box_loss(found, wanted, matches.used, head.box_loss) / count,
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, offsets = self.heads(self.neck(self.backbone(images.pixels)))
        anchors = self.anchors([level.shape[-2:] for level in logits])
        head, classes = self.head, len(self.classes)
        best = best_pairs(logits, classes, head.threshold, head.candidates)
        moves = pick(all_cells(offsets, 4), best.where)
        boxes = clip(decode(anchors[best.where], moves, STDS, farthest=head.farthest), images.sizes)
        return survivors(boxes, best.scores, best.labels, best.used, classes, head.nms, head.detections)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Logits ``[N, a * C, H, W]`` of the classes of objects and offsets ``[N, a * 4, H, W]`` of each level, a
        anchors per cell.
        """
        logits, offsets = [], []
        for feature in features:
            reg = self.reg_convs(feature)
            cls = self.cls(self.cls_convs(feature)).unflatten(1, (-1, len(self.classes)))
            logits.append(joint_logits(cls, self.object(reg).unsqueeze(2)).flatten(1, 2))
            offsets.append(self.reg(reg))
        return logits, offsets

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH}
    published_names = (
        (r"^bbox_head\.cls_subnet\.", "cls_convs."),
        (r"^bbox_head\.bbox_subnet\.", "reg_convs."),
        (r"^bbox_head\.cls_score\.", "cls."),
        (r"^bbox_head\.bbox_pred\.", "reg."),
        (r"^bbox_head\.object_pred\.", "object."),
    )
