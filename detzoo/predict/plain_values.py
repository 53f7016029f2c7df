"""One image's detections as plain values, ready for JSON."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from detzoo.ops.rle import encode_crops, encode_dense
from detzoo.recipes.classes import COCO_CATEGORY_IDS, COCO_CLASSES
from detzoo.types import Detections

_COCO = dict(zip(COCO_CLASSES, COCO_CATEGORY_IDS, strict=True))


def run_lengths(detections: Detections) -> list[dict[str, Any]] | None:
    """Masks of one image as ``{"size": [H, W], "counts": str}``, or None for a detector without masks."""
    if detections.crops is not None:
        if detections.canvas is None:
            raise ValueError("mask crops need a canvas to be pasted on")
        crops, boxes = detections.crops.cpu(), detections.mask_boxes.cpu()
        encoded = encode_crops(crops, boxes, detections.canvas, detections.mask_threshold)
    elif detections.dense is not None:
        encoded = encode_dense(detections.dense)
    else:
        return None
    return [{"size": rle["size"], "counts": rle["counts"].decode("ascii")} for rle in encoded]


def to_dict(detections: Detections) -> list[dict[str, Any]]:
    """One dict per detection of one image.

    Returns:
        ``box`` [x1, y1, x2, y2] pixels, ``score``, ``label``, ``name``, and with masks ``mask``, COCO run lengths.
    """
    names = detections.names
    values = zip(detections.boxes.tolist(), detections.scores.tolist(), detections.labels.tolist(), names, strict=True)
    rows: list[dict[str, Any]] = [
        {"box": box, "score": score, "label": label, "name": name} for box, score, label, name in values
    ]
    for row, mask in zip(rows, run_lengths(detections) or (), strict=False):
        row["mask"] = mask
    return rows


def to_coco(
    detections: Detections,
    image_id: int | str = 0,
    category_ids: Sequence[int | str] | Mapping[str, int | str] | None = None,
) -> list[dict[str, Any]]:
    """COCO result entries of one image.

    Args:
        detections: of one image.
        image_id: the data set's id of the image.
        category_ids: the data set's id of each class, by label or by name; None: see `category_numbers`.

    Returns:
        ``image_id``, ``category_id``, ``bbox`` [x, y, width, height], ``score``, and with masks ``segmentation``.

    Raises:
        ValueError: a class that was found has no id.
    """
    numbers = category_numbers(detections.classes, category_ids)
    entries = []
    for row in to_dict(detections):
        x0, y0, x1, y1 = row["box"]
        label = row["label"]
        if numbers is not None and label not in numbers:
            raise ValueError(f"category_ids has no number for class {label}, {row['name']!r}")
        entry = {
            "image_id": plain_id(image_id),
            "category_id": label if numbers is None else numbers[label],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": row["score"],
        }
        if "mask" in row:
            entry["segmentation"] = row["mask"]
        entries.append(entry)
    return entries


def category_numbers(
    classes: Sequence[str] | None, category_ids: Sequence[int | str] | Mapping[str, int | str] | None = None
) -> dict[int, int | str] | None:
    """The data set's number of each label.

    Args:
        classes: class names by label, or None.
        category_ids: the numbers by label or by name. None: COCO's own where the classes are COCO's 80, whose numbers
            run from 1 to 90 with gaps; else nobody knows them.

    Returns:
        By label, or None where they are not known and the labels themselves have to do.

    Raises:
        ValueError: there are more or fewer numbers than classes.
    """
    if category_ids is None:
        if classes is None or set(classes) != set(_COCO):
            return None
        category_ids = _COCO
    if isinstance(category_ids, Mapping):
        known = enumerate(classes or ())
        return {label: plain_id(category_ids[name]) for label, name in known if name in category_ids}
    if classes is not None and len(category_ids) != len(classes):
        raise ValueError(f"category_ids has {len(category_ids)} numbers, but there are {len(classes)} classes")
    return {label: plain_id(number) for label, number in enumerate(category_ids)}


def plain_id(value: Any) -> Any:
    """An id as JSON can have it: a whole number of any library as an int."""
    if isinstance(value, str):
        return str(value)
    try:
        return operator.index(value)
    except TypeError:
        return value
