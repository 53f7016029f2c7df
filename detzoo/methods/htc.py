"""Hybrid Task Cascade for Instance Segmentation, arXiv:1901.07518, 2019.

Cascade Mask R-CNN whose branches know of each other: the masks of a stage are learned from the boxes that the same
stage has refined, each mask head is given what the one before it saw, and a semantic branch that learns the class of
every pixel, things and stuff, gives its features of every RoI to all heads.

Departures from the paper, as the published weights were trained: those of Cascade R-CNN
(`detzoo.methods.cascade_rcnn`); RoIs for the masks are sampled anew from the refined boxes; the mask of a detection is
that of the last stage alone, not the mean of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.cascade import CASCADE_BOX_HEAD, CASCADE_RPN, HYBRID_STAGES, Stage, box_heads, refined
from detzoo.blocks.layers import ConvNorm, fuse_levels
from detzoo.blocks.losses import map_loss
from detzoo.blocks.roi_heads import BoxHead, MaskHead, RawBoxes
from detzoo.blocks.rpn import RPN
from detzoo.blocks.semantic import SemanticHead
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Detections, Images, Targets


class Maps(NamedTuple):
    """What RoIs are pooled from: the pyramid, and the semantic branch's features if there is one."""

    pyramid: Atlas
    semantic: Atlas | None


