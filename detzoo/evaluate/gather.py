"""From batches of detections to arrays of a whole data set, on one process or several."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from detzoo.data.annotations import NO_MASK, Annotations, Strings
from detzoo.data.masks import rle
from detzoo.evaluate.arrays import Found, Truth
from detzoo.evaluate.inference import in_original_pixels
from detzoo.ops.rle import encode_crops, encode_dense
from detzoo.types import Detections

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ImageResult:
    """What was found in one image, in pixels of its file.

    Attributes:
        labels: int64 ``[K]``, the data's label of each detection of a class that the data has.
        boxes: float32 ``[K, 4]``.
        scores: float32 ``[K]``.
        masks: run lengths of each, or None.
        other: detections of classes that the data does not have.
        broken: detections with a box or score that is not finite; left out.
        outside: detections whose box lies outside of the image or has no area.
    """

    labels: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: list[dict[str, Any]] | None
    other: int
    broken: int
    outside: int


def image_result(
    found: Detections, label_of: NDArray[np.int64], size: Sequence[int], original: Sequence[int]
) -> ImageResult:
    """One image's detections for the metrics.

    Args:
        found: of one image, on the CPU, in pixels of the network input.
        label_of: the data's label by the detector's label, -1 for classes that the data does not have.
        size: height and width in the network input, without padding.
        original: height and width of the file.
    """
    labels = torch.from_numpy(label_of)[found.labels]
    finite = found.boxes.isfinite().all(1) & found.scores.isfinite()
    keep = finite & (labels >= 0)
    limits = found.boxes.new_tensor([size[1], size[0]])
    empty = torch.minimum(found.boxes[:, 2:], limits) <= found.boxes[:, :2].clamp(min=0)
    picked = {
        field.name: value[keep]
        for field in dataclasses.fields(found)
        if isinstance(value := getattr(found, field.name), torch.Tensor)
    }
    kept = in_original_pixels(dataclasses.replace(found, **picked), size, original)
    masks = None
    if kept.crops is not None and kept.canvas is not None:
        masks = encode_crops(kept.crops, kept.mask_boxes, kept.canvas, kept.mask_threshold)
    elif kept.dense is not None:
        masks = encode_dense(kept.dense)
    return ImageResult(
        labels=labels[keep].numpy(),
        boxes=kept.boxes.numpy(),
        scores=kept.scores.float().numpy(),
        masks=masks,
        other=int((finite & (labels < 0)).sum()),
        broken=int((~finite).sum()),
        outside=int((finite & empty.any(1)).sum()),
    )


def merge(mine: Mapping[int, ImageResult], several: bool) -> dict[int, ImageResult] | None:
    """The results of all ranks by image, each image once: on rank 0 (None on the others), or ``mine`` alone."""
    if not several:
        return dict(mine)
    boxes: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(dict(mine), boxes)
    return None if boxes is None else {image: result for part in boxes for image, result in part.items()}


def share(value: Value | None, several: bool) -> Value | None:
    """Rank 0's value on every rank."""
    if not several:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def found_arrays(results: Mapping[int, ImageResult]) -> Found:
    """All images' detections in one set of arrays, images ascending."""
    order = sorted(results)
    parts = [results[image] for image in order]
    counts = [len(part.labels) for part in parts]
    with_masks = bool(parts) and all(part.masks is not None for part in parts)
    return Found(
        image=np.repeat(np.array(order, dtype=np.int64), counts),
        labels=np.concatenate([np.zeros(0, np.int64), *(part.labels for part in parts)]),
        boxes=np.concatenate([np.zeros((0, 4)), *(part.boxes for part in parts)]).astype(np.float64),
        scores=np.concatenate([np.zeros(0), *(part.scores for part in parts)]).astype(np.float64),
        masks=[mask for part in parts for mask in part.masks or ()] if with_masks else None,
    )


def image_order(annotations: Annotations, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """The used images by ascending id, as COCO's evaluation breaks ties; as they come where ids are names."""
    ids = annotations.image_ids
    return indices if isinstance(ids, Strings) else indices[np.argsort(ids[indices], kind="stable")]


def truth_arrays(
    annotations: Annotations,
    order: NDArray[np.int64],
    honour_ignore: bool,
    masks: bool = False,
    federated: bool = False,
) -> Truth:
    """The objects of images ``order`` (rows of ``annotations``), the first becoming image 0.

    Args:
        annotations: the data set.
        order: int64 ``[I]``.
        honour_ignore: whether objects marked ``ignore`` are left out of the count.
        masks: give run lengths too; objects without a mask are then ignored.
        federated: give what is known of which classes were looked for in which images.
    """
    rows = np.concatenate([np.zeros(0, np.int64), *(np.arange(*annotations.starts[[i, i + 1]]) for i in order)])
    rows = rows.astype(np.int64)
    image = np.repeat(np.arange(len(order)), (annotations.starts[1:] - annotations.starts[:-1])[order])
    ignore = annotations.ignore[rows] if honour_ignore else np.zeros(len(rows), dtype=bool)
    encoded = None
    if masks:
        ignore = ignore | (annotations.mask_kind[rows] == NO_MASK)
        encoded = [
            _mask(annotations, int(row), annotations.sizes[order[at]]) for row, at in zip(rows, image, strict=True)
        ]
    known = None
    if federated and annotations.federated is not None:
        place = np.full(len(annotations), -1)
        place[order] = np.arange(len(order))
        known = annotations.federated.of_images(place)
    return Truth(
        images=len(order),
        classes=annotations.classes,
        image=image.astype(np.int64),
        labels=annotations.labels[rows].astype(np.int64),
        boxes=annotations.boxes[rows].astype(np.float64),
        areas=annotations.areas[rows].astype(np.float64),
        crowd=annotations.crowd[rows],
        ignore=ignore,
        masks=encoded,
        federated=known,
    )


def _mask(annotations: Annotations, row: int, size: NDArray[np.int32]) -> dict[str, Any]:
    height, width = (int(edge) for edge in size)
    found = rle(annotations, row, height, width)
    return encode_dense(np.zeros((1, height, width), dtype=bool))[0] if found is None else found
