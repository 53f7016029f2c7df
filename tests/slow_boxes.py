"""Geometry of boxes as a page of arithmetic, for the loops that methods are compared with."""

from __future__ import annotations

from collections.abc import Sequence


def slow_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """IoU of two boxes x1, y1, x2, y2; 0 where neither has an area."""
    common = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b)) - common
    return common / union if union else 0.0
