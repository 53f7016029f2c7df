"""Where the errors of a detector come from: curves over thresholds, confused classes, and kinds of errors.

Boxes at IoU 0.5, matched by COCO's protocol (hotcoco). The kinds of errors are those of D. Bolya et al., "TIDE: A
General Toolbox for Identifying Object Detection Errors", ECCV 2020, arXiv:2008.08115.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detzoo.evaluate.arrays import Found, Truth
from detzoo.evaluate.coco import prepared

RECALLS = np.linspace(0, 1, 101)
THRESHOLDS = np.linspace(0, 1, 101)
USUAL = 0.5  # the threshold where none is better than another


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `diagnose` finds, of C classes and I images.

    Attributes:
        threshold: the score above which the F1 of all detections together is highest.
        f1: float64 ``[C + 1, 101]`` at `THRESHOLDS`; the last row is of all classes together.
        precision: float64 ``[C + 1, 101]`` at `RECALLS`, the best at this recall or a higher one; the last row is the
            mean of the classes that have objects.
        at_threshold: float64 ``[C + 1, 3]``, precision, recall and F1 at ``threshold``.
        best: float64 ``[C + 1]``, the threshold that is best for each class.
        confusion: int64 ``[C + 1, C + 1]`` at ``threshold``: true class by predicted class; last: background.
        errors: by kind, AP (at IoU 0.5) that it costs and how many there are at ``threshold``; empty where there is
            nothing to compare.
        images: int64 ``[I, 3]``, right, wrong and missed at ``threshold``.
    """

    threshold: float
    f1: NDArray[np.float64]
    precision: NDArray[np.float64]
    at_threshold: NDArray[np.float64]
    best: NDArray[np.float64]
    confusion: NDArray[np.int64]
    errors: dict[str, tuple[float, int]]
    images: NDArray[np.int64]


def diagnose(truth: Truth, found: Found) -> Diagnosis:
    """Curves, confusion and kinds of errors of boxes at IoU 0.5; see `Diagnosis`."""
    count = len(truth.classes)
    counted = ~(truth.crowd | truth.ignore)
    objects = np.bincount(truth.labels[counted], minlength=count)
    right, wrong = np.zeros(len(found), dtype=bool), np.zeros(len(found), dtype=bool)
    ready = prepared(truth, found, "box", (100,), at_half=True)
    ready.evaluate()
    for number, status in ready.image_diagnostics(iou_thr=0.5)["dt_status"].items():
        right[number - 1], wrong[number - 1] = status == "tp", status == "fp"
    groups = [found.labels == label for label in range(count)] + [np.ones(len(found), dtype=bool)]
    totals = [*objects.tolist(), int(objects.sum())]
    curves = [
        _curves(found.scores[group], right[group], wrong[group], total)
        for group, total in zip(groups, totals, strict=True)
    ]
    best = np.array([curve[2] for curve in curves])
    threshold = float(best[-1])
    precision = np.stack([curve[1] for curve in curves])
    known = objects > 0
    precision[-1] = precision[:-1][known].mean(0) if known.any() else 0.0
    above = found.scores >= threshold
    chosen = np.array(
        [
            _at(int((right & group & above).sum()), int((wrong & group & above).sum()), total)
            for group, total in zip(groups, totals, strict=True)
        ]
    )
    hits = np.bincount(found.image[right & above], minlength=truth.images)
    misses = np.bincount(found.image[wrong & above], minlength=truth.images)
    present = np.bincount(truth.image[counted], minlength=truth.images)
    return Diagnosis(
        threshold=threshold,
        f1=np.stack([curve[0] for curve in curves]),
        precision=precision,
        at_threshold=chosen,
        best=best,
        confusion=np.asarray(ready.confusion_matrix(iou_thr=0.5, min_score=threshold)["matrix"]).astype(np.int64),
        errors=_errors(ready, truth, found, above),
        images=np.column_stack([hits, misses, np.maximum(present - hits, 0)]).astype(np.int64),
    )


def _curves(
    scores: NDArray[np.float64], right: NDArray[np.bool_], wrong: NDArray[np.bool_], total: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """F1 by threshold, precision by recall, and the threshold with the best F1."""
    counts = right | wrong
    order = np.argsort(-scores[counts], kind="stable")
    falling, hits = scores[counts][order], np.cumsum(right[counts][order])
    seen = np.arange(1, len(hits) + 1)
    f1 = 2 * hits / np.maximum(seen + total, 1)
    # equal scores are above a threshold together
    ends = np.append(falling[1:] != falling[:-1], True)[: len(falling)]
    best = float(falling[ends][np.argmax(f1[ends])]) if hits.any() else USUAL
    taken = np.searchsorted(-falling, -THRESHOLDS, side="right")
    by_threshold = np.append(0.0, f1)[taken]
    right_of = np.maximum.accumulate((hits / seen)[::-1])[::-1] if len(hits) else hits.astype(np.float64)
    reached = np.searchsorted(hits / max(total, 1), RECALLS - 1e-9)
    return by_threshold, np.append(right_of, 0.0)[np.minimum(reached, len(hits))], best


def _at(right: int, wrong: int, total: int) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    return right / max(right + wrong, 1), right / max(total, 1), 2 * right / max(right + wrong + total, 1)


_KINDS = {"Cls": "class", "Loc": "place", "Both": "both", "Dupe": "duplicate", "Bkg": "background", "Miss": "missed"}


def _errors(ready: object, truth: Truth, found: Found, above: NDArray[np.bool_]) -> dict[str, tuple[float, int]]:
    """By kind, what it costs in AP with all detections, and how often it occurs above the threshold."""
    if not (~(truth.crowd | truth.ignore)).any():
        return {}
    few = Found(found.image[above], found.labels[above], found.boxes[above], found.scores[above])
    kept = prepared(truth, few, "box", (100,), at_half=True)
    kept.evaluate()
    lost, counts = ready.tide_errors()["delta_ap"], kept.tide_errors()["counts"]  # pyright: ignore[reportAttributeAccessIssue]
    return {word: (float(lost[kind]), int(counts[kind])) for kind, word in _KINDS.items()}
