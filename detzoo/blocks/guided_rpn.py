"""Region proposal network with guided anchors, arXiv:1901.03278, 2019: sparse anchors of predicted place and shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.guided_anchors import Guide
from detzoo.blocks.layers import Conv2d, FeatureAdaption
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.rpn import Learned, Proposals, anchor_losses, best_proposals, objectness
from detzoo.types import Images, Targets

# objectness logits, offsets, shapes and logits of locations of each level, as `GuidedRPN.forward` gives them
RawGuidedRPN = tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]


class GuidedRPN(nn.Module):
    """A region proposal network whose anchors, one a cell, are predicted, and whose features follow them.

    Cells in which no object is expected are not looked at in prediction; they stay slots, so that any number of images
    is one batch.
    """

    class Config(Learned):
        """Settings of `GuidedRPN`."""

        kind: Literal["guided"] = "guided"
        channels: int = Field(default=256, ge=1)
        guide: Guide.Config = Guide.Config()
        deform_groups: int = Field(default=4, ge=1)  # of channels, each with shifts of its own
        stds: tuple[float, float, float, float] = (0.07, 0.07, 0.11, 0.11)  # of box offsets
        box_loss: BoxLoss = BoxLoss(kind="smooth_l1")

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> GuidedRPN:
            """As `GuidedRPN`."""
            return GuidedRPN(self, channels, strides)

    def __init__(self, config: GuidedRPN.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for levels of these ``channels`` (all alike) and ``strides``."""
        super().__init__()
        self.config = config
        self.conv = Conv2d(channels[0], config.channels, 3, padding=1)
        self.guide = Guide(config.guide, config.channels, strides)
        self.feature_adaption = FeatureAdaption(config.channels, config.channels, config.deform_groups)
        self.conv_cls = nn.Conv2d(config.channels, 1, 1)
        self.conv_reg = nn.Conv2d(config.channels, 4, 1)
        for layer in (self.conv, self.conv_cls, self.conv_reg):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, features: Sequence[Tensor], sizes: Tensor | None = None) -> RawGuidedRPN:
        """Of each level objectness logits ``[N, 1, H, W]``, offsets ``[N, 4, H, W]``, shapes ``[N, 2, H, W]`` and
        logits of locations ``[N, 1, H, W]``; the images' ``sizes [N, 2]`` make no difference.
        """
        hidden = [F.relu_(self.conv(feature)) for feature in features]
        shapes = [self.guide.conv_shape(level) for level in hidden]
        locations = [self.guide.conv_loc(level) for level in hidden]
        adapted = [self.feature_adaption(level, shape.detach()) for level, shape in zip(hidden, shapes, strict=True)]
        return (
            [self.conv_cls(level) for level in adapted],
            [self.conv_reg(level) for level in adapted],
            shapes,
            locations,
        )

    def losses(self, raw: RawGuidedRPN, targets: Targets, sizes: Tensor | None = None) -> dict[str, Tensor]:
        """``loss_rpn_cls``, ``loss_rpn_bbox``, ``loss_anchor_shape`` and ``loss_anchor_loc`` of what `forward` gave."""
        logits, offsets, shapes, locations = raw
        anchors = self.guide.anchors(shapes).detach()
        by_class, by_box = anchor_losses((logits, offsets), anchors, targets, self.config, self.config.stds)
        by_shape, by_location = self.guide.losses(shapes, locations, targets)
        return {
            "loss_rpn_cls": by_class,
            "loss_rpn_bbox": by_box,
            "loss_anchor_shape": by_shape,
            "loss_anchor_loc": by_location,
        }

    @torch.no_grad()
    def propose(self, raw: RawGuidedRPN, images: Images, training: bool) -> Proposals:
        """The best anchors of each level, refined, suppressed level by level, and merged by score."""
        logits, offsets, shapes, locations = raw
        scores = objectness(logits)
        if not training:
            kept = self.guide.kept(locations)
            scores = [torch.where(some, score, -1.0) for some, score in zip(kept, scores, strict=True)]
        anchors = self.guide.anchors(shapes)
        return best_proposals(scores, offsets, anchors, images, self.config, training, self.config.stds)
