"""Names of parameters behind the backbone in PaddleDetection's static-graph releases -> those of its dynamic-graph one.

Where a layer was given no name, its number among those of its kind is one (``conv2d_35.w_0``).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from detzoo.interop.paddle.backbone_names import Names
from detzoo.interop.paddle.static_backbone_names import LEAVES

_W = r"_(?P<leaf>w|b)$"
_NORMED = r"_(?P<leaf>weights|scale|offset)$"
_YOLO = r"\.(?P<kind>conv|bn)\.(?P<leaf>weights|bias|scale|offset|mean|var)$"


def _plain(base: str) -> Callable[[re.Match[str]], str]:
    """A layer without normalization."""
    return lambda match: f"{match.expand(base)}.{LEAVES[match['leaf']]}"


def _normed(base: str) -> Callable[[re.Match[str]], str]:
    """A convolution and its normalization."""

    def name(match: re.Match[str]) -> str:
        kind = "conv" if match["leaf"] == "weights" else "norm"
        return f"{match.expand(base)}.{kind}.{LEAVES[match['leaf']]}"

    return name


def _of_yolo(base: str) -> Callable[[re.Match[str]], str]:
    def name(match: re.Match[str]) -> str:
        kind = "conv" if match["kind"] == "conv" else "batch_norm"
        return f"{match.expand(base)}.{kind}.{LEAVES[match['leaf']]}"

    return name


def _block(match: re.Match[str]) -> str:
    """``yolo_block.0.1.0.conv.weights``: the third of four convolutions, two of each size."""
    return _of_yolo(rf"neck.yolo_block.\1.conv_module.conv{2 * int(match[2]) + int(match[3])}")(match)


YOLO: Names = (
    (rf"^yolo_block\.(\d)\.(\d)\.(\d){_YOLO}", _block),
    (rf"^yolo_block\.(\d)\.2{_YOLO}", _of_yolo(r"neck.yolo_block.\1.conv_module.route")),
    (rf"^yolo_block\.(\d)\.tip{_YOLO}", _of_yolo(r"neck.yolo_block.\1.tip")),
    (rf"^yolo_transition\.(\d){_YOLO}", _of_yolo(r"neck.yolo_transition.\1")),
    (rf"^yolo_output\.(\d){_YOLO}", _plain(r"yolo_head.yolo_output.\1")),
)


def default_boxes(before: int) -> Names:
    """An SSD's outputs, of boxes and classes in turns, behind so many convolutions without a name."""

    def name(match: re.Match[str]) -> str:
        level, classes = divmod(int(match["number"]) - before, 2)
        return f"ssd_head.{'scores' if classes else 'boxes'}{level}.{LEAVES[match['leaf']]}"

    return ((r"^conv2d_(?P<number>\d+)\.(?P<leaf>w_0|b_0)$", name),)


RETINA: Names = (
    (rf"^retnet_cls_conv_n(\d)_fpn3{_W}", _plain(r"head.conv_feat.fcos_head_cls_tower_conv_\1.conv")),
    (rf"^retnet_bbox_conv_n(\d)_fpn3{_W}", _plain(r"head.conv_feat.fcos_head_reg_tower_conv_\1.conv")),
    (rf"^retnet_cls_pred_fpn3{_W}", _plain("head.retina_cls")),
    (rf"^retnet_bbox_pred_fpn3{_W}", _plain("head.retina_reg")),
)

_FIRST_STAGE: Names = (
    (rf"^conv_rpn(?:_fpn2)?{_W}", _plain("rpn_head.rpn_feat.rpn_conv")),
    (rf"^rpn_cls_logits(?:_fpn2)?{_W}", _plain("rpn_head.rpn_rois_score")),
    (rf"^rpn_bbox_pred(?:_fpn2)?{_W}", _plain("rpn_head.rpn_rois_delta")),
)
_MASKS: Names = (
    (rf"^mask_inter_feat_(\d){_W}", _plain(r"mask_head.head.upsample.mask_inter_feat_\1")),
    (rf"^mask_inter_feat_(\d){_NORMED}", _normed(r"mask_head.head.upsample.mask_inter_feat_\1")),
    (rf"^conv5_mask{_W}", _plain("mask_head.head.upsample.conv5_mask")),
    (rf"^mask_fcn_logits{_W}", _plain("mask_head.mask_fcn_logits")),
)
TWO_STAGES: Names = (
    *_FIRST_STAGE,
    (rf"^fc([67])(?:bbox_head_conv3)?{_W}", _plain(r"bbox_head.head.fc\1")),
    (rf"^bbox_head_conv(\d){_NORMED}", _normed(r"bbox_head.head.bbox_head_conv\1")),
    (rf"^cls_score{_W}", _plain("bbox_head.bbox_score")),
    (rf"^bbox_pred{_W}", _plain("bbox_head.bbox_delta")),
    *_MASKS,
)


def _stage(base: str, first: int) -> Callable[[re.Match[str]], str]:
    """A layer of a cascade's stage: counted from 1, of which the first has no number, or is ``first``."""

    def name(match: re.Match[str]) -> str:
        layer = base.format(stage=int(match["stage"] or first) - 1)
        return f"{match.expand(layer)}.{LEAVES[match['leaf']]}"

    return name


CASCADE: Names = (
    *_FIRST_STAGE,
    (rf"^fc([67])(?:_(?P<stage>\d))?{_W}", _stage(r"bbox_head.head.{stage}.fc\1", 1)),
    (rf"^cls_score(?:_(?P<stage>\d))?{_W}", _stage("bbox_head.bbox_score_stage{stage}", 1)),
    (rf"^bbox_pred(?:_(?P<stage>\d))?{_W}", _stage("bbox_head.bbox_delta_stage{stage}", 1)),
    *_MASKS,
)

__all__ = ["CASCADE", "RETINA", "TWO_STAGES", "YOLO", "default_boxes"]
