"""AutoAssign: Differentiable Label Assignment for Dense Object Detection, arXiv:2007.03496, 2020.

No rule says which cells learn an object: all that lie in it do, each by a weight that is learned, too. As positives
they weigh by how well they find the object already and by how far they lie from its middle, in a Gaussian whose centre
and width each class learns; as background of its class the less, the better the box that they tell. Towers and outputs
are FCOS's, with an objectness in place of the centerness, which nothing teaches but its product with the classes.

Departures from the paper: detections are chosen by class alone, and their scores multiplied with the objectness
afterwards, as the published numbers were measured; an object that no cell lies in is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import all_cells
from detzoo.blocks.assign import pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.layers import Conv2d, Deform, Norm
from detzoo.blocks.losses import BoxesLoss, BoxLoss, mean_over_ranks
from detzoo.blocks.points import around, cell_centres, per_cell
from detzoo.blocks.towers import start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, full_precision
from detzoo.ops.focal import background_loss, joint_logits
from detzoo.ops.soft_positives import Cells, Fit, Objects, found_inside, relative_fit
from detzoo.types import Detections, Images, Targets

_PRIOR = -math.log(49)  # logit of 2 %, where classes start
_SIDE = 4.0  # strides to each side of the boxes that are told at first
_EPS = 1e-12
_LEAST = 1e-38  # of an object's likelihood; its logarithm stays a number


class AutoAssign(Detector):
    """One-stage detection of boxes from points, which learns what to learn from."""

    class Head(BaseConfig):
        """Settings of AutoAssign's head: its layers, what it learns from, and what it returns."""

        convs: int = Field(default=4, ge=0)  # per tower
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = "gn"
        deform: Deform | None = None  # of the last convolution of each tower; None: an ordinary one
        positive_weight: float = Field(default=0.25, ge=0)
        negative_weight: float = Field(default=0.75, ge=0)
        centre_weight: float = Field(default=0.75, ge=0)
        gamma: float = Field(default=2.0, ge=0)  # focusing exponent of negatives
        box_loss: BoxesLoss = BoxLoss(kind="giou", weight=5.0)  # a box finds its object by exp(-loss)
        candidates: int = Field(default=1000, ge=1)  # best (cell, class) pairs per level that enter suppression
        threshold: float = Field(default=0.05, ge=0, le=1)  # least class score of a detection
        nms: float = Field(default=0.6, ge=0, le=1)  # IoU, within a class
        detections: int = Field(default=100, ge=1)  # per image

    class Config(DetectorConfig):
        """Settings of `AutoAssign`."""

        method: Literal["auto_assign"] = "auto_assign"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config(start=1, extra="on_input", relu_before_extra=True)
        head: AutoAssign.Head = Field(default_factory=lambda: AutoAssign.Head())

    def __init__(self, config: AutoAssign.Config, classes: Sequence[str]) -> None:
        """Build from settings."""
        super().__init__(config, classes)
        head = self.head = config.head
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        width = self.neck.channels[0]
        self.cls_convs = tower(width, head.channels, head.convs, head.norm, bias=True, deform=head.deform)
        self.reg_convs = tower(width, head.channels, head.convs, head.norm, bias=True, deform=head.deform)
        width = head.channels if head.convs else width
        self.cls = Conv2d(width, len(self.classes), 3, padding=1)
        self.reg = Conv2d(width, 4, 3, padding=1)
        self.object = Conv2d(width, 1, 3, padding=1)
        self.scales = nn.ParameterList(torch.ones(()) for _ in self.neck.strides)
        self.center_prior = CentrePrior(len(self.classes))
        loss = head.box_loss
        self.fit = Fit(loss.kind, loss.weight, loss.more, loss.beta, loss.aspect_above)
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg, self.object)
        nn.init.constant_(self.cls.get_parameter("bias"), _PRIOR)
        nn.init.constant_(self.reg.get_parameter("bias"), _SIDE)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_pos``, ``loss_neg`` and ``loss_center``, which keeps the cells' weights from falling."""
        logits, distances, objects = self.heads(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in logits]
        cells = self._cells(sizes, logits[0].device)
        boxes = around(cells.places[:, :2], all_cells(distances, 4))
        scores = joint_logits(all_cells(logits, len(self.classes)), all_cells(objects, 1))
        learned = Objects(targets.boxes, targets.labels, targets.valid)
        mean, sigma = self.center_prior()
        found, near = found_inside(scores, boxes, mean, sigma, cells, learned, self.fit)
        fit = relative_fit(boxes, cells, learned, len(self.classes))
        head, valid = self.head, targets.valid
        seen = valid & (near > 0)  # of an object that no cell lies in
        missed = torch.where(seen, -found.clamp(min=_LEAST).log(), 0.0).sum()
        by_image = near.sum(1)
        spread = valid.sum(1) / by_image.clamp(min=_EPS)
        return {
            "loss_pos": head.positive_weight * missed / mean_over_ranks(valid.sum(), floor=1.0),
            "loss_neg": head.negative_weight
            * background_loss(scores, fit, head.gamma)
            / mean_over_ranks(near.sum(), floor=1.0),
            "loss_center": head.centre_weight * torch.where(seen.any(1), spread, by_image).mean(),
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        logits, distances, objects = self.heads(self.neck(self.backbone(images.pixels)))
        points = self._cells([level.shape[-2:] for level in logits], logits[0].device).places[:, :2]
        head, classes = self.head, len(self.classes)
        best = best_pairs(logits, classes, head.threshold, head.candidates)
        boxes = clip(around(points[best.where], pick(all_cells(distances, 4), best.where)), images.sizes)
        scores = best.scores * full_precision(pick(all_cells(objects, 1).squeeze(-1), best.where)).sigmoid()
        return survivors(boxes, scores, best.labels, best.used, classes, head.nms, head.detections)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Class logits ``[N, C, H, W]``, distances to the sides ``[N, 4, H, W]`` in pixels (left, top, right, bottom)
        and objectness logits ``[N, 1, H, W]`` of each level.
        """
        logits, distances, objects = [], [], []
        for feature, scale, stride in zip(features, self.scales, self.neck.strides, strict=True):
            reg = self.reg_convs(feature)
            logits.append(self.cls(self.cls_convs(feature)))
            objects.append(self.object(reg))
            distances.append(full_precision(self.reg(reg) * scale).clamp(min=0) * stride)
        return logits, distances, objects

    def _cells(self, sizes: Sequence[Sequence[int]], device: torch.device) -> Cells:
        """Of levels of these heights and widths."""
        strides = self.neck.strides
        points = cell_centres(sizes, strides, device, offset=0.0)
        places = torch.cat([points, per_cell(sizes, strides, device)], 1)
        return Cells(places, [edge for size in sizes for edge in size])

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH, "center_prior": ONE_EACH}
    published_names = (
        (r"^bbox_head\.(cls|reg)_convs\.", r"\1_convs."),
        (r"^bbox_head\.conv_(cls|reg)\.", r"\1."),
        (r"^bbox_head\.conv_centerness\.", "object."),
        (r"^bbox_head\.scales\.(\d+)\.scale$", r"scales.\1"),
        (r"^bbox_head\.center_prior\.", "center_prior."),
    )


class CentrePrior(nn.Module):
    """How much the cells around the middle of an object count, a Gaussian that each class learns.

    Parameters are ``mean`` and ``sigma``, ``[C, 2]`` in x and y, in strides of the cell's level.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(classes, 2))
        self.sigma = nn.Parameter(torch.ones(classes, 2))

    def forward(self) -> tuple[Tensor, Tensor]:
        """Both, in full precision."""
        return full_precision(self.mean), full_precision(self.sigma)
