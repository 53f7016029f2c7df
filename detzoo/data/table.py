"""How many images and objects each class has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detzoo.data.dataset import Dataset


class ClassRow(NamedTuple):
    """One class: in how many images it is to be learned, how many objects that are, and how many are ignored."""

    name: str
    images: int
    objects: int
    ignored: int


def class_table(dataset: Dataset) -> list[ClassRow]:
    """One row per class, in label order, over the images that the data set uses."""
    annotations = dataset.annotations
    used = np.zeros(len(annotations), dtype=bool)
    used[dataset.indices] = True
    image_of = annotations.image_of()
    present = used[image_of] & dataset.delivered
    learned = present & ~dataset.ignored
    count = len(annotations.classes)
    objects = np.bincount(annotations.labels[learned], minlength=count)
    ignored = np.bincount(annotations.labels[present & dataset.ignored], minlength=count)
    pairs = np.unique(image_of[learned] * count + annotations.labels[learned])
    images = np.bincount(pairs % count, minlength=count)
    return [
        ClassRow(name, int(images[label]), int(objects[label]), int(ignored[label]))
        for label, name in enumerate(annotations.classes)
    ]
