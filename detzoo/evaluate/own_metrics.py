"""Metrics of the program's own: callables that are given what was found and what is there, image by image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detzoo.config import ConfigError
from detzoo.data.annotations import Annotations
from detzoo.data.vary import name_of
from detzoo.evaluate.gather import ImageResult

OwnMetric = Callable[[list[dict[str, Any]], list[dict[str, Any]]], float | Mapping[str, float]]


def own_metrics(
    metrics: Sequence[OwnMetric],
    annotations: Annotations,
    order: NDArray[np.int64],
    results: Mapping[int, ImageResult],
    taken: Mapping[str, float],
) -> dict[str, float]:
    """What the program's metrics say, by name: a number by the callable's name, or several by their own.

    Each is called with two lists of a dict per image, in the same order: what was found, ``boxes`` (K, 4) xyxy pixels
    of the image, ``scores`` (K,) and ``labels`` (K,) of the data, ``masks`` as run lengths or None; and what is there,
    ``id``, ``size`` (height, width), ``boxes`` (M, 4), ``labels``, ``crowd`` and ``ignore`` (M,).

    Args:
        metrics: the callables.
        annotations: of the data set.
        order: int64 ``[I]``, the row in it of each image.
        results: of each of these images.
        taken: metrics that are there already.

    Raises:
        ConfigError: one returns no numbers, or a name that is taken.
    """
    found, truth = [], []
    for number, image in enumerate(order.tolist()):
        rows, result = annotations.rows(image), results[number]
        found.append({word: getattr(result, word) for word in ("boxes", "scores", "labels", "masks")})
        objects = {word: getattr(annotations, word)[rows] for word in ("boxes", "labels", "crowd", "ignore")}
        truth.append({"id": annotations.image_id(image), "size": tuple(annotations.sizes[image].tolist()), **objects})
    values: dict[str, float] = {}
    for metric in metrics:
        name, answer = name_of(metric), metric(found, truth)
        try:
            named = answer if isinstance(answer, Mapping) else {name: answer}
            numbers = {str(key): float(value) for key, value in named.items()}
        except (TypeError, ValueError):
            raise ConfigError(
                f"the metric {name} returned {answer!r:.60}: return a number, or a dict of them"
            ) from None
        twice = [key for key in numbers if key in taken or key in values]
        if twice:
            raise ConfigError(f"the metric {name}: there is a metric {twice[0]!r} already; name it otherwise")
        values |= numbers
    return values


__all__ = ["OwnMetric", "own_metrics"]
