"""Augmentation of the program's own: callables that are given a picture and its objects, and give both back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detzoo.data.annotations import Annotations, arrange
from detzoo.data.item import Item, as_item, columns_of
from detzoo.data.masks import decode
from detzoo.data.problems import DataError

Vary = Callable[[NDArray[np.uint8], dict[str, Any]], tuple[Any, Mapping[str, Any]]]


def vary(
    steps: Sequence[Vary],
    pixels: NDArray[np.uint8],
    annotations: Annotations,
    rows: Sequence[int],
    ignored: NDArray[np.bool_],
    with_masks: bool,
    rng: np.random.Generator,
    path: str,
) -> tuple[NDArray[np.uint8], Annotations]:
    """A picture and its objects, taken through the program's callables in order.

    Each is given uint8 RGB ``(H, W, 3)`` and a dict of ``boxes`` float32 (M, 4) xyxy pixels, ``labels`` int64 (M,),
    ``ignore`` bool (M,) and, where masks are learned, ``masks`` bool (M, H, W), all its own to change. It may return
    another size and other objects: boxes are cut off at the edges, and those of which nothing is left are dropped.

    Args:
        steps: the callables.
        pixels: of the file.
        annotations: of the data set.
        rows: of the picture's objects in it.
        ignored: bool ``(M,)``, regions that are not learned.
        with_masks: whether masks are learned.
        rng: what their random numbers follow from; its own stay as they would be without them.
        path: of the picture, for messages.

    Returns:
        The picture, and its objects as annotations of one image.

    Raises:
        DataError: a callable returns something else; the message names it, the picture and the mend.
    """
    size = pixels.shape[:2]
    masks = None
    if with_masks:
        masks = np.stack([np.zeros(size, bool), *(decode(annotations, row, *size) for row in rows)])[1:]
    span = list(rows)
    target: dict[str, Any] = {"boxes": annotations.boxes[span], "labels": annotations.labels[span], "ignore": ignored}
    item = as_item(pixels, {**target, "masks": masks}, len(annotations.classes), path, cut=True)
    with seeded(rng.spawn(1)[0]):
        for step in steps:
            item = _taken(step, item, len(annotations.classes), path)
    columns, sizes, _ = columns_of([item.described()])
    classes = annotations.classes
    every = np.ones(len(columns.boxes), dtype=bool)
    return item.pixels, arrange(columns, every, classes, range(1, len(classes) + 1), [0], [path], sizes)


def _taken(step: Vary, item: Item, classes: int, path: str) -> Item:
    where = f"augment, {name_of(step)} of {path}"
    target: dict[str, Any] = {"boxes": item.boxes.copy(), "labels": item.labels.astype(np.int64)}
    target["ignore"] = item.ignore.copy()
    if item.masks is not None:
        target["masks"] = item.masks.copy()
    answer = step(item.pixels.copy(), target)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise DataError(f"{where}: it has to return a pair, the picture and the dict of its objects")
    given = dict(answer[1]) if isinstance(answer[1], Mapping) else answer[1]
    if item.masks is not None and isinstance(given, dict) and given.get("masks") is None:
        raise DataError(f"{where}: it returns no masks, which are learned; return masks of the objects that are left")
    return as_item(answer[0], given, classes, where, cut=True)


def name_of(own: Any) -> str:
    """The name of a callable, or of its class."""
    return getattr(own, "__name__", None) or type(own).__name__


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Within this, `random`, `numpy.random` and torch on the CPU draw what follows from ``rng``; then as before."""
    # numpy's old generator, too: it is what callables of others draw from
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    first, second, third = (int(number) for number in rng.integers(1 << 32, size=3))
    random.seed(first)
    np.random.seed(second)  # noqa: NPY002
    torch.default_generator.manual_seed(third)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])


class Albumentations:
    """A transform of albumentations, or of a library with its call, as augmentation; see `albumentations`."""

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __call__(self, picture: NDArray[np.uint8], targets: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """One picture and its objects, of which some may be dropped."""
        if hasattr(self.transform, "set_random_seed"):  # since 1.4.19 it has a generator of its own
            self.transform.set_random_seed(random.getrandbits(31))
        masks = {"masks": list(targets["masks"])} if "masks" in targets else {}
        numbers = list(range(len(targets["boxes"])))
        found = self.transform(image=picture, bboxes=targets["boxes"].tolist(), labels=numbers, **masks)
        kept = np.asarray(found["labels"], dtype=np.float64).astype(np.int64).reshape(-1)
        boxes = np.asarray(found["bboxes"], dtype=np.float32).reshape(-1, np.shape(found["bboxes"])[-1] or 4)[:, :4]
        changed = {"boxes": boxes, "labels": targets["labels"][kept], "ignore": targets["ignore"][kept]}
        if masks:
            changed["masks"] = np.asarray(found["masks"]).astype(bool).reshape(-1, *found["image"].shape[:2])[kept]
        return found["image"], changed


def albumentations(transform: Any) -> Albumentations:
    """A transform of albumentations, or of a library with its call, for ``augment=[...]``.

    It is called as ``transform(image=, bboxes=, labels=)``, and with ``masks=`` where masks are learned, and returns a
    dict of the same. ``bboxes`` are left, top, right and bottom in pixels; ``labels`` number the objects, so that it is
    known which are left: ``Compose([...], bbox_params=BboxParams(format="pascal_voc", label_fields=["labels"]))``.
    """
    return Albumentations(transform)


__all__ = ["Albumentations", "Vary", "albumentations", "name_of", "seeded", "vary"]
