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
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.anchors import all_cells
from detzoo.blocks.assign import pick
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.dense import best_pairs, survivors
from detzoo.blocks.layers import Conv2d, Deform, Norm
from detzoo.blocks.losses import BoxesLoss, BoxLoss, box_losses, mean_over_ranks
from detzoo.blocks.points import around, cell_centres, middles, per_cell, sides
from detzoo.blocks.towers import start_small, tower
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import clip, full_precision, pairwise_iou
from detzoo.ops.focal import background_loss, joint_logits
from detzoo.types import Detections, Images, Targets

_PRIOR = -math.log(49)  # logit of 2 %, where classes start
_SIDE = 4.0  # strides to each side of the boxes that are told at first
_SHARPNESS = 3.0  # by which likelihoods weigh cells against each other; the paper's 1 / tau
_EPS = 1e-12
_LEAST = 1e-38  # of an object's likelihood; its logarithm stays a number
_OBJECTS = 16  # that are compared with all cells at once: bounds the memory of a crowd


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
        start_small(self.cls_convs, self.reg_convs, self.cls, self.reg, self.object)
        nn.init.constant_(self.cls.get_parameter("bias"), _PRIOR)
        nn.init.constant_(self.reg.get_parameter("bias"), _SIDE)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_pos``, ``loss_neg`` and ``loss_center``, which keeps the cells' weights from falling."""
        logits, distances, objects = self.heads(self.neck(self.backbone(images.pixels)))
        sizes = [level.shape[-2:] for level in logits]
        points, strides = self._cells(sizes, logits[0].device)
        boxes = around(points, all_cells(distances, 4))
        scores = joint_logits(all_cells(logits, len(self.classes)), all_cells(objects, 1))
        found, near = self._positives(scores, boxes, points, strides, targets)
        with torch.no_grad():
            fit = self._fit(boxes, points, targets)
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
        points, _ = self._cells([level.shape[-2:] for level in logits], logits[0].device)
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

    def _cells(self, sizes: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
        """Where cells look ``[A, 2]`` and their strides ``[A, 1]``, in pixels."""
        strides = self.neck.strides
        return cell_centres(sizes, strides, device, offset=0.0), per_cell(sizes, strides, device)

    def _positives(
        self, scores: Tensor, boxes: Tensor, points: Tensor, strides: Tensor, targets: Targets
    ) -> tuple[Tensor, Tensor]:
        """How likely each object is found ``[N, G]``, a mean over the cells in it, and the sum of their priors.

        Of each few objects nothing is kept for the backward pass, which computes it again.
        """

        def likely(objects: Tensor, labels: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
            own = scores.transpose(1, 2).gather(1, labels.unsqueeze(-1).expand(-1, -1, len(points))).sigmoid()
            fit = box_losses(boxes.unsqueeze(1), objects.unsqueeze(2), self.head.box_loss)
            found = own * (-self.head.box_loss.weight * fit).exp()  # [N, g, A]
            near = self.center_prior(points, strides, objects, labels) * _inside(points, objects, valid)
            weights = (found * _SHARPNESS).exp() * near
            return (weights * found).sum(-1) / weights.sum(-1).clamp(min=_EPS), near.sum(-1)

        parts = [
            cast(tuple[Tensor, Tensor], checkpoint(likely, *some, use_reentrant=False, preserve_rng_state=False))
            for some in _some(targets)
        ]
        found, near = zip(*parts, strict=True)
        return torch.cat(found, 1), torch.cat(near, 1)

    def _fit(self, boxes: Tensor, points: Tensor, targets: Targets) -> Tensor:
        """How well each cell's box fits an object of each class that the cell lies in, ``[N, A, C]``: 1 the best of
        the object's cells, 0 the worst and wherever there is no object.

        Of several objects of a class the last one counts. A box fits as the object does that it overlaps most, in the
        cell or not, as in the published training.
        """
        best = boxes.new_zeros(boxes.shape[:2])
        for objects, _, valid in _some(targets):
            best = torch.maximum(best, (pairwise_iou(objects, boxes) * valid.unsqueeze(-1)).amax(1))
        good = 1 / (1 - best).clamp(min=_EPS)
        slots = torch.arange(1, targets.boxes.shape[1] + 1, device=boxes.device).split(_OBJECTS)
        last = torch.zeros((boxes.shape[0], len(self.classes), len(points)), dtype=torch.int64, device=boxes.device)
        lowest, highest = [], []
        for number, (objects, labels, valid) in zip(slots, _some(targets), strict=True):
            inside = _inside(points, objects, valid)
            lowest.append(torch.where(inside, good.unsqueeze(1), torch.inf).amin(-1))
            highest.append(torch.where(inside, good.unsqueeze(1), -torch.inf).amax(-1))
            own = labels.unsqueeze(-1).expand_as(inside)
            last = last.scatter_reduce(1, own, inside * number.unsqueeze(-1), "amax")
        slot = (last - 1).clamp(min=0).flatten(1)
        low, high = (torch.cat(ends, 1).gather(1, slot).view_as(last) for ends in (lowest, highest))
        part = (good.unsqueeze(1) - low + _EPS) / (high - low + _EPS)
        return torch.where(last > 0, part, 0.0).transpose(1, 2)

    class_rows: ClassVar[Mapping[str, ClassRows]] = {"cls": ONE_EACH, "center_prior": ONE_EACH}
    published_names = (
        (r"^backbone\.(.*)$", r"backbone.\1"),
        (r"^neck\.(.*)$", r"neck.\1"),
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

    def forward(self, points: Tensor, strides: Tensor, objects: Tensor, labels: Tensor) -> Tensor:
        """``[N, g, A]`` in (0, 1] of ``points [A, 2]`` and ``objects [N, g, 4]`` of classes ``labels [N, g]``."""
        mean, sigma = (full_precision(of_class[labels]).unsqueeze(2) for of_class in (self.mean, self.sigma))
        apart = (points - middles(objects).unsqueeze(2)) / strides - mean  # [N, g, A, 2]
        return (-(apart / sigma).square().sum(-1) / 2).exp()


def _inside(points: Tensor, objects: Tensor, valid: Tensor) -> Tensor:
    """Bool ``[N, g, A]``: points that lie in objects."""
    return (sides(points, objects.unsqueeze(2)).amin(-1) > 0) & valid.unsqueeze(-1)


def _some(targets: Targets) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Boxes ``[N, g, 4]`` and classes of a few objects at a time, and which of these slots hold one."""
    parts = (targets.boxes, targets.labels, targets.valid)
    return zip(*(part.split(_OBJECTS, 1) for part in parts), strict=True)
