"""Names of two-stage models in PaddleDetection's static-graph releases -> those of its dynamic-graph release.

A cascade's first stage has no number there; of group-normalized heads one stands for all stages.
"""

from __future__ import annotations

from detzoo.interop.paddle.backbone_names import Names
from detzoo.interop.paddle.static_backbone_names import NECKS, RESNET
from detzoo.interop.paddle.static_layers import alone, normed


def _boxes(ending: str, stage: int | None = None) -> Names:
    """Names of a box head, that of a ``stage`` of a cascade, which is their ``ending``."""
    head, last = ("", "") if stage is None else (f"{stage}.", f"_stage{stage}")
    return (
        alone(f"(fc[67]){ending}", rf"bbox_head.head.{head}\1"),
        alone(f"cls_score{ending}", f"bbox_head.bbox_score{last}"),
        alone(f"bbox_pred{ending}", f"bbox_head.bbox_delta{last}"),
    )


_SHARED: Names = (
    alone("conv_rpn(?:_fpn2)?", "rpn_head.rpn_feat.rpn_conv"),
    alone("rpn_cls_logits(?:_fpn2)?", "rpn_head.rpn_rois_score"),
    alone("rpn_bbox_pred(?:_fpn2)?", "rpn_head.rpn_rois_delta"),
    alone(r"(mask_inter_feat_\d|conv5_mask)", r"mask_head.head.upsample.\1"),
    alone("mask_fcn_logits", "mask_head.mask_fcn_logits"),
    normed(r"(mask_inter_feat_\d)", r"mask_head.head.upsample.\1"),
    *NECKS,
    *RESNET,
)
NAMES: Names = (
    *_boxes("(?:_[123])?"),
    alone("fc6bbox_head_conv3", "bbox_head.head.fc6"),
    normed(r"(bbox_head_conv\d)", r"bbox_head.head.\1"),
    *_SHARED,
)
CASCADE_NAMES: Names = (
    *_boxes("(?:_1)?", 0),
    *_boxes("_2", 1),
    *_boxes("_3", 2),
    alone("fc6bbox_head_conv3", "bbox_head.head.0.fc6"),
    normed(r"(bbox_head_conv\d)", r"bbox_head.head.0.stage0_\1"),
    *_SHARED,
)

__all__ = ["CASCADE_NAMES", "NAMES"]
