"""What a federated data set says of its images: LVIS looks for a few of its classes in each, and not for the others.

Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation", arXiv:1908.03195, section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detzoo.data.coco_ids import Index, identity
from detzoo.data.problems import report

IMAGE_LISTS = ("neg_category_ids", "not_exhaustive_category_ids")  # what an LVIS file says of each image
_FREQUENCIES = ("r", "c", "f")


@dataclass(frozen=True, slots=True, eq=False)
class Federated:
    """Beside the objects of I images and C classes.

    Attributes:
        frequency: of each class, in how many training images it is: ``"r"`` (rare, up to 10), ``"c"`` (common, up to
            100), ``"f"`` (frequent), ``""`` where the file does not say.
        absent: int32 ``[P, 2]`` image and label: it was made sure that the image shows none of the class.
        partial: int32 ``[Q, 2]`` image and label: only some of the image's objects of the class are annotated.
    """

    frequency: tuple[str, ...]
    absent: NDArray[np.int32]
    partial: NDArray[np.int32]

    def of_images(self, place: NDArray[np.int64]) -> Self:
        """With images at other places: int64 ``[I]`` the new place of each, -1 for those that are left out."""
        absent, partial = (_moved(pairs, 0, place) for pairs in (self.absent, self.partial))
        return type(self)(self.frequency, absent, partial)

    def of_classes(self, table: NDArray[np.int32], count: int) -> Self:
        """With other labels: int32 ``[C]`` the new one of each of ``count``, -1 for those that are left out."""
        frequency = [""] * count
        for label, word in zip(table.tolist(), self.frequency, strict=False):
            if label >= 0:
                frequency[label] = word
        return type(self)(tuple(frequency), _moved(self.absent, 1, table), _moved(self.partial, 1, table))


def _moved(pairs: NDArray[np.int32], column: int, table: NDArray[np.integer]) -> NDArray[np.int32]:
    """Pairs with one column looked up in a table; those that it sends to -1 are left out."""
    moved = pairs.copy()
    moved[:, column] = table[pairs[:, column]]
    return moved[moved[:, column] >= 0]


def joined(parts: Sequence[Federated | None], counts: Iterable[int]) -> Federated | None:
    """Several sets with the same classes as one; None where one of them is not federated.

    Args:
        parts: of each set.
        counts: how many images each has.
    """
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    absent, partial, first = [], [], 0
    for part, count in zip(known, counts, strict=True):
        shift = np.array([first, 0], dtype=np.int32)
        absent.append(part.absent + shift)
        partial.append(part.partial + shift)
        first += count
    words = zip(*(part.frequency for part in known), strict=True)
    frequency = tuple(next(filter(None, word), "") for word in words)
    return Federated(frequency, np.concatenate(absent), np.concatenate(partial))


def read_federated(
    path: Path, images: Sequence[Any], categories: Sequence[Any], index: Index, label_of: NDArray[np.int64]
) -> Federated | None:
    """What an LVIS file says of its images; None where it has no ``neg_category_ids``.

    Args:
        path: the file, for messages.
        images: records with ``file_name`` and the `IMAGE_LISTS`, whatever these are.
        categories: records with ``frequency``.
        index: of their ids.
        label_of: int64, label of each of ``categories``.
    """
    if not any(isinstance(image.neg_category_ids, list) for image in images):
        return None
    odd: list[str] = []
    columns = []
    for key in IMAGE_LISTS:
        pairs: list[tuple[int, int]] = []
        for row, image in enumerate(images):
            found = _categories(getattr(image, key), index)
            if None in found:
                odd.append(f"{key} of {image.file_name}")
            pairs += [(row, int(label_of[category])) for category in found if category is not None]
        columns.append(np.array(pairs, dtype=np.int32).reshape(-1, 2))
    report(path, "name categories that are not in the file", odd, len(IMAGE_LISTS) * len(images), "lists of images")
    frequency = [""] * (int(label_of.max(initial=-1)) + 1)
    for category, label in zip(categories, label_of.tolist(), strict=True):
        frequency[label] = category.frequency if category.frequency in _FREQUENCIES else ""
    return Federated(tuple(frequency), *columns)


def _categories(given: Any, index: Index) -> list[int | None]:
    """The row of each category id in a list; None for what is none."""
    if given is None:
        return []
    if not isinstance(given, list):
        return [None]
    return [None if identity(value) is None else index.find(value) for value in given]
