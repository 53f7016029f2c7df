"""What metrics read: the objects and the detections of a whole data set in flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detzoo.data.federated import Federated


@dataclass(frozen=True, slots=True)
class Truth:
    """M annotated objects of I images and C classes.

    Attributes:
        images: I, how many images were looked at.
        classes: name of each label.
        image: int64 ``[M]``, 0-based image of each object.
        labels: int64 ``[M]``.
        boxes: float64 ``[M, 4]`` xyxy pixels of the image files.
        areas: float64 ``[M]`` pixels, which make an object small, medium or large.
        crowd: bool ``[M]``, regions of many objects: they take any number of detections and are never missed.
        ignore: bool ``[M]``, objects that neither count as found nor as missed.
        masks: run lengths of each object as in `detzoo.ops.rle`, or None.
        federated: which classes were looked for in which images; None: all in all.
    """

    images: int
    classes: tuple[str, ...]
    image: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    masks: list[dict[str, Any]] | None = None
    federated: Federated | None = None

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, slots=True)
class Found:
    """D detections, those of one image in order of falling score.

    Attributes:
        image: int64 ``[D]``, as in `Truth`.
        labels: int64 ``[D]``, as in `Truth`.
        boxes: float64 ``[D, 4]`` xyxy pixels of the image files.
        scores: float64 ``[D]``.
        masks: run lengths, or None.
    """

    image: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    masks: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.image)


def iou(first: NDArray[np.float64], second: NDArray[np.float64], border: float = 0.0) -> NDArray[np.float64]:
    """Intersection over union ``[A, B]`` of boxes ``[A, 4]`` and ``[B, 4]``; ``border`` pixels count for each side."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low + border, 0, None).prod(2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2] + border, 0, None).prod(1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
