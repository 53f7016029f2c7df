"""Which images make up each batch of an epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detzoo.data.canvases import of_one_canvas


def training_batches(
    count: int, size: int, rng: np.random.Generator, repeat: int = 1, wide: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """A shuffled epoch in full batches.

    Every image occurs ``repeat`` times. If they do not fill the last batch, the epoch's first ones fill it up: then
    every step has the same shape, and however the batch is cut up, no device is left without images.

    Args:
        count: images.
        size: images per batch, of all devices together.
        rng: draws the order.
        repeat: passes over the images.
        wide: bool ``[count]``; if given, batches hold only wide or only other images; what is left of both at the
            end of the epoch goes together.

    Returns:
        int64 ``[B, size]`` image indices, ``B = ceil(count * repeat / size)``.
    """
    order = np.concatenate([rng.permutation(count) for _ in range(repeat)])
    if wide is None:
        places = np.arange(len(order))
        whole, rest = _cut(places, size)
    else:
        pairs = [_cut(np.flatnonzero(wide[order] == kind), size) for kind in (True, False)]
        whole = np.concatenate([batches for batches, _ in pairs])
        mixed, rest = _cut(np.sort(np.concatenate([left for _, left in pairs])), size)
        # as if images came one by one and a batch left when it was full; a mixed one leaves at the end
        whole = np.concatenate([whole[np.argsort(whole[:, -1])], mixed])
    if len(rest):
        filled = np.concatenate([rest, np.resize(np.arange(len(order)), size - len(rest))])
        whole = np.concatenate([whole, filled[None]])
    return order[whole]


def _cut(places: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Full batches ``[B, size]`` and what is left."""
    full = len(places) // size * size
    return places[:full].reshape(-1, size), places[full:]


def repeat_factors(
    image: NDArray[np.int64], labels: NDArray[np.int32], images: int, classes: int, threshold: float
) -> NDArray[np.int64]:
    """How often each image comes, so that rare classes are seen more often (arXiv:1908.03195).

    ``max(1, sqrt(threshold / f))`` for a class that a part ``f`` of the images shows, the most of its classes for an
    image, rounded up as in MMDetection's published schedules; the paper rounds at random.

    Args:
        image: int64 ``[M]``, the image of each object.
        labels: int32 ``[M]``.
        images: how many there are.
        classes: how many there are.
        threshold: classes in a smaller part of the images are rare; 0: none is.

    Returns:
        int64 ``[images]``, 1 for an image without objects.
    """
    if not threshold:
        return np.ones(images, dtype=np.int64)
    pairs = np.unique(image * classes + labels)
    shown, label = np.divmod(pairs, classes)
    frequency = np.bincount(label, minlength=classes) / images
    factors = np.ones(images)
    np.maximum.at(factors, shown, np.sqrt(threshold / frequency[label]))
    return np.ceil(factors).astype(np.int64)


def evaluation_batches(canvases: NDArray[np.int64], size: int, rank: int, world: int) -> list[list[int]]:
    """One device's batches: every ``world``-th, so that all devices together see each image once.

    Which images share a batch does not depend on the number of devices.

    Args:
        canvases: int64 ``[count, 2 S]``, canvas of each image at each of S scales; those of a batch have the same.
        size: images per batch; the last of each canvas may have fewer.
        rank: number of this device.
        world: number of devices.
    """
    keys = map(tuple, canvases.tolist())
    return list(of_one_canvas(zip(keys, range(len(canvases)), strict=True), size))[rank::world]
