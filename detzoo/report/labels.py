"""What the annotated objects of a data set are like: how many of which class, how large, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detzoo.data.annotations import Annotations
from detzoo.report.charts import bar_chart
from detzoo.report.images import heat_map

MOST_CLASSES = 40
GRID = 32  # cells across the map of places
EDGES = 2 ** np.arange(2, 11)  # pixels; the first bin is all below, the last all above


def label_statistics(annotations: Annotations, indices: NDArray[np.int64]) -> dict[str, Any]:
    """For the template: ``classes``, ``rest``, ``sizes``, ``places`` and counts, crowds and ignored objects left out.

    Args:
        annotations: the data set.
        indices: int64 ``[I]``, the images that are used.
    """
    image = annotations.image_of()
    used = np.zeros(len(annotations), dtype=bool)
    used[indices] = True
    rows = used[image] & ~annotations.crowd & ~annotations.ignore
    boxes, sizes = annotations.boxes[rows].astype(np.float64), annotations.sizes[image[rows]].astype(np.float64)
    counts = np.bincount(annotations.labels[rows], minlength=len(annotations.classes))
    order = np.argsort(-counts, kind="stable")
    first = order[:MOST_CLASSES]
    edges = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    bins = np.bincount(np.digitize(edges, EDGES), minlength=len(EDGES) + 1)
    names = [f"<{EDGES[0]}", *(f"{edge}" for edge in EDGES[:-1]), f"≥{EDGES[-1]}"]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / np.maximum(sizes[:, ::-1], 1)
    cells = np.clip((centres * GRID).astype(np.int64), 0, GRID - 1)
    places = np.bincount(cells[:, 1] * GRID + cells[:, 0], minlength=GRID * GRID).reshape(GRID, GRID)
    return {
        "images": len(indices),
        "objects": int(rows.sum()),
        "empty": int(len(indices) - len(np.unique(image[rows]))),
        "classes": [(annotations.classes[label], int(counts[label])) for label in first],
        "most": int(counts.max(initial=1)),
        "rest": (len(order) - len(first), int(counts[order[MOST_CLASSES:]].sum())),
        "sizes": bar_chart("objects by size", "square root of the box's area, pixels, from", names, bins.tolist()),
        "places": heat_map(places / max(int(places.max()), 1)),
    }