class HTC(Detector):
    """Detection of boxes with instance masks in a first stage and three that refine both."""

    class Config(DetectorConfig):
        """Settings of `HTC`."""

        method: Literal["htc"] = "htc"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        rpn: RPN.Config = CASCADE_RPN
        box_head: BoxHead.Config = CASCADE_BOX_HEAD.replace(threshold=0.001)  # of every stage, but for `stages`
        mask_head: MaskHead.Config = MaskHead.Config()  # of every stage
        semantic_head: SemanticHead.Config | None = SemanticHead.Config()  # None: without, and without class maps
        stages: tuple[Stage, ...] = Field(default=HYBRID_STAGES, min_length=1)
        roi_levels: int = 4  # finest pyramid levels that RoIs are pooled from

        @property
        def learns_class_maps(self) -> bool:
            """Whether there is a semantic branch."""
            return self.semantic_head is not None

        @model_validator(mode="after")
        def _samples_without_the_semantic_branch(self) -> HTC.Config:
            if self.box_head.boxes_alone and self.semantic_head is not None:
                raise ValueError(
                    "hard examples, ranks of scores and double heads are for boxes alone: set semantic_head to null"
                )
            return self

    learns_masks = True

    def __init__(self, config: HTC.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.stages = config.stages
        self.roi_levels = config.roi_levels
        self.mask_threshold = config.mask_head.threshold
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.rpn = RPN(config.rpn, self.neck.channels, self.neck.strides)
        width, count, given = self.neck.channels[0], len(self.classes), config.mask_head
        self.box_heads = box_heads(config.box_head, config.stages, width, count, config.roi_levels)
        mask_heads = [MaskHead(given, width, count, levels=config.roi_levels) for _ in config.stages]
        self.mask_heads = cast("Sequence[MaskHead]", nn.ModuleList(mask_heads))
        seen = given.channels if given.convs else width
        flows = {str(stage): ConvNorm(seen, width, 1, norm=given.norm) for stage in range(1, len(config.stages))}
        self.mask_flows = nn.ModuleDict(flows)  # from one mask head to the next
        self.semantic_head = None
        if config.semantic_head is not None:
            self.semantic_head = SemanticHead(config.semantic_head, width, len(self.neck.channels))

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_rpn_cls, loss_rpn_bbox, loss_semantic_seg`` and, of each stage, ``s0.loss_cls, s0.loss_bbox,
        s0.loss_mask``.

        ``s0.acc`` is the accuracy of a stage in percent.

        Raises:
            ValueError: the targets have no masks, or no class maps although there is a semantic branch.
        """
        features = self.neck(self.backbone(images.pixels))
        raw = self.rpn(features)
        losses = self.rpn.losses(raw, targets, images.sizes)
        boxes, _, valid = self.rpn.propose(raw, images, training=True)
        maps, logits = self._maps(features)
        if self.semantic_head is not None and logits is not None:
            losses["loss_semantic_seg"] = map_loss(logits, targets.semantic) * self.semantic_head.config.weight
        for number, (stage, head, mask_head) in enumerate(
            zip(self.stages, self.box_heads, self.mask_heads, strict=True)
        ):
            samples = head.sample(maps.pyramid, boxes, valid, targets)
            found = self._score(head, maps, samples.boxes, samples.valid)
            some = head.compare(found, samples, targets)
            # masks, and a next stage, learn from the same RoIs, moved; the objects themselves are put in again
            boxes, valid = head.refine(found, samples.boxes, images, samples), samples.proposed
            samples = head.sample(maps.pyramid, boxes, valid, targets)
            positives = head.config.most_positives
            used = samples.positive[:, :positives]
            pooled = self._pool(mask_head, maps, samples.boxes[:, :positives] * used.unsqueeze(-1))
            pooled = self._informed(number, pooled, used)
            some |= mask_head.losses(maps.pyramid, samples, targets, positives, pooled)
            for name, value in some.items():
                losses[f"s{number}.{name}"] = value * stage.weight if "loss" in name else value
        return losses

    def detect(self, images: Images) -> Detections:
        """Detections with mask crops, in pixels of the network input."""
        features = self.neck(self.backbone(images.pixels))
        proposals = self.rpn.propose(self.rpn(features), images, training=False)
        maps, _ = self._maps(features)
        raw, boxes = self.refined(maps, proposals.boxes, images)
        found = self.box_heads[-1].best(raw, boxes, proposals.valid, images)
        crops = self.crops(maps, found.boxes, found.labels)
        return found.with_crops(crops, images, self.mask_threshold)

    def _maps(self, features: Sequence[Tensor]) -> tuple[Maps, Tensor | None]:
        """What RoIs are pooled from, and the semantic branch's logits ``[N, C, h, w]``."""
        strides = self.neck.strides
        pyramid = build_atlas(features[: self.roi_levels], strides[: self.roi_levels])
        branch = self.semantic_head
        if branch is None:
            return Maps(pyramid, None), None
        level = branch.config.level
        x = branch.convs(fuse_levels(features, branch.lateral_convs, level))
        semantic = build_atlas([branch.conv_embedding(x)], [strides[level]])
        return Maps(pyramid, semantic), branch.conv_logits(x)

    def _pool(self, head: BoxHead | MaskHead, maps: Maps, boxes: Tensor) -> Tensor:
        """A head's features ``[N * R, C, s, s]`` of boxes ``[N, R, 4]``, with those of the semantic branch added."""
        x = head.pool(maps.pyramid, boxes)
        if self.semantic_head is None or maps.semantic is None:
            return x
        return x + F.adaptive_avg_pool2d(self.semantic_head.pool(maps.semantic, boxes), x.shape[-1])

    def _score(self, head: BoxHead, maps: Maps, boxes: Tensor, valid: Tensor | None = None) -> RawBoxes:
        return head.score(self._pool(head, maps, boxes), boxes, valid)

    def _informed(self, stage: int, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """RoI features ``x [N * R, C, s, s]``, with what all mask heads before that of ``stage`` say added."""
        given = x
        for head, flow in zip(self.mask_heads[:stage], self.mask_flows.values(), strict=False):
            given = x + flow(head.convolved(given, valid), None if valid is None else valid.flatten())
        return given

    def refined(self, maps: Maps, boxes: Tensor, images: Images) -> tuple[RawBoxes, Tensor]:
        """Proposals ``[N, P, 4]`` sent through all stages; see `detzoo.blocks.cascade.refined`."""
        return refined(self.box_heads, lambda head, some: self._score(head, maps, some), boxes, images)

    def crops(self, maps: Maps, boxes: Tensor, labels: Tensor) -> Tensor:
        """Mask probabilities ``[N, K, m, m]`` inside boxes ``[N, K, 4]`` of classes ``labels``."""
        last = len(self.mask_heads) - 1
        pooled = self._informed(last, self._pool(self.mask_heads[last], maps, boxes))
        return self.mask_heads[last].crops(maps.pyramid, boxes, labels, pooled)

    published_names = (
        (r"^rpn_head\.rpn_(conv|cls|reg)\.", r"rpn.\1."),
        (r"^roi_head\.bbox_head\.", "box_heads."),
        (r"^roi_head\.mask_head\.(\d+)\.conv_res\.", r"mask_flows.\1."),
        (r"^roi_head\.mask_head\.", "mask_heads."),
        (r"^roi_head\.semantic_head\.", "semantic_head."),
        (r"^roi_head\.bbox_roi_extractor\.(\d+)\.", r"box_heads.\1.extractor."),
        (r"^roi_head\.mask_roi_extractor\.(\d+)\.", r"mask_heads.\1.extractor."),
    )
