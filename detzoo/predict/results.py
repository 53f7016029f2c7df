"""One image's detections as plain values, ready for JSON."""

from __future__ import annotations

from typing import Any

from detzoo.ops.rle import encode_crops, encode_dense
from detzoo.types import Detections


def run_lengths(detections: Detections) -> list[dict[str, Any]] | None:
    """Masks of one image as ``{"size": [H, W], "counts": str}``, or None for a detector without masks."""
    if detections.crops is not None:
        if detections.canvas is None:
            raise ValueError("mask crops need a canvas to be pasted on")
        crops, boxes = detections.crops.cpu(), detections.boxes.cpu()
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

    Raises:
        TypeError: the result is a batch.
    """
    names = detections.names
    values = zip(detections.boxes.tolist(), detections.scores.tolist(), detections.labels.tolist(), names, strict=True)
    rows: list[dict[str, Any]] = [
        {"box": box, "score": score, "label": label, "name": name} for box, score, label, name in values
    ]
    for row, mask in zip(rows, run_lengths(detections) or (), strict=False):
        row["mask"] = mask
    return rows


def to_coco(detections: Detections, image_id: int = 0) -> list[dict[str, Any]]:
    """COCO result entries of one image.

    Args:
        detections: of one image.
        image_id: the data set's id of the image.

    Returns:
        ``image_id``, ``category_id`` (the label), ``bbox`` [x, y, width, height], ``score``, and with masks
        ``segmentation``.

    Raises:
        TypeError: the result is a batch.
    """
    entries = []
    for row in to_dict(detections):
        x0, y0, x1, y1 = row["box"]
        entry = {
            "image_id": image_id,
            "category_id": row["label"],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": row["score"],
        }
        if "mask" in row:
            entry["segmentation"] = row["mask"]
        entries.append(entry)
    return entries
