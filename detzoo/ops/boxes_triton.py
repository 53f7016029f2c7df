"""Box arithmetic inside of Triton programs: that of `detzoo.ops.boxes`, operation by operation.

Division is rounded correctly, and launched with `EXACT` no product is fused with a sum: both give the same bits.
"""

from __future__ import annotations

import triton
import triton.language as tl

EXACT = {"enable_fp_fusion": False}


@triton.jit
def load_boxes(rows, number, mask):
    """Coordinates of boxes by their ``number``; zero where ``mask`` is not set."""
    x1 = tl.load(rows + number * 4, mask=mask, other=0.0)
    y1 = tl.load(rows + number * 4 + 1, mask=mask, other=0.0)
    x2 = tl.load(rows + number * 4 + 2, mask=mask, other=0.0)
    y2 = tl.load(rows + number * 4 + 3, mask=mask, other=0.0)
    return x1, y1, x2, y2


@triton.jit
def common_area(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2):
    """As `detzoo.ops.boxes.intersection`."""
    width = tl.minimum(ax2, bx2) - tl.maximum(ax1, bx1)
    height = tl.minimum(ay2, by2) - tl.maximum(ay1, by1)
    return tl.maximum(width, 0.0) * tl.maximum(height, 0.0)


@triton.jit
def iou(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2):
    """As `detzoo.ops.boxes.iou`, of float32 and float64."""
    common = common_area(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2)
    union = tl.maximum((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - common, 1e-6)
    return _divided(common, union)


@triton.jit
def iou_by_pixels(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2):
    """IoU of boxes that end behind their last pixel; see `detzoo.ops.nms`."""
    meet = (bx1 <= ax2 - 1) & (ax1 <= bx2 - 1) & (by1 <= ay2 - 1) & (ay1 <= by2 - 1)
    common = (tl.minimum(ax2, bx2) - tl.maximum(ax1, bx1)) * (tl.minimum(ay2, by2) - tl.maximum(ay1, by1))
    a = tl.where((ax2 - ax1 < 1) | (ay2 - ay1 < 1), 0.0, (ax2 - ax1) * (ay2 - ay1))
    b = tl.where((bx2 - bx1 < 1) | (by2 - by1 < 1), 0.0, (bx2 - bx1) * (by2 - by1))
    union = a + b - common
    some = meet & (union > 0)
    return _divided(tl.where(some, common, 0.0), tl.where(some, union, 1.0))


@triton.jit
def _divided(common, union):
    return common / union if union.dtype == tl.float64 else tl.div_rn(common, union)
