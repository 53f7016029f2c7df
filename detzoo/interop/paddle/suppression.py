"""``MultiClassNMS`` of PaddleDetection's settings, which is its suppression of boxes of the same class."""

from __future__ import annotations

from typing import Any

from detzoo.interop.section import Section

_FEWEST = 400  # candidates of a class in published configs


def suppressed(nms: Section, threshold: float = 0.05, overlap: float = 0.5, detections: int = 100) -> dict[str, Any]:
    """Settings of a head; the defaults are those of PaddleDetection's code.

    Its ``nms_top_k`` bounds the candidates of each class, which are bounded together here; where it is as in published
    configs, recorded detections are the same.
    """
    nms.ignore("background_label", "return_index", "return_rois_num", "cpu")  # there is none; of exporting
    nms.fixed("nms_eta", 1.0)
    settings = {
        "threshold": nms.number("score_threshold", threshold),
        "nms": nms.number("nms_threshold", overlap),
        "detections": nms.whole("keep_top_k", detections),
    }
    if settings["detections"] < 1:
        nms.differs("keep_top_k", "has no counterpart: all are never returned; a number such as 100 has")
    fewest = max(settings["detections"], _FEWEST)
    if 0 <= nms.whole("nms_top_k", -1) < fewest:
        nms.differs("nms_top_k", f"has no counterpart; {fewest} and more have")
    return settings


__all__ = ["suppressed"]
