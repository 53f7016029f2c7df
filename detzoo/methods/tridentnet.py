"""TridentNet: Scale-Aware Trident Networks for Object Detection, arXiv:1901.01892, 2019.

The last stage of the backbone runs in parallel branches of the same weights and other dilations, so that each sees
objects of another scale best. Faster R-CNN learns from all of them, and then looks at the middle one alone, which costs
no more than it would without.

Departures from the paper, as the published weights were trained: every branch learns from objects of all sizes, so the
ranges of section 3.3 are not there; results are those of the one branch that ``backbone.dilations`` names ("TridentNet
Fast", section 4.3). Others are those of Faster R-CNN (`detzoo.methods.faster_rcnn`). Where batch normalization learns
its statistics, they are those of all branches together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from detzoo.backbones.resnet import Bottleneck, ResNet
from detzoo.backbones.roi_stage import RoIStage
from detzoo.blocks.anchors import Anchors
from detzoo.blocks.layers import Conv2d, conv2d, conv_norm, in_type_of
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.rpn import RPN
from detzoo.detector import Detector, DetectorConfig
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Detections, Images, Targets


class TridentResNet(ResNet):
    """A `ResNet` whose last stage can run in branches of the same weights and other dilations (section 3.2).

    Otherwise it is a ResNet with ``dilations`` in its stages, which is one branch of the last.
    """

    class Config(ResNet.Config):
        """Settings of `TridentResNet`."""

        kind: Literal["trident_resnet"] = "trident_resnet"  # pyright: ignore[reportIncompatibleVariableOverride]
        strides: tuple[int, ...] = (1, 2, 2)
        dilations: tuple[int, ...] = (1, 1, 2)
        out_stages: tuple[int, ...] = (3,)
        # of the 3x3 of each branch of the last stage
        branches: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(default=(1, 2, 3), min_length=1)

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``Trident-ResNet-50``."""
            return f"Trident-{super().title}"

        def build(self) -> TridentResNet:
            """The network of these settings, with random weights."""
            return TridentResNet(self)

    def __init__(self, config: TridentResNet.Config) -> None:
        """Build.

        Raises:
            ValueError: another stage than the last is returned, or its 3x3 are no ordinary convolutions of bottlenecks.
        """
        super().__init__(config)
        self.dilations = config.branches
        last = len(config.strides)
        if config.out_stages != (last,):
            raise ValueError(f"branches leave from the last stage alone: out_stages has to be ({last},)")
        for block in self._blocks(last):
            if not isinstance(block, Bottleneck) or type(block.conv2) is not Conv2d:
                raise ValueError(
                    "branches need bottlenecks (depth 50 or more) of ordinary convolutions in the last stage"
                )

    def in_branches(self, x: Tensor) -> list[Tensor]:
        """The last stage's output in every branch: one ``[B * N, C, H', W']``, branch by branch.

        Args:
            x: ``[N, 3, H, W]``.
        """
        x = self._run_stem(x)
        *stages, last = range(1, self._config.out_stages[-1] + 1)
        for stage in stages:
            x = self.get_submodule(f"layer{stage}")(x)
        for number, block in enumerate(self._blocks(last)):
            if self._config.checkpointing and torch.is_grad_enabled():
                x = checkpoint(self._branched, block, x, number == 0, use_reentrant=False)
            else:
                x = self._branched(block, x, number == 0)
        return [x]

    def _blocks(self, stage: int) -> Iterator[Bottleneck]:
        return cast("Iterator[Bottleneck]", self.get_submodule(f"layer{stage}").children())

    def _branched(self, block: Bottleneck, x: Tensor, first: bool) -> Tensor:
        """A block of the last stage; what the ``first`` one is given, ``[N, C, H, W]``, is in no branch yet."""
        count = len(self.dilations)
        y = block.plugged("conv1", conv_norm(x, block.conv1, block.norm(1), relu=True))
        conv = cast(Conv2d, block.conv2)
        parts = [y] * count if first else y.chunk(count)
        y = torch.cat([_dilated(conv, part, rate) for part, rate in zip(parts, self.dilations, strict=True)])
        y = block.plugged("conv2", F.relu_(block.norm(2)(y)))
        y = block.plugged("conv3", conv_norm(y, block.conv3, block.norm(3)))
        beside = block.shortcut(x)
        return F.relu_(y.add_(beside.repeat(count, 1, 1, 1) if first else beside))


class TridentNet(Detector):
    """Two-stage detection of boxes, learned in branches of the backbone that see other scales."""

    class Config(DetectorConfig):
        """Settings of `TridentNet`."""

        method: Literal["tridentnet"] = "tridentnet"
        backbone: TridentResNet.Config = TridentResNet.Config()
        rpn: RPN.Config = RPN.Config(anchors=Anchors.Config(scales=(2.0, 4.0, 8.0, 16.0, 32.0)))
        box_head: BoxHead.Config = BoxHead.Config(size=14, fcs=0)
        roi_stage: bool = True  # the backbone's stage 4 runs on every RoI

    def __init__(self, config: TridentNet.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.backbone = config.backbone.build()
        self.rpn = RPN(config.rpn, self.backbone.channels, self.backbone.strides)
        stage = RoIStage(config.backbone) if config.roi_stage else None
        width = stage.channels if stage else self.backbone.channels[0]
        self.box_head = BoxHead(config.box_head, width, len(self.classes), stage, levels=1)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_rpn_cls, loss_rpn_bbox, loss_cls, loss_bbox`` of all branches; ``acc`` is the RoI accuracy."""
        features = self.backbone.in_branches(images.pixels)
        branches = len(self.backbone.dilations)
        images = dataclasses.replace(images, sizes=images.sizes.repeat(branches, 1))
        targets = _repeated(targets, branches)
        raw = self.rpn(features)
        losses = self.rpn.losses(raw, targets, images.sizes)
        proposals = self.rpn.propose(raw, images, training=True)
        atlas = build_atlas(features, self.backbone.strides)
        samples = self.box_head.sample(atlas, proposals.boxes, proposals.valid, targets)
        return losses | self.box_head.losses(atlas, samples, targets)

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        features = self.backbone(images.pixels)
        proposals = self.rpn.propose(self.rpn(features), images, training=False)
        atlas = build_atlas(features, self.backbone.strides)
        return self.box_head.detect(atlas, proposals.boxes, proposals.valid, images)

    published_names = (
        (r"^rpn_head\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
        (r"^roi_head\.shared_head\.", "box_head.stage."),
        (r"^roi_head\.bbox_head\.", "box_head."),
        (r"^roi_head\.bbox_roi_extractor\.", "box_head.extractor."),
    )


def _repeated(targets: Targets, branches: int) -> Targets:
    """Boxes and labels for images that are there once for each branch, one branch behind the other."""
    return Targets(
        boxes=targets.boxes.repeat(branches, 1, 1),
        labels=targets.labels.repeat(branches, 1),
        valid=targets.valid.repeat(branches, 1),
        ignore=targets.ignore.repeat(branches, 1),
    )


def _dilated(conv: Conv2d, x: Tensor, rate: int) -> Tensor:
    """A 3x3 convolution with another dilation."""
    return conv2d(in_type_of(conv, x), conv.weight, None, conv.stride, (rate, rate), (rate, rate), conv.groups)
