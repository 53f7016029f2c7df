"""Fast R-CNN, arXiv:1504.08083, 2015.

Boxes that something else proposed (selective search in the paper, mostly a region proposal network today) are each
classified and refined from features pooled inside them, all from one run of the backbone over the image.

Departures from the paper: on a feature pyramid (arXiv:1612.03144); RoIAlign replaces RoI max pooling; L1 rather than
smooth L1 on box offsets; at most ``box_head.candidates`` (RoI, class) pairs per image enter the final suppression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.roi_heads import BoxHead
from detzoo.detector import Detector, DetectorConfig
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.fpn import FPN
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Detections, Images, Targets, pad_boxes


class FastRCNN(Detector):
    """Classification and refinement of given boxes."""

    class Config(DetectorConfig):
        """Settings of `FastRCNN`."""

        method: Literal["fast_rcnn"] = "fast_rcnn"
        backbone: AnyBackbone = ResNet.Config()
        neck: AnyNeck = FPN.Config()
        box_head: BoxHead.Config = BoxHead.Config()
        roi_levels: int = 4  # finest pyramid levels that RoIs are pooled from

    takes_proposals = True

    def __init__(self, config: FastRCNN.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.roi_levels = config.roi_levels
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        width, count = self.neck.channels[0], len(self.classes)
        self.box_head = BoxHead(config.box_head, width, count, levels=config.roi_levels)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``loss_cls, loss_bbox``; ``acc`` is the RoI accuracy in percent.

        Raises:
            ValueError: the targets have no proposals.
        """
        if targets.proposals is None or targets.proposals_valid is None:
            raise ValueError(
                "Fast R-CNN learns from given boxes: pass proposals to Targets.pack, or name a file in the splits"
            )
        atlas = self._features(images)
        samples = self.box_head.sample(atlas, targets.proposals, targets.proposals_valid, targets)
        return self.box_head.losses(atlas, samples, targets)

    def detect(self, images: Images, proposals: Tensor | Sequence[Tensor] | None = None) -> Detections:
        """Detections in pixels of the network input.

        Args:
            images: N images.
            proposals: the boxes to look at, xyxy pixels of the network input: ``[N, P, 4]``, in which a slot without
                area is not used, or one ``[P_i, 4]`` per image.

        Raises:
            ValueError: there are no proposals.
        """
        if proposals is None:
            raise ValueError("Fast R-CNN looks at given boxes only: detect(images, proposals=...)")
        boxes = proposals if isinstance(proposals, Tensor) else pad_boxes(proposals)[0]
        valid = (boxes[..., 2:] > boxes[..., :2]).all(-1)
        return self.box_head.detect(self._features(images), boxes, valid, images)

    def _features(self, images: Images) -> Atlas:
        features = self.neck(self.backbone(images.pixels))
        return build_atlas(features[: self.roi_levels], self.neck.strides[: self.roi_levels])

    published_names = (
        (r"^roi_head\.bbox_head\.", "box_head."),
        (r"^roi_head\.bbox_roi_extractor\.", "box_head.extractor."),
    )
