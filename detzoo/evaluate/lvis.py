"""LVIS's metric: COCO's average precision where only some classes were looked for in each image.

Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation", arXiv:1908.03195, section 2. Computed by
hotcoco and equal to the package ``lvis``.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from detzoo.config import ConfigError
from detzoo.data.annotations import Annotations
from detzoo.evaluate.arrays import Found, Truth
from detzoo.evaluate.coco import SIZES, mean, precision_and_recall

MOST = 300  # detections of an image, of all classes together
FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}


def lvis_metrics(
    truth: Truth, found: Found, kind: Literal["box", "mask"] = "box"
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Average precision over IoU 0.50 to 0.95 of the 300 best detections of an image.

    A detection does not count where its class was not looked for in its image (the image neither shows it nor is known
    not to), nor where it matches no object and the image's objects of its class are annotated only in part.

    Args:
        truth: with ``federated``, and with masks where ``kind`` is ``mask``.
        found: likewise with masks.
        kind: what overlaps are measured between.

    Returns:
        ``{kind}_ap``, ``_ap50``, ``_ap75``, ``_ap_small/_medium/_large`` by size, ``_ap_rare/_common/_frequent`` of the
        classes in up to 10, up to 100 and more training images, ``_ar300`` and ``_ar_small/_medium/_large`` in [0, 1],
        -1 where the data cannot say; and for each class its ``{kind}_ap``, ``_ap50`` and ``_ar300``.

    Raises:
        ValueError: masks are asked for but not given, or the data does not say what was looked for.
    """
    if truth.federated is None:
        raise ValueError("the truth does not say which classes were looked for in which images")
    result = precision_and_recall(truth, _best(found), kind, (MOST,))
    precision, recall = result["precision"][..., 0], result["recall"][..., 0]  # [T, R, K, A] and [T, K, A]
    words = np.array(truth.federated.frequency)
    metrics = {
        "ap": mean(precision[..., 0]),
        "ap50": mean(precision[0, ..., 0]),
        "ap75": mean(precision[5, ..., 0]),
        **{f"ap_{size}": mean(precision[..., 1 + index]) for index, size in enumerate(SIZES)},
        **{f"ap_{name}": mean(precision[:, :, words == word, 0]) for word, name in FREQUENCIES.items()},
        f"ar{MOST}": mean(recall[..., 0]),
        **{f"ar_{size}": mean(recall[..., 1 + index]) for index, size in enumerate(SIZES)},
    }
    per_class = [
        {
            f"{kind}_ap": mean(precision[:, :, label, 0]),
            f"{kind}_ap50": mean(precision[0, :, label, 0]),
            f"{kind}_ar{MOST}": mean(recall[:, label, 0]),
        }
        for label in range(len(truth.classes))
    ]
    return {f"{kind}_{name}": value for name, value in metrics.items()}, per_class


def check_federated(annotations: Annotations) -> None:
    """Raises ConfigError: the annotations do not say which classes were looked for in which images."""
    if annotations.federated is None:
        raise ConfigError(
            "metric lvis needs annotations that list `neg_category_ids` of their images, as LVIS's do; metric coco "
            "takes every class as looked for in every image"
        )


def _best(found: Found) -> Found:
    """The first `MOST` detections of each image, which stand in order of falling score."""
    order = np.argsort(found.image, kind="stable")
    place = np.empty(len(found), dtype=np.int64)
    images = found.image[order]
    place[order] = np.arange(len(found)) - np.searchsorted(images, images)
    keep = place < MOST
    if keep.all():
        return found
    masks = None if found.masks is None else [found.masks[index] for index in np.flatnonzero(keep)]
    columns = {name: getattr(found, name)[keep] for name in ("image", "labels", "boxes", "scores")}
    return dataclasses.replace(found, **columns, masks=masks)
