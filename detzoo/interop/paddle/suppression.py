"""``MultiClassNMS`` of PaddleDetection's settings, which is its suppression of boxes of the same class."""

from __future__ import annotations

from typing import Any

from detzoo.interop.section import Section


def suppressed(nms: Section, threshold: float = 0.05, overlap: float = 0.5, detections: int = 100) -> dict[str, Any]:
    """Settings of a head; the defaults are those of PaddleDetection's code."""
    nms.ignore("background_label", "return_index", "return_rois_num", "trt", "cpu")  # there is none; of exporting
    nms.fixed("nms_eta", 1.0)
    settings = {
        "threshold": nms.number("score_threshold", threshold),
        "nms": nms.number("nms_threshold", overlap),
        "detections": nms.whole("keep_top_k", detections),
    }
    if 0 <= nms.whole("nms_top_k", -1) < settings["detections"]:  # more are enough candidates
        nms.differs("nms_top_k", "has no counterpart; as many as keep_top_k have")
    return settings


__all__ = ["suppressed"]
