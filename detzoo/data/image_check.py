"""A quick look at every image file before the first step, so that a broken one does not end a training hours later."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from detzoo.data.dataset import Dataset
from detzoo.data.image_sizes import THREADS, listed
from detzoo.data.images import ImageError, check_image
from detzoo.data.problems import DataError, log

SECONDS = 60.0  # for all files of all data sets, unless broken ones are to be left out: then none may be missed

Problems = dict[int, str]  # what is wrong, by position in the data set


def check_images(datasets: Sequence[Dataset]) -> None:
    """Look at the files of all data sets, and refuse broken ones or leave them out as the settings say.

    Raises:
        DataError: files are broken or missing and ``data.skip_broken`` is not set, or no other is left.
    """
    settle(datasets, find_broken(datasets))


def find_broken(datasets: Sequence[Dataset]) -> list[Problems]:
    """What is wrong with the image files of each data set: header, size or end, not what is within their pixels."""
    deadline = time.monotonic() + SECONDS
    return [_look(dataset, deadline) if _looks(dataset) else {} for dataset in datasets]


def settle(datasets: Sequence[Dataset], problems: Sequence[Problems]) -> None:
    """Refuse or leave out what `find_broken` found; errors as `check_images`."""
    kept = [(dataset, found) for dataset, found in zip(datasets, problems, strict=True) if not dataset.data.skip_broken]
    refused = list(dict.fromkeys(why for _, found in kept for why in found.values()))  # train and val may share files
    if refused:
        files = {(dataset.data.root, dataset.annotations.files[int(i)]) for dataset, _ in kept for i in dataset.indices}
        raise DataError(
            f"{len(refused)} of {len(files)} images cannot be used{listed(refused)}\n"
            "mend them, or leave them out with data.skip_broken=true; data.check_images=false does not look at them"
        )
    for dataset, found in zip(datasets, problems, strict=True):
        if found:
            log.warning(
                "%d of %d images are left out, as data.skip_broken says:%s",
                len(found),
                len(dataset),
                listed(list(found.values())),
            )
            dataset.leave_out(found)


def _looks(dataset: Dataset) -> bool:
    return dataset.data.kind not in ("shapes", "own") and (dataset.data.check_images or dataset.data.skip_broken)


def _look(dataset: Dataset, deadline: float) -> Problems:
    if dataset.data.skip_broken:
        deadline = float("inf")
    # in no order, so that every part of the data is seen where there is no time for all of it
    order = np.random.default_rng(0).permutation(len(dataset)).tolist()
    files, sizes = dataset.annotations.files, dataset.annotations.sizes
    root = Path(dataset.data.root)

    def problem(position: int) -> tuple[int, str] | None:
        if time.monotonic() > deadline:
            return -1, ""
        image = int(dataset.indices[position])
        height, width = sizes[image].tolist()
        try:
            check_image(root / files[image], (height, width))
        except (ImageError, OSError) as error:
            return position, str(error)
        return None

    with ThreadPoolExecutor(THREADS) as pool:
        found = [answer for answer in pool.map(problem, order) if answer is not None]
    late = sum(position < 0 for position, _ in found)
    if late:
        log.warning("%d of %d images were not looked at: there was no time in %g seconds", late, len(order), SECONDS)
    return dict(sorted(answer for answer in found if answer[0] >= 0))
