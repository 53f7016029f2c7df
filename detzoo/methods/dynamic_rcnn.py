"""Dynamic R-CNN: Towards High Quality Object Detection via Dynamic Training, arXiv:2004.06002, 2020.

Proposals get better while a detector learns. So the IoU from which they count as objects rises with that of the best
ones, and the box loss becomes steeper as the shifts that are left become smaller; a trained model is Faster R-CNN.

Both numbers move every ``pace.every`` training steps to what these steps have seen. They are buffers: a run that was
stopped goes on with them, and losses outside of training leave them alone.

Departures from the paper: those of Faster R-CNN (`detzoo.methods.faster_rcnn`); a proposal's shift is the mean of its
two centre offsets, and steps without an object do not count, as the published weights were trained. On several devices
the numbers are the means of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.assign import Matches, RoISamples, match, pick
from detzoo.blocks.losses import BoxLoss, mean_over_ranks
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.rpn import RPN
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.boxes import encode
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Detections, Images, Targets

_LEAST_BETA = 1e-15  # a smaller one is not taken over
_UNSEEN = -1.0  # shift of a step without an object


class Pace(BaseConfig):
    """How the threshold of IoU and the box loss move (section 4 and algorithm 1)."""

    every: int = Field(default=100, ge=1, le=100_000)  # training steps after which they do
    overlap_rank: int = Field(default=75, ge=1)  # an image's IoU is that of its so-manieth best proposal
    least_overlap: float = Field(default=0.4, ge=0, le=1)  # the threshold is at least this
    shift_rank: int = Field(default=10, ge=1)  # a step's shift is that of the so-manieth best positive for each image
    most_beta: float = Field(default=1.0, gt=0)  # the loss's beta is at most this


class DynamicRCNN(Detector):
    """Two-stage detection of boxes whose second stage learns from ever better ones."""

    class Config(DetectorConfig):
        """Settings of `DynamicRCNN`."""

        method: Literal["dynamic_rcnn"] = "dynamic_rcnn"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        rpn: RPN.Config = RPN.Config(nms=0.85)
        # the threshold of its match and the beta of its box loss are those that training begins with
        box_head: BoxHead.Config = BoxHead.Config(box_loss=BoxLoss(kind="smooth_l1"))
        pace: Pace = Pace()
        roi_levels: int = 4  # finest pyramid levels that RoIs are pooled from

    unpublished = ("moving.",)

    def __init__(self, config: DynamicRCNN.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.roi_levels = config.roi_levels
        self.pace = config.pace
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = RPN(config.rpn, self.neck.channels, self.neck.strides)
        width, count = self.neck.channels[0], len(self.classes)
        self.box_head = BoxHead(config.box_head, width, count, levels=config.roi_levels)
        self.moving = Moving(config.pace, config.box_head.match.positive, config.box_head.box_loss.beta)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_rpn_cls, loss_rpn_bbox, loss_cls, loss_bbox``; ``acc`` is the RoI accuracy in percent."""
        features = self.neck(self.backbone(images.pixels))
        raw = self.rpn(features)
        losses = self.rpn.losses(raw, targets, images.sizes)
        boxes, _, valid = self.rpn.propose(raw, images, training=True)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        matches = match(boxes, valid, targets, self.box_head.config.match, threshold=self.moving.threshold)
        samples = self.box_head.sample(atlas, boxes, valid, targets, matches)
        found = self.box_head(atlas, samples.boxes, samples.valid)
        beta = self.moving.beta.clone()  # the loss's gradient needs it as it is now
        losses |= self.box_head.compare(found, samples, targets, beta)
        if self.training:
            self.moving.update(self._overlap(matches, valid, targets), *self._shift(samples, targets))
        return losses

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        features = self.neck(self.backbone(images.pixels))
        proposals = self.rpn.propose(self.rpn(features), images, training=False)
        atlas = build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])
        return self.box_head.detect(atlas, proposals.boxes, proposals.valid, images)

    def _overlap(self, matches: Matches, valid: Tensor, targets: Targets) -> Tensor:
        """The images' mean of the IoU of one of their best proposals, of which each object is one; a scalar."""
        every = torch.cat([targets.valid.float(), matches.overlap.float().clamp(min=0)], 1)
        used = torch.cat([targets.valid, valid], 1)
        best = torch.where(used, every, 0.0).topk(min(self.pace.overlap_rank, every.shape[1]), dim=1).values
        last = used.sum(1, keepdim=True).clamp(1, best.shape[1]) - 1
        return best.gather(1, last).mean()

    @torch.no_grad()
    def _shift(self, samples: RoISamples, targets: Targets) -> tuple[Tensor, Tensor]:
        """The centre offset of one of the batch's best positives, and whether there is any: two scalars."""
        config = self.box_head.config
        offsets = encode(samples.boxes, pick(targets.boxes, samples.slot), config.stds, config.legacy)
        shifts = torch.where(samples.positive, offsets[..., :2].abs().mean(-1), torch.inf).flatten()
        most = min(self.pace.shift_rank * len(samples.boxes), len(shifts))
        best = shifts.topk(most, largest=False, sorted=True).values
        count = samples.positive.sum()
        return best.gather(0, count.clamp(1, most).unsqueeze(0) - 1).squeeze(0), count > 0

    published_names = (
        (r"^rpn_head\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
        (r"^roi_head\.bbox_head\.", "box_head."),
        (r"^roi_head\.bbox_roi_extractor\.", "box_head.extractor."),
    )


class Moving(nn.Module):
    """The numbers that move, and what the steps since they last did have seen.

    Attributes:
        threshold: IoU from which a proposal learns from an object; scalar.
        beta: of the smooth L1 loss; scalar.
        step: int64 scalar, steps since the two moved.
        overlaps: ``[every]``, IoU of each of these steps.
        shifts: ``[every]``, centre offset of each, -1 where there was no object.
    """

    threshold: Tensor
    beta: Tensor
    step: Tensor
    overlaps: Tensor
    shifts: Tensor

    def __init__(self, pace: Pace, threshold: float, beta: float) -> None:
        """Begin with these."""
        super().__init__()
        self.least, self.most = pace.least_overlap, pace.most_beta
        self.register_buffer("threshold", torch.tensor(float(threshold)))
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("overlaps", torch.zeros(pace.every))
        self.register_buffer("shifts", torch.full((pace.every,), _UNSEEN))

    @torch.no_grad()
    def update(self, overlap: Tensor, shift: Tensor, seen: Tensor) -> None:
        """Take in a step's IoU and, where ``seen``, its centre offset, all scalars; after enough steps, move."""
        step = torch.stack([overlap, torch.where(seen, shift, 0.0), seen.to(overlap.dtype)])
        overlap, shift, share = mean_over_ranks(step).unbind()
        shift = torch.where(share > 0, shift / share, _UNSEEN)
        places = torch.arange(len(self.shifts), device=self.shifts.device)
        overlaps = torch.where(places == self.step, overlap, self.overlaps)
        shifts = torch.where(places == self.step, shift, self.shifts)
        moves = self.step + 1 >= len(self.shifts)

        known = (shifts >= 0).sum()
        ranked = shifts.sort().values  # the unknown come first
        first = len(shifts) - known
        middle = torch.stack([first + (known - 1) // 2, first + known // 2]).clamp(0, len(shifts) - 1)
        median = ranked.gather(0, middle).mean()
        takes = moves & (known > 0) & (median >= _LEAST_BETA)
        self.beta.copy_(torch.where(takes, median.clamp(max=self.most), self.beta))
        self.threshold.copy_(torch.where(moves, overlaps.mean().clamp(min=self.least), self.threshold))
        self.step.copy_(torch.where(moves, 0, self.step + 1))
        self.overlaps.copy_(torch.where(moves, 0.0, overlaps))
        self.shifts.copy_(torch.where(moves, _UNSEEN, shifts))
