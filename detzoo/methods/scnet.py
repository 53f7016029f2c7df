"""SCNet: Training Inference Sample Consistency for Instance Segmentation, arXiv:2012.10150, 2020.

A cascade of box heads with a single mask head, which learns from the very RoIs that detection gives it: those of the
last stage. It is told what the last box head knows of a RoI (feature relay), and all heads what a semantic branch and a
branch that names the classes of the whole image make of it.

Departures from the paper, as the published weights were trained: those of Cascade R-CNN
(`detzoo.methods.cascade_rcnn`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.cascade import CASCADE_BOX_HEAD, CASCADE_RPN, HYBRID_STAGES, Stage, box_heads, refined
from detzoo.blocks.class_rows import ONE_EACH, ClassRows
from detzoo.blocks.layers import Norm, ResidualPair, fuse_levels
from detzoo.blocks.losses import binary_loss, map_loss, mean_over_ranks
from detzoo.blocks.roi_heads import BoxHead, MaskHead, RawBoxes
from detzoo.blocks.rpn import RPN
from detzoo.blocks.semantic import SemanticHead
from detzoo.config import Config as BaseConfig
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Detections, Images, Targets


class ContextHead(nn.Module):
    """Which classes are in the image, told by the coarsest level of a pyramid: section 3.4."""

    class Config(BaseConfig):
        """Settings of `ContextHead`."""

        convs: int = Field(default=4, ge=0)  # in pairs, with a shortcut around each
        norm: Norm | None = None
        weight: float = Field(default=3.0, ge=0)  # of the loss

    @property
    def class_rows(self) -> Mapping[str, ClassRows]:
        """Layers with rows per class."""
        return {"fc": ONE_EACH}

    def __init__(self, config: ContextHead.Config, channels: int, classes: int) -> None:
        super().__init__()
        self.config = config
        self.convs = nn.Sequential(*(ResidualPair(channels, config.norm) for _ in range(config.convs // 2)))
        self.fc = nn.Linear(channels, classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits ``[N, C]`` and features ``[N, D, 1, 1]`` of a level ``[N, D, H, W]``."""
        x = F.adaptive_avg_pool2d(self.convs(level), 1)
        return self.fc(x.flatten(1)), x

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """Cross-entropy of each class being among the objects, mean over ``logits [N, C]``: a scalar."""
        classes = torch.arange(logits.shape[1], device=logits.device)
        there = ((targets.labels.unsqueeze(-1) == classes) & targets.valid.unsqueeze(-1)).any(1)
        loss = binary_loss(logits, there, torch.ones_like(there))
        return loss / mean_over_ranks(loss.new_full((), there.numel())) * self.config.weight


class Maps(NamedTuple):
    """What RoIs are given: of the pyramid, of the semantic branch if there is one, of the image ``[N, D, 1, 1]``."""

    pyramid: Atlas
    semantic: Atlas | None
    context: Tensor


