"""Checks that every reader makes on its boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detzoo.data.problems import report


def check_boxes(
    source: object, boxes: NDArray[np.float64], sizes: NDArray[np.int32], names: NDArray[np.generic]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Clip boxes to their images and find those that cannot be used, with one counted warning per kind of fault.

    Args:
        source: the file, for the warnings.
        boxes: ``[M, 4]`` xyxy pixels as the file says.
        sizes: ``[M, 2]`` height and width of each object's image.
        names: ``[M]`` how to call each object in a warning.

    Returns:
        Clipped boxes float32 ``[M, 4]``, and which to keep: bool ``[M]``.
    """
    finite: NDArray[np.bool_] = np.all(np.isfinite(boxes), axis=1)
    boxes = np.where(finite[:, None], boxes, 0)
    has_area: NDArray[np.bool_] = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    limit = sizes[:, ::-1].astype(np.float64)
    clipped = np.clip(boxes, 0, np.tile(limit, 2)).astype(np.float32)
    inside: NDArray[np.bool_] = np.all(clipped[:, 2:] > clipped[:, :2], axis=1)
    for bad, what in (
        (~finite, "are missing or not finite and are left out"),
        (finite & ~has_area, "have no area and are left out"),
        (finite & has_area & ~inside, "lie outside of their image and are left out"),
    ):
        report(source, what, names[bad].tolist(), len(boxes), "boxes")
    crossing = inside & np.any(np.abs(clipped - boxes) > 1, axis=1)
    report(
        source,
        "reach more than a pixel out of their image and are clipped",
        names[crossing].tolist(),
        len(boxes),
        "boxes",
    )
    return clipped, inside
