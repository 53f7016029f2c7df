"""Pascal VOC's metric: average precision at one IoU, over 11 recalls (2007) or as the area under the curve (2010 on).

M. Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010, section 4.2.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detzoo.evaluate.arrays import Found, Truth, iou


def voc_metrics(
    truth: Truth,
    found: Found,
    *,
    mode: Literal["area", "11point"] = "area",
    threshold: float = 0.5,
    border: float = 0.0,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Mean average precision over the classes that have objects.

    In order of falling score every detection claims the object of its class and image that it overlaps most, if by
    ``threshold`` at least. The first to claim an object is right, later ones are wrong, and a claim
    on an ignored (VOC: difficult) or crowd object does not count.

    Args:
        truth: the objects.
        found: the detections.
        mode: ``11point`` is VOC 2007's mean of the best precision at recall 0, 0.1, ... 1; ``area`` VOC 2010's
            integral.
        threshold: least IoU of a right detection.
        border: pixels added to side lengths when overlaps are measured; 1 for boxes whose corners are the first and
            last pixel inside, as in VOC's own files; 0 for this toolbox's boxes.

    Returns:
        ``box_ap50`` (named after ``threshold``) in [0, 1], -1 where there is nothing to find; and the same for each
        class.
    """
    name = f"box_ap{round(threshold * 100)}"
    counted = ~(truth.ignore | truth.crowd)
    values = []
    for label in range(len(truth.classes)):
        objects = np.flatnonzero(truth.labels == label)
        total = int(counted[objects].sum())
        if not total:
            values.append(-1.0)
            continue
        right, wrong = _claims(truth, found, label, objects, counted, threshold, border)
        values.append(average_precision(right, wrong, total, mode))
    known = [value for value in values if value >= 0]
    mean = float(np.mean(known)) if known else -1.0
    return {name: mean}, [{name: value} for value in values]


def average_precision(
    right: NDArray[np.bool_], wrong: NDArray[np.bool_], total: int, mode: Literal["area", "11point"]
) -> float:
    """AP of detections ``[D]`` in order of falling score; those neither ``right`` nor ``wrong`` do not count."""
    hits, misses = np.cumsum(right), np.cumsum(wrong)
    recall = hits / total
    precision = hits / np.maximum(hits + misses, 1)
    # the best precision at this recall or any higher one
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if mode == "11point":
        # counted in whole objects: 0.1 * total is not exact in floating point
        first = np.searchsorted(hits * 10, np.arange(11) * total)
        return float(np.append(best, 0.0)[first].mean())
    return float((np.diff(recall, prepend=0.0) * best).sum())


def _claims(
    truth: Truth,
    found: Found,
    label: int,
    objects: NDArray[np.int64],
    counted: NDArray[np.bool_],
    threshold: float,
    border: float,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections of one class are right and which wrong, in order of falling score."""
    mine = np.flatnonzero(found.labels == label)
    mine = mine[np.argsort(-found.scores[mine], kind="stable")]
    right, wrong = np.zeros(len(mine), dtype=bool), np.ones(len(mine), dtype=bool)
    images = found.image[mine]
    by_image = np.argsort(images, kind="stable")
    objects = objects[np.argsort(truth.image[objects], kind="stable")]
    for image in np.intersect1d(images, truth.image[objects]):
        here = by_image[slice(*np.searchsorted(images[by_image], [image, image + 1]))]
        there = objects[slice(*np.searchsorted(truth.image[objects], [image, image + 1]))]
        overlaps = iou(found.boxes[mine[here]], truth.boxes[there], border)
        claimed = overlaps.argmax(1)
        close = np.flatnonzero(overlaps.max(1) >= threshold)
        wrong[here[close[~counted[there[claimed[close]]]]]] = False
        fair = close[counted[there[claimed[close]]]]
        # detections stand in order of score, so the first claim on an object is the best one
        winners = fair[np.unique(claimed[fair], return_index=True)[1]]
        right[here[winners]], wrong[here[winners]] = True, False
    return right, wrong
