"""Names of two-stage models in PaddleDetection's static-graph releases -> those of its dynamic-graph release.

A cascade's first stage has no number there; of group-normalized heads one stands for all stages.
"""

from __future__ import annotations

import re

from detzoo.interop.paddle.backbone_names import Names
from detzoo.interop.paddle.static_backbone_names import LEAVES, NECKS, RESNET

_W = r"_(?P<leaf>w|b)$"
_RPN = {"conv_rpn": "rpn_feat.rpn_conv", "rpn_cls_logits": "rpn_rois_score", "rpn_bbox_pred": "rpn_rois_delta"}
_BOXES = {"cls_score": "bbox_score", "bbox_pred": "bbox_delta"}


def _rpn(match: re.Match[str]) -> str:
    return f"rpn_head.{_RPN[match['layer']]}.{LEAVES[match['leaf']]}"


def _mask(match: re.Match[str]) -> str:
    layer = match["layer"]
    owner = "mask_head" if layer == "mask_fcn_logits" else "mask_head.head.upsample"
    return f"{owner}.{layer}.{LEAVES[match['leaf']]}"


def _mask_conv(match: re.Match[str]) -> str:
    kind = "conv" if match["leaf"] == "weights" else "norm"
    return f"mask_head.head.upsample.{match['layer']}.{kind}.{LEAVES[match['leaf']]}"


def _boxes(first: int | None) -> Names:
    """Names of box heads; of a cascade ``first`` is the number of the first stage."""

    def stage(match: re.Match[str]) -> str:
        return "" if first is None else str(int(match["stage"] or first) - 1)

    def layer(match: re.Match[str]) -> str:
        where = "" if first is None else f"{stage(match)}."
        return f"bbox_head.head.{where}{match['layer']}.{LEAVES[match['leaf']]}"

    def result(match: re.Match[str]) -> str:
        where = "" if first is None else f"_stage{stage(match)}"
        return f"bbox_head.{_BOXES[match['layer']]}{where}.{LEAVES[match['leaf']]}"

    def conv(match: re.Match[str]) -> str:
        where = "" if first is None else "0.stage0_"
        kind = "conv" if match["leaf"] == "weights" else "norm"
        return f"bbox_head.head.{where}{match['layer']}.{kind}.{LEAVES[match['leaf']]}"

    return (
        (rf"^(?P<layer>fc[67])(?:_(?P<stage>[123]))?{_W}", layer),
        (rf"^(?P<layer>fc6)bbox_head_conv3(?P<stage>){_W}", layer),
        (rf"^(?P<layer>cls_score|bbox_pred)(?:_(?P<stage>[123]))?{_W}", result),
        (r"^(?P<layer>bbox_head_conv\d)_(?P<leaf>weights|scale|offset)$", conv),
    )


_SHARED: Names = (
    (rf"^(?P<layer>conv_rpn|rpn_cls_logits|rpn_bbox_pred)(?:_fpn2)?{_W}", _rpn),
    (rf"^(?P<layer>mask_inter_feat_\d|conv5_mask|mask_fcn_logits){_W}", _mask),
    (r"^(?P<layer>mask_inter_feat_\d)_(?P<leaf>weights|scale|offset)$", _mask_conv),
    *NECKS,
    *RESNET,
)
NAMES: Names = (*_boxes(None), *_SHARED)
CASCADE_NAMES: Names = (*_boxes(1), *_SHARED)

__all__ = ["CASCADE_NAMES", "NAMES"]
