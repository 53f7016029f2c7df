"""Why an average precision is 0: what a person would check first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detzoo.evaluate.arrays import Found, Truth, iou
from detzoo.evaluate.gather import ImageResult
from detzoo.suggest import unknown

FAINT = 0.05  # scores below this are as good as nothing


def class_notes(detector: Sequence[str], data: Sequence[str]) -> list[str]:
    """What differs between the class names of a detector and those of the data."""
    missing = [name for name in data if name not in detector]
    if not missing:
        return []
    if len(missing) == len(data):
        start = "no class of the data is one that the detector knows"
    else:
        start = f"{len(missing)} of {len(data)} classes of the data are unknown to the detector and count as not found"
    hints = [unknown(name, detector, "class of the detector") for name in missing[:5]]
    more = f" (and {len(missing) - 5} more)" if len(missing) > 5 else ""
    known = f"; the detector has {', '.join(detector[:10])}{', ...' if len(detector) > 10 else ''}"
    return [f"{start}: {'; '.join(hints)}{more}{known}"]


def zero_notes(truth: Truth, found: Found, results: Sequence[ImageResult]) -> list[str]:
    """Reasons that the numbers are zero, the likeliest first.

    Args:
        truth: the objects.
        found: the detections that were measured.
        results: one per image.
    """
    if not (~(truth.crowd | truth.ignore)).sum():
        marked = f": all {len(truth)} are crowds or ignored" if len(truth) else ""
        return [
            f"there is nothing to find in these {truth.images} images{marked}; check the annotations and data.classes"
        ]
    notes = []
    broken, other = sum(part.broken for part in results), sum(part.other for part in results)
    outside, total = sum(part.outside for part in results), len(found) + other + broken
    if not total:
        return ["the detector found nothing at all: it may be untrained, or its score threshold too high"]
    if broken:
        notes.append(f"{broken} of {total} detections have a box or score that is NaN or infinite and are left out")
    if not len(found):
        notes.append(f"none of the {total} detections is of a class that the data has")
        return notes
    if outside > (total - broken) / 2:
        notes.append(
            f"{outside} of {total - broken} boxes lie outside of their image or have no area: "
            "the detector's boxes may not be x1, y1, x2, y2 in pixels of the network input"
        )
    best = float(found.scores.max())
    if best < FAINT:
        notes.append(f"no detection scores above {FAINT}; the best has {best:.4f}: the detector looks untrained")
    return notes + _overlap_notes(truth, found)


def _overlap_notes(truth: Truth, found: Found) -> list[str]:
    """Whether boxes fit under a wrong class name, or do not fit at all."""
    near = np.zeros(len(found), dtype=bool)
    nearest = np.zeros(len(found), dtype=np.int64)
    for image in np.intersect1d(found.image, truth.image):
        here, there = np.flatnonzero(found.image == image), np.flatnonzero(truth.image == image)
        overlaps = iou(found.boxes[here], truth.boxes[there])
        near[here] = overlaps.max(1) >= 0.5
        nearest[here] = there[overlaps.argmax(1)]
    if near.any():
        pairs = np.stack([found.labels[near], truth.labels[nearest[near]]], 1)
        (says, is_), count = (part[0] for part in _commonest(pairs))
        if says == is_:
            return []
        return [
            f"{int(near.sum())} boxes fit an object, but under another name; {count} times the detector says "
            f"{truth.classes[says]!r} where the data says {truth.classes[is_]!r}: are the classes in the same order?"
        ]
    ours, theirs = (np.median(boxes[:, 2:] - boxes[:, :2], axis=0) for boxes in (found.boxes, truth.boxes))
    return [
        "no detection overlaps an object by half, whatever its class; in the median detections are "
        f"{ours[0]:.1f} x {ours[1]:.1f} pixels and objects {theirs[0]:.1f} x {theirs[1]:.1f} (width x height)"
    ]


def _commonest(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows and how often each occurs, the commonest first."""
    rows, counts = np.unique(pairs, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return rows[order], counts[order]
