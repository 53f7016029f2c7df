"""Names of parameters behind the backbone in PaddleDetection's static-graph releases -> those of its dynamic-graph one.

Where a layer was given no name, its number among those of its kind is one (``conv2d_35.w_0``).
"""

from __future__ import annotations

import re

from detzoo.interop.paddle.backbone_names import Names
from detzoo.interop.paddle.static_layers import LEAVES, alone, dotted

YOLO: Names = (
    # the third of four convolutions is 1.0, as there are two of each size
    *(
        dotted(rf"yolo_block\.(\d)\.{n // 2}\.{n % 2}", rf"neck.yolo_block.\1.conv_module.conv{n}")
        for n in (0, 1, 2, 3)
    ),
    dotted(r"yolo_block\.(\d)\.2", r"neck.yolo_block.\1.conv_module.route"),
    dotted(r"yolo_block\.(\d)\.tip", r"neck.yolo_block.\1.tip"),
    dotted(r"yolo_transition\.(\d)", r"neck.yolo_transition.\1"),
    alone(r"yolo_output\.(\d)", r"yolo_head.yolo_output.\1", r"\.conv\.(?P<leaf>weights|bias)"),
)


def default_boxes(before: int) -> Names:
    """An SSD's outputs, of boxes and classes in turns, behind so many convolutions without a name."""

    def name(match: re.Match[str]) -> str:
        level, classes = divmod(int(match["number"]) - before, 2)
        return f"ssd_head.{'scores' if classes else 'boxes'}{level}.{LEAVES[match['leaf']]}"

    return ((r"^conv2d_(?P<number>\d+)\.(?P<leaf>w_0|b_0)$", name),)


RETINA: Names = (
    alone(r"retnet_cls_conv_n(\d)_fpn3", r"head.conv_feat.fcos_head_cls_tower_conv_\1.conv"),
    alone(r"retnet_bbox_conv_n(\d)_fpn3", r"head.conv_feat.fcos_head_reg_tower_conv_\1.conv"),
    alone("retnet_cls_pred_fpn3", "head.retina_cls"),
    alone("retnet_bbox_pred_fpn3", "head.retina_reg"),
)

__all__ = ["RETINA", "YOLO", "default_boxes"]
