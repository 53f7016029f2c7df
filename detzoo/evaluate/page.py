"""What the page about an evaluation shows: numbers, curves, confusions, kinds of errors and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import hotcoco
import numpy as np
from numpy.typing import NDArray

from detzoo.data.annotations import Annotations
from detzoo.data.dataset import Dataset
from detzoo.data.masks import decode
from detzoo.drawing.draw import color_of
from detzoo.evaluate.arrays import Found, Truth
from detzoo.evaluate.diagnosis import RECALLS, THRESHOLDS, Diagnosis, diagnose
from detzoo.evaluate.gather import ImageResult, found_arrays, truth_arrays
from detzoo.evaluate.report import Report
from detzoo.report.charts import Line, line_chart
from detzoo.report.images import drawn, heat_map

PICTURES = 8  # of the worst images, and as many of the others
MOST_CURVES = 12  # classes with a curve of their own colour
MOST_CELLS = 25  # classes whose confusions fit a table
MOST_CONFUSIONS = 30
MOST_BOXES = 50  # drawn in one picture

MEANING = {
    "class": "on an object, but of another class",
    "place": "of the right class, but not well enough on the object",
    "both": "of another class, and not well enough on the object",
    "duplicate": "on an object that a better one has found",
    "background": "where there is no object",
    "missed": "an object that nothing has found",
}


def evaluation_sections(
    report: Report,
    dataset: Dataset,
    masked: Annotations,
    order: NDArray[np.int64],
    results: Mapping[int, ImageResult],
    honour_ignore: bool,
) -> dict[str, Any]:
    """For the template's ``evaluation``; the cost beside detection is that of 16 pictures and about a second per
    5000 images.

    Args:
        report: the numbers.
        dataset: where pictures come from.
        masked: its annotations, with masks where there are any.
        order: int64 ``[I]``, the row of each image in the annotations.
        results: what was found in each image, by its place in ``order``.
        honour_ignore: as in `detzoo.evaluate.gather.truth_arrays`.
    """
    found = found_arrays(results)
    truth = truth_arrays(dataset.annotations, order, honour_ignore, federated=report.metric == "lvis")
    named = report.metric != "proposals"
    if not named:  # whatever the class
        nothing = np.zeros_like(truth.labels)
        truth = dataclasses.replace(truth, labels=nothing, classes=("object",))
    diagnosis = diagnose(truth, found)
    return {
        "report": report,
        "columns": [name for name in (report.per_class[0] if report.per_class else {}) if name != "name"],
        "threshold": diagnosis.threshold,
        "overall": diagnosis.at_threshold[-1].tolist(),
        "by_class": diagnosis.at_threshold[:-1].tolist() if named else [],
        "best": diagnosis.best[:-1].tolist(),
        "curves": _curves(diagnosis, truth),
        "confusion": _confusion(diagnosis, truth.classes) if named else None,
        "errors": [(kind, MEANING[kind], *values) for kind, values in diagnosis.errors.items()],
        "pictures": _pictures(diagnosis, dataset, masked, order, truth, found),
    }


def _curves(diagnosis: Diagnosis, truth: Truth) -> list[dict[str, Any]]:
    """Precision over recall, and F1 over thresholds, of the most frequent classes and of all."""
    frequent = np.argsort(-np.bincount(truth.labels, minlength=len(truth.classes)), kind="stable")
    own = frequent[:MOST_CURVES].tolist() if len(truth.classes) > 1 else []

    def lines(values: NDArray[np.float64], at: NDArray[np.float64]) -> list[Line]:
        some = [
            Line(truth.classes[label], list(zip(at, values[label], strict=True)), "thin", _css(label)) for label in own
        ]
        return [*some, Line("all classes", list(zip(at, values[-1], strict=True)), "bold", "var(--ink)")]

    f1 = diagnosis.f1[-1]
    mark = (diagnosis.threshold, f"F1 {diagnosis.at_threshold[-1, 2]:.2f} at {diagnosis.threshold:.2f}")
    ends, by_threshold = (0.0, 1.0), lines(diagnosis.f1, THRESHOLDS)
    return [
        line_chart("precision by recall", "recall", lines(diagnosis.precision, RECALLS), x=ends, y=ends),
        line_chart("F1 by threshold", "least score", by_threshold, x=ends, y=ends, mark=mark if f1.any() else None),
    ]


def _css(label: int) -> str:
    return "rgb({} {} {})".format(*color_of(label))


def _confusion(diagnosis: Diagnosis, classes: Sequence[str]) -> dict[str, Any]:
    """A table where it fits, else a map and the most frequent confusions."""
    counts = diagnosis.confusion
    names = [*classes, "background"]
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    if len(classes) <= MOST_CELLS:
        return {"names": names, "counts": counts.tolist(), "share": share.tolist(), "map": None, "pairs": []}
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    wrong[-1], wrong[:, -1] = 0, 0
    first = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [
        (names[row], names[column], int(wrong[row, column]))
        for row, column in (divmod(int(at), len(names)) for at in first)
    ]
    return {
        "names": names,
        "counts": [],
        "share": [],
        "map": heat_map(share),
        "pairs": [one for one in pairs if one[2]],
    }


def _pictures(
    diagnosis: Diagnosis,
    dataset: Dataset,
    masked: Annotations,
    order: NDArray[np.int64],
    truth: Truth,
    found: Found,
) -> list[tuple[str, list[dict[str, Any]]]]:
    """The worst images and some others, annotated and as predicted."""
    right, wrong, missed = diagnosis.images.T
    errors = wrong + missed
    worth = 2 * right / np.maximum(2 * right + errors, 1)
    worst = np.lexsort((-errors, worth))
    worst = worst[errors[worst] > 0][:PICTURES]
    others = np.random.default_rng(0).permutation(np.setdiff1d(np.arange(truth.images), worst))[:PICTURES]
    starts = np.searchsorted(found.image, np.arange(truth.images + 1))
    shown = found.scores >= diagnosis.threshold

    def picture(number: int) -> dict[str, Any]:
        image = int(order[number])
        pixels = dataset.original(image)
        size = pixels.shape[0], pixels.shape[1]
        rows = np.arange(*masked.rows(image).indices(len(masked.boxes)))[:MOST_BOXES]
        labels = masked.labels[rows] if len(truth.classes) == len(masked.classes) else np.zeros_like(rows)
        outlined = [decode(masked, row, *size) for row in rows.tolist()] if masked.mask_kind[rows].any() else None
        mine = np.arange(starts[number], starts[number + 1])
        mine = mine[shown[mine]][:MOST_BOXES]
        masks = None if found.masks is None else [hotcoco.mask.decode(found.masks[one]) > 0 for one in mine]
        objects = masked.boxes[rows], labels.astype(np.int64), truth.classes
        words = f"{right[number]} right, {wrong[number]} wrong, {missed[number]} missed"
        return {
            "name": dataset.annotations.files[image],
            "words": words,
            "truth": drawn(pixels, *objects, masks=None if outlined is None else np.array(outlined)),
            "found": drawn(
                pixels,
                found.boxes[mine],
                found.labels[mine],
                truth.classes,
                scores=found.scores[mine],
                masks=None if masks is None else np.array(masks),
            ),
        }

    groups = (("the worst images", worst), ("some others", others))
    return [(words, [picture(int(number)) for number in numbers]) for words, numbers in groups if len(numbers)]
