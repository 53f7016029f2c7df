"""What an evaluation found, as COCO's evaluation server and tools take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detzoo.atomic import write_atomically
from detzoo.data.annotations import Annotations
from detzoo.data.problems import report
from detzoo.evaluate.gather import ImageResult


def write_results(
    path: str | Path,
    annotations: Annotations,
    order: NDArray[np.int64],
    results: Mapping[int, ImageResult],
    classes: bool = True,
) -> Path:
    """Write detections in COCO's results format, with the image and category ids of the annotation file.

    Detections of a class that the file has no id for cannot be written and are counted in a warning.

    Args:
        path: the ``.json`` file.
        annotations: where the ids come from.
        order: int64 ``[I]``, the image in ``annotations`` of each number in ``results``.
        results: by number.
        classes: whether labels mean classes; else every category id is 1, as for proposals.

    Returns:
        The file, a list of ``image_id``, ``category_id``, ``bbox`` [x, y, width, height] in pixels of the image,
        ``score`` and with masks ``segmentation``.

    Raises:
        OSError: the file cannot be written; what was there is unchanged.
    """
    ids = annotations.category_ids.tolist() if classes else [1]
    entries: list[dict[str, Any]] = []
    nameless: list[str] = []
    for number in sorted(results):
        image = annotations.image_id(int(order[number]))
        for label, entry in _entries(results[number]):
            if ids[label] == -1:
                nameless.append(annotations.classes[label])
            else:
                entries.append({"image_id": image, "category_id": ids[label], **entry})
    total = len(entries) + len(nameless)
    report(path, "are of classes that the annotations have no id for and are left out", nameless, total, "detections")
    data = msgspec.json.encode(entries)
    return write_atomically(path, lambda temporary: temporary.write_bytes(data + b"\n"))


def _entries(found: ImageResult) -> Iterator[tuple[int, dict[str, Any]]]:
    """Label and entry of each detection of one image."""
    sizes = found.boxes[:, 2:] - found.boxes[:, :2]
    boxes = np.concatenate([found.boxes[:, :2], sizes], axis=1).astype(np.float64).tolist()
    masks = found.masks or [None] * len(boxes)
    for label, box, score, mask in zip(found.labels.tolist(), boxes, found.scores.tolist(), masks, strict=True):
        entry: dict[str, Any] = {"bbox": box, "score": score}
        if mask is not None:
            entry["segmentation"] = {"size": list(mask["size"]), "counts": mask["counts"].decode("ascii")}
        yield label, entry
