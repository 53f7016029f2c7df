"""Names of parameters behind the backbone in PaddleDetection's static-graph releases -> those of its dynamic-graph one.

Where a layer was given no name, its number among those of its kind is one (``conv2d_35.w_0``).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from detzoo.interop.paddle.backbone_names import Names
from detzoo.interop.paddle.static_backbone_names import LEAVES

_W = r"_(?P<leaf>w|b)$"
_YOLO = r"\.(?P<kind>conv|bn)\.(?P<leaf>weights|bias|scale|offset|mean|var)$"


def _plain(base: str) -> Callable[[re.Match[str]], str]:
    """A layer without normalization."""
    return lambda match: f"{match.expand(base)}.{LEAVES[match['leaf']]}"


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

__all__ = ["RETINA", "YOLO", "default_boxes"]
