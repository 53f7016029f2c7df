"""Images of one set that are kept apart for validation: the same ones every time, on every machine."""

from __future__ import annotations

import dataclasses
from hashlib import blake2b
from itertools import takewhile
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from detzoo.data.annotations import PER_OBJECT, Annotations, Strings, take_bytes
from detzoo.data.problems import DataError


def held_out(annotations: Annotations, fraction: float) -> NDArray[np.bool_]:
    """Which images are for validation, bool ``[I]``.

    The order of the files, their number and where the data set lies do not matter: each file's path below the data set
    draws a number by its hash, and the lowest are taken. So a set that grows keeps most of its division. Of files that
    lie elsewhere it is the path below the folder that they have in common.

    Raises:
        DataError: there are fewer than two images.
    """
    files = [annotations.files[image] for image in range(len(annotations))]
    far = [PurePath(file).parts for file in files if PurePath(file).is_absolute()]
    levels = zip(*(parts[:-1] for parts in far), strict=False)
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    names = {file: "/".join(PurePath(file).parts[common:]) if PurePath(file).is_absolute() else file for file in files}
    drawn = {file: blake2b(name.encode(), digest_size=8).digest() for file, name in names.items()}
    if len(drawn) < 2:
        raise DataError("a single image cannot be divided into training and validation")
    count = min(max(1, round(len(drawn) * fraction)), len(drawn) - 1)
    lowest = set(sorted(drawn, key=lambda file: (drawn[file], names[file]))[:count])
    return np.array([file in lowest for file in files], dtype=bool)


def take_images(annotations: Annotations, chosen: NDArray[np.bool_]) -> Annotations:
    """The annotations of some images: bool ``[I]``."""
    images = np.flatnonzero(chosen).tolist()
    rows = np.flatnonzero(chosen[annotations.image_of()])
    mask_bytes, mask_ends = take_bytes(annotations.mask_bytes, annotations.mask_ends, rows)
    ids = annotations.image_ids
    counts = np.diff(annotations.starts)[images]
    place = np.where(chosen, np.cumsum(chosen) - 1, -1)
    return dataclasses.replace(
        annotations,
        **{name: getattr(annotations, name)[rows] for name in PER_OBJECT},
        image_ids=Strings([ids[image] for image in images]) if isinstance(ids, Strings) else ids[images],
        files=Strings([annotations.files[image] for image in images]),
        sizes=annotations.sizes[images],
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        mask_ends=mask_ends,
        mask_bytes=mask_bytes,
        federated=annotations.federated and annotations.federated.of_images(place),
    )
