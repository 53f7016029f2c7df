"""COCO's metrics: average precision of boxes and masks, and average recall of proposals.

The protocol of https://cocodataset.org/#detection-eval, computed by hotcoco and equal to pycocotools. A number that the
data cannot give, such as the AP of large objects where there are none, is -1.
"""

from __future__ import annotations

from typing import Any, Literal

import hotcoco
import numpy as np
from numpy.typing import NDArray

from detzoo.evaluate.arrays import Found, Truth

SIZES = ("small", "medium", "large")  # below 32 x 32 pixels, up to 96 x 96, and above
OUT_OF_RANGE = 1e11  # an area outside of every range: the protocol then neither counts nor misses the object


def coco_metrics(
    truth: Truth, found: Found, kind: Literal["box", "mask"] = "box"
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Average precision and recall over IoU 0.50 to 0.95 and at most 100 detections per image.

    Equal scores in different images rank by image. Masks are sized by their own area, not their box's.

    Args:
        truth: with masks where ``kind`` is ``mask``.
        found: likewise.
        kind: what overlaps are measured between.

    Returns:
        ``{kind}_ap``, ``_ap50``, ``_ap75``, ``_ap_small/_medium/_large``, ``_ar1``, ``_ar10``, ``_ar100`` and
        ``_ar_small/_medium/_large`` in [0, 1]; and for each class its ``{kind}_ap``, ``_ap50`` and ``_ar100``.

    Raises:
        ValueError: masks are asked for but not given.
    """
    result = precision_and_recall(truth, found, kind, (1, 10, 100))
    precision, recall = result["precision"], result["recall"]  # [T, R, K, A, D] and [T, K, A, D]
    metrics = {
        "ap": mean(precision[..., 0, -1]),
        "ap50": mean(precision[0, ..., 0, -1]),
        "ap75": mean(precision[5, ..., 0, -1]),
        **{f"ap_{size}": mean(precision[..., 1 + index, -1]) for index, size in enumerate(SIZES)},
        **{f"ar{most}": mean(recall[..., 0, index]) for index, most in enumerate((1, 10, 100))},
        **{f"ar_{size}": mean(recall[..., 1 + index, -1]) for index, size in enumerate(SIZES)},
    }
    per_class = [
        {
            f"{kind}_ap": mean(precision[:, :, label, 0, -1]),
            f"{kind}_ap50": mean(precision[0, :, label, 0, -1]),
            f"{kind}_ar100": mean(recall[:, label, 0, -1]),
        }
        for label in range(len(truth.classes))
    ]
    return {f"{kind}_{name}": value for name, value in metrics.items()}, per_class


def proposal_metrics(truth: Truth, found: Found) -> dict[str, float]:
    """Average recall of boxes whatever their class, over IoU 0.50 to 0.95.

    Returns:
        ``proposal_ar100``, ``_ar300``, ``_ar1000`` for that many boxes per image, and
        ``_ar_small/_medium/_large`` at 1000.
    """
    most = (100, 300, 1000)
    recall = precision_and_recall(truth, found, "box", most, by_class=False)["recall"]
    metrics = {f"ar{count}": mean(recall[..., 0, index]) for index, count in enumerate(most)}
    metrics |= {f"ar_{size}": mean(recall[..., 1 + index, -1]) for index, size in enumerate(SIZES)}
    return {f"proposal_{name}": value for name, value in metrics.items()}


def precision_and_recall(
    truth: Truth, found: Found, kind: Literal["box", "mask"], most: tuple[int, ...], by_class: bool = True
) -> dict[str, NDArray[np.float64]]:
    """``precision`` ``[T, R, K, A, D]`` and ``recall`` ``[T, K, A, D]`` as COCO's evaluation lays them out.

    T: IoU 0.50 to 0.95; R: recall 0 to 1; K: classes; A: all sizes, then `SIZES`; D: ``most``, detections per image and
    class. Where ``truth.federated`` says which classes were looked for, it is LVIS's evaluation.

    Raises:
        ValueError: masks are asked for but not given.
    """
    evaluation = prepared(truth, found, kind, most, by_class)
    evaluation.evaluate()
    evaluation.accumulate()
    arrays = evaluation.eval
    assert arrays is not None  # set by accumulate
    return arrays


def prepared(
    truth: Truth,
    found: Found,
    kind: Literal["box", "mask"],
    most: tuple[int, ...],
    by_class: bool = True,
    at_half: bool = False,
) -> hotcoco.COCOeval:
    """hotcoco's evaluation of these arrays, on which nothing is computed yet: object ``i`` has the id ``i + 1``, and
    so has detection ``i``. ``at_half``: at IoU 0.5 and of all sizes alone.

    Raises:
        ValueError: masks are asked for but not given.
    """
    if kind == "mask" and (truth.masks is None or found.masks is None):
        raise ValueError("mask AP needs masks of the objects and of the detections")
    masks = truth.masks if kind == "mask" else None
    objects = hotcoco.COCO.from_arrays(
        _images(truth),
        [{"id": label + 1, "name": name} for label, name in enumerate(truth.classes)],
        truth.image + 1,
        truth.labels + 1,
        _xywh(truth.boxes),
        ids=np.arange(1, len(truth) + 1),
        area=np.where(truth.ignore, OUT_OF_RANGE, truth.areas),
        iscrowd=truth.crowd.astype(np.int64),
        segmentation=list(masks) if masks is not None else None,
    )
    rows = np.column_stack([found.image + 1, _xywh(found.boxes), found.scores, found.labels + 1])
    if kind == "mask":
        results = objects.load_res(rows, segmentation=list(found.masks or ()))
        areas = np.asarray(hotcoco.mask.area(list(found.masks or ())), dtype=np.float64)
        results.update_anns(ids=np.arange(1, len(found) + 1), area=areas)
    else:
        results = objects.load_res(rows)
    lvis = truth.federated is not None
    evaluation = hotcoco.COCOeval(objects, results, "segm" if kind == "mask" else "bbox", lvis_style=lvis)
    evaluation.params.max_dets = list(most)
    evaluation.params.use_cats = by_class
    if at_half:
        evaluation.params.iou_thrs = [0.5]
        evaluation.params.area_rng, evaluation.params.area_rng_lbl = [[0.0, OUT_OF_RANGE / 10]], ["all"]
    return evaluation


def _images(truth: Truth) -> list[dict[str, Any]]:
    """The images as COCO files list them, or LVIS's."""
    images: list[dict[str, Any]] = [{"id": index + 1} for index in range(truth.images)]
    if truth.federated is not None:
        for key, pairs in (
            ("neg_category_ids", truth.federated.absent),
            ("not_exhaustive_category_ids", truth.federated.partial),
        ):
            for image in images:
                image[key] = []
            for image, label in pairs.tolist():
                images[image][key].append(label + 1)
    return images


def _xywh(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)


def mean(values: NDArray[np.float64]) -> float:
    """Mean of what exists; COCO marks what does not by -1."""
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0