class SCNet(Detector):
    """Detection of boxes in a first stage and three that refine, then of their masks."""

    class Config(DetectorConfig):
        """Settings of `SCNet`."""

        method: Literal["scnet"] = "scnet"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        rpn: RPN.Config = CASCADE_RPN
        box_head: BoxHead.Config = CASCADE_BOX_HEAD.replace(threshold=0.001)  # of every stage, but for `stages`
        mask_head: MaskHead.Config = MaskHead.Config(convs=12, residual=True)
        semantic_head: SemanticHead.Config | None = SemanticHead.Config(residual=True)  # None: without class maps
        context_head: ContextHead.Config = ContextHead.Config()
        stages: tuple[Stage, ...] = Field(default=HYBRID_STAGES, min_length=1)
        roi_levels: int = 4  # finest pyramid levels that RoIs are pooled from

        @property
        def learns_class_maps(self) -> bool:
            """Whether there is a semantic branch."""
            return self.semantic_head is not None

        @model_validator(mode="after")
        def _samples_without_the_branches(self) -> SCNet.Config:
            if self.box_head.boxes_alone:
                raise ValueError(
                    "hard examples, ranks of scores and double heads are for boxes alone, but here heads are given more"
                )
            return self

    learns_masks = True

    def __init__(self, config: SCNet.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.stages = config.stages
        self.roi_levels = config.roi_levels
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = RPN(config.rpn, self.neck.channels, self.neck.strides)
        width, count = self.neck.channels[0], len(self.classes)
        self.box_heads = box_heads(config.box_head, config.stages, width, count, config.roi_levels)
        self.mask_head = MaskHead(config.mask_head, width, count, levels=config.roi_levels)
        self.context_head = ContextHead(config.context_head, width, count)
        bins = config.box_head.size**2
        seen = self.box_heads[-1].fc_cls.in_features
        self.relay = nn.Linear(seen, width * bins)  # of what the last box head knows, as a map of its bins
        nn.init.kaiming_normal_(self.relay.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.relay.bias)
        self.semantic_head = None
        if config.semantic_head is not None:
            self.semantic_head = SemanticHead(config.semantic_head, width, len(self.neck.channels))

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_rpn_cls, loss_rpn_bbox, loss_semantic_seg, loss_glbctx``, of each stage ``s0.loss_cls,
        s0.loss_bbox``, and ``loss_mask``.

        ``s0.acc`` is the accuracy of a stage in percent.

        Raises:
            ValueError: the targets have no masks, or no class maps although there is a semantic branch.
        """
        features = self.neck(self.backbone(images.pixels))
        raw = self.rpn(features)
        losses = self.rpn.losses(raw, targets, images.sizes)
        boxes, _, valid = self.rpn.propose(raw, images, training=True)
        maps, classes, logits = self._maps(features)
        if self.semantic_head is not None and logits is not None:
            losses["loss_semantic_seg"] = map_loss(logits, targets.semantic) * self.semantic_head.config.weight
        losses["loss_glbctx"] = self.context_head.loss(classes, targets)
        samples = known = None
        for number, (stage, head) in enumerate(zip(self.stages, self.box_heads, strict=True)):
            samples = head.sample(maps.pyramid, boxes, valid, targets)
            known = head.embed(self._pool(head, maps, samples.boxes), samples.valid)
            found = head.judge(known, samples.boxes)
            for name, value in head.compare(found, samples, targets).items():
                losses[f"s{number}.{name}"] = value * stage.weight if "loss" in name else value
            # a next stage learns from the same RoIs, moved; the objects themselves are put in again
            boxes, valid = head.refine(found, samples.boxes, images, samples), samples.proposed
        assert samples is not None
        assert known is not None
        first = slice(self.box_heads[-1].config.most_positives)  # slots that positives are in
        used = samples.positive[:, first].unsqueeze(-1)
        pooled = self._pool(self.mask_head, maps, samples.boxes[:, first] * used)
        pooled = pooled + self._relayed(known[0].unflatten(0, samples.valid.shape)[:, first].flatten(0, 1))
        mask_losses = self.mask_head.losses(maps.pyramid, samples, targets, first.stop, pooled)
        weight = sum(stage.weight for stage in self.stages)
        return losses | {name: value * weight for name, value in mask_losses.items()}

    def detect(self, images: Images) -> Detections:
        """Detections with mask crops, in pixels of the network input."""
        features = self.neck(self.backbone(images.pixels))
        proposals = self.rpn.propose(self.rpn(features), images, training=False)
        maps, _, _ = self._maps(features)
        raw, boxes = self.refined(maps, proposals.boxes, images)
        found = self.box_heads[-1].best(raw, boxes, proposals.valid, images)
        crops = self.crops(maps, found.boxes, found.labels)
        return found.with_crops(crops, images, self.mask_head.config.threshold)

    def _maps(self, features: Sequence[Tensor]) -> tuple[Maps, Tensor, Tensor | None]:
        """What RoIs are given, the image's class logits ``[N, C]`` and the semantic branch's ``[N, C', h, w]``."""
        strides = self.neck.strides
        pyramid = build_atlas(features[: self.roi_levels], strides[: self.roi_levels])
        classes, context = self.context_head(features[-1])
        branch = self.semantic_head
        if branch is None:
            return Maps(pyramid, None, context), classes, None
        level = branch.config.level
        x = branch.convs(fuse_levels(features, branch.lateral_convs, level))
        semantic = build_atlas([branch.conv_embedding(x)], [strides[level]])
        return Maps(pyramid, semantic, context), classes, branch.conv_logits(x)

    def _pool(self, head: BoxHead | MaskHead, maps: Maps, boxes: Tensor) -> Tensor:
        """A head's features ``[N * R, D, s, s]`` of boxes ``[N, R, 4]``, with those of the branches added."""
        x = head.pool(maps.pyramid, boxes)
        if self.semantic_head is not None and maps.semantic is not None:
            x = x + F.adaptive_avg_pool2d(self.semantic_head.pool(maps.semantic, boxes), x.shape[-1])
        return (x.unflatten(0, boxes.shape[:2]) + maps.context.unsqueeze(1)).flatten(0, 1)

    def _relayed(self, known: Tensor) -> Tensor:
        """What the last box head knows of RoIs, ``[M, F]``, as features for the mask head ``[M, D, s, s]``."""
        bins = self.box_heads[-1].config.size
        x = self.relay(known).unflatten(1, (-1, bins, bins))
        size = self.mask_head.config.size
        return F.interpolate(x, (size, size), mode="bilinear", align_corners=True)

    def refined(self, maps: Maps, boxes: Tensor, images: Images) -> tuple[RawBoxes, Tensor]:
        """Proposals ``[N, P, 4]`` sent through all stages; see `detzoo.blocks.cascade.refined`."""
        return refined(self.box_heads, lambda head, some: head.score(self._pool(head, maps, some), some), boxes, images)

    def crops(self, maps: Maps, boxes: Tensor, labels: Tensor) -> Tensor:
        """Mask probabilities ``[N, K, m, m]`` inside boxes ``[N, K, 4]`` of classes ``labels``."""
        last = self.box_heads[-1]
        known, _ = last.embed(self._pool(last, maps, boxes))
        pooled = self._pool(self.mask_head, maps, boxes) + self._relayed(known)
        return self.mask_head.crops(maps.pyramid, boxes, labels, pooled)

    published_names = (
        (r"^rpn_head\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
        (r"^roi_head\.bbox_head\.", "box_heads."),
        (r"^roi_head\.mask_head\.", "mask_head."),
        (r"^roi_head\.semantic_head\.", "semantic_head."),
        (r"^roi_head\.glbctx_head\.", "context_head."),
        (r"^roi_head\.feat_relay_head\.fc\.", "relay."),
        (r"^roi_head\.bbox_roi_extractor\.(\d+)\.", r"box_heads.\1.extractor."),
        (r"^roi_head\.mask_roi_extractor\.", "mask_head.extractor."),
    )
