"""Cascade RPN, arXiv:1909.06720, 2019: one square anchor a cell, refined twice, and features that follow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.anchors import Anchors, all_cells
from detzoo.blocks.assign import MatchConfig, pick
from detzoo.blocks.guided_anchors import CELLS
from detzoo.blocks.layers import Conv2d, in_type_of
from detzoo.blocks.losses import BoxLoss, box_loss, mean_over_ranks
from detzoo.blocks.rpn import Learned, Proposals, anchor_losses, best_proposals, objectness
from detzoo.ops.boxes import clip, decode, encode, to_centres
from detzoo.ops.deform_conv import deform_conv
from detzoo.ops.regions import regions
from detzoo.types import Images, Targets

# objectness logits, offsets and the first stage's offsets of each level, and the boxes that the first stage made
# [N, A, 4], as `CascadeRPN.forward` gives them
RawCascadeRPN = tuple[list[Tensor], list[Tensor], list[Tensor], Tensor]


class CascadeRPN(nn.Module):
    """A region proposal network of two stages.

    The first looks around each cell by a dilated convolution and moves its anchor; the second looks where the anchor is
    by an adaptive convolution, whose nine places cover the box, scores it and moves it again (sections 3.2 and 3.3).
    """

    class Config(Learned):
        """Settings of `CascadeRPN`; what is inherited is of the second stage."""

        kind: Literal["cascade"] = "cascade"
        channels: int = Field(default=256, ge=1)
        side: float = Field(default=8.0, gt=0)  # of a cell's square anchor, in strides
        dilation: int = Field(default=3, ge=1)  # of the first stage's convolution
        centre: float = Field(default=0.2, ge=0, le=1)  # edges of the middle of an object, where the first stage learns
        around: float = Field(default=0.5, ge=0, le=1)  # edges of what is near one, where no other object is learned
        first_stds: tuple[float, float, float, float] = (0.1, 0.1, 0.5, 0.5)  # of the first stage's offsets
        stds: tuple[float, float, float, float] = (0.05, 0.05, 0.1, 0.1)
        first_loss: BoxLoss = BoxLoss(kind="linear_iou", weight=10.0)
        match: MatchConfig = MatchConfig(positive=0.7, negative=0.7, low_quality=0.3)
        class_weight: float = Field(default=1.0, ge=0)  # of the loss of objectness
        box_loss: BoxLoss = BoxLoss(kind="linear_iou", weight=10.0)
        nms: float = Field(default=0.8, ge=0, le=1)

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> CascadeRPN:
            """As `CascadeRPN`."""
            return CascadeRPN(self, channels, strides)

    def __init__(self, config: CascadeRPN.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for levels of these ``channels`` (all alike) and ``strides``, each twice the one before."""
        super().__init__()
        self.config = config
        self.anchors = Anchors(Anchors.Config(scales=(config.side,), ratios=(1.0,)), strides)
        reach, width = config.dilation, config.channels
        self.first_conv = Conv2d(channels[0], width, 3, padding=reach, dilation=reach)
        self.first_reg = nn.Conv2d(width, 4, 1)
        self.conv = Conv2d(width, width, 3, padding=1, bias=False)  # its weights; it reads where the anchors are
        self.cls = nn.Conv2d(width, 1, 1)
        self.reg = nn.Conv2d(width, 4, 1)
        for layer in (self.first_conv, self.first_reg, self.conv, self.cls, self.reg):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Tensor], sizes: Tensor) -> RawCascadeRPN:
        """Objectness logits ``[N, 1, H, W]``, offsets and the first stage's ``[N, 4, H, W]`` of each level, and the
        boxes that the latter give ``[N, A, 4]``, inside images of ``sizes [N, 2]`` (height, width).
        """
        shapes = [feature.shape[-2:] for feature in features]
        hidden = [F.relu_(self.first_conv(feature)) for feature in features]
        first = [self.first_reg(level) for level in hidden]
        anchors = self.anchors(shapes)
        boxes = clip(decode(anchors, all_cells(first, 4).detach(), self.config.first_stds), sizes)
        shifts = self._shifts(boxes, to_centres(anchors)).split([height * width for height, width in shapes], 1)
        adapted = [
            F.relu_(
                deform_conv(
                    in_type_of(self.conv, level),
                    shift.transpose(1, 2).unflatten(2, shape),
                    self.conv.weight,
                    padding=1,
                )
            )
            for level, shift, shape in zip(hidden, shifts, shapes, strict=True)
        ]
        return [self.cls(level) for level in adapted], [self.reg(level) for level in adapted], first, boxes

    def losses(self, raw: RawCascadeRPN, targets: Targets, sizes: Tensor | None = None) -> dict[str, Tensor]:
        """``s0.loss_rpn_reg``, ``s1.loss_rpn_cls`` and ``s1.loss_rpn_reg`` of what `forward` gave."""
        logits, offsets, first, boxes = raw
        by_class, by_box = anchor_losses((logits, offsets), boxes, targets, self.config, self.config.stds)
        return {
            "s0.loss_rpn_reg": self._first_loss(first, targets),
            "s1.loss_rpn_cls": by_class * self.config.class_weight,
            "s1.loss_rpn_reg": by_box,
        }

    @torch.no_grad()
    def propose(self, raw: RawCascadeRPN, images: Images, training: bool) -> Proposals:
        """The best anchors of each level, refined, suppressed level by level, and merged by score."""
        logits, offsets, _, boxes = raw
        return best_proposals(objectness(logits), offsets, boxes, images, self.config, training, self.config.stds)

    def _shifts(self, boxes: Tensor, squares: Tensor) -> Tensor:
        """By how much each of nine places, row by row, is read down and right of where it would be, in cells of its
        level: ``[N, A, 18]``, so that they cover ``boxes [N, A, 4]`` evenly; section 3.3, equations 4 and 5.

        ``squares [A, 4]`` are the anchors in the middles of the cells: x and y of the centre, width, and height.
        """
        strides = squares[:, 2:] / self.config.side
        placed = to_centres(boxes)
        moved = (placed[..., :2] - squares[:, :2]) / strides
        wider = placed[..., 2:] / strides / 2 - 1  # than from one place to the next of an ordinary convolution
        step = torch.arange(-1, 2, device=boxes.device)
        places = torch.stack([step.repeat(3), step.view(3, 1).expand(3, 3).flatten()], 1)  # x and y
        return (moved.unsqueeze(2) + wider.unsqueeze(2) * places).flip(-1).flatten(2)

    def _first_loss(self, first: Sequence[Tensor], targets: Targets) -> Tensor:
        """Cells in the middle of an object learn its box, on the level of its size."""
        config = self.config
        shapes = [level.shape[-2:] for level in first]
        seen = regions(
            targets.boxes, targets.valid, shapes, self.anchors.strides, config.side, config.centre, config.around
        )
        positive = (seen.centre >= 0) & (seen.centre == seen.around) & ~seen.beside
        wanted = pick(targets.boxes, seen.centre.clamp(min=0))
        moves, anchors = all_cells(first, 4), self.anchors(shapes)
        if config.first_loss.on_boxes:
            moves = decode(anchors, moves, config.first_stds)
        else:
            wanted = encode(anchors, wanted, config.first_stds)
        total = box_loss(moves, wanted, positive.float(), config.first_loss)
        return total / mean_over_ranks(total.new_full((), positive.numel() / CELLS))
