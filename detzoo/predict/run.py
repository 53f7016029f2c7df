"""`predict`: detections in pictures and videos, batch by batch."""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice, repeat
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from detzoo.arguments import count, fraction
from detzoo.data.canvases import canvas, of_one_canvas, padded
from detzoo.data.images import MAX_PIXELS, ImageError
from detzoo.data.resize import fit_input, resize
from detzoo.detector import Detector, Input
from detzoo.evaluate.inference import detect_on_host, in_original_pixels
from detzoo.evaluate.tta import detect_views, views_of
from detzoo.overwrite import ReadFiles
from detzoo.predict.chosen_classes import chosen_labels
from detzoo.predict.result import Result
from detzoo.predict.sources import (
    Picture,
    Pictures,
    file_of,
    frames,
    is_camera,
    is_video,
    load,
    pictures,
    size_of,
)
from detzoo.tta import TTA, Scale
from detzoo.types import Detections
from detzoo.user_path import user_path

_Given = TypeVar("_Given")
_Done = TypeVar("_Done")

log = logging.getLogger("detzoo.predict")

READERS = 2  # threads that decode and resize the next batches while the network runs
AHEAD = 2  # batches that are ready or in work
WINDOW = 32  # batches of pictures, not yet decoded, that wait at most for others of their canvas
SAID = 10  # broken files whose reasons are told


@dataclasses.dataclass(frozen=True, slots=True)
class _Item:
    """One picture of the source, not yet decoded."""

    place: int  # in the source
    picture: Picture
    optional: bool  # may be left out if it is broken


@dataclasses.dataclass(frozen=True, slots=True)
class _Ready:
    """One picture: what the network takes, and what its result needs."""

    place: int
    size: tuple[int, int]  # height and width in pixels
    resized: list[Tensor]  # uint8 [3, h, w] at each scale
    path: Path | None
    image: NDArray[np.uint8] | None  # None for an image file, which can be read again: large ones must not pile up here


@dataclasses.dataclass(frozen=True, slots=True)
class _Broken:
    """A picture that is left out, and why."""

    place: int
    error: Exception


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """Which detections are returned, and of what they are made."""

    threshold: float
    labels: list[int] | None  # None: of all classes
    views: TTA | None  # None: of the picture as it is

    @property
    def scales(self) -> tuple[Scale, ...]:
        """At which the network sees a picture."""
        return self.views.scales if self.views else (1.0,)

    def of(self, found: Detections) -> Detections:
        """Those of one image's detections."""
        keep = found.scores >= self.threshold
        if self.labels is not None:
            keep &= torch.isin(found.labels, found.labels.new_tensor(self.labels))
        return found.pick(keep)


def predict(
    detector: Detector,
    source: Any,
    *,
    threshold: float = 0.05,
    batch: int = 4,
    progress: bool = False,
    classes: Any = None,
    tta: Any = None,
) -> list[Result] | Iterator[Result]:
    """Detect in pictures; see `detzoo.detector.Detector.predict`, which is the way to call it.

    Broken image files that a folder or pattern gave are left out, and named in a warning at the end.

    Raises:
        FileNotFoundError: nothing is at the path or matches the pattern.
        ModuleNotFoundError: a video without OpenCV.
        ValueError: a file is no picture, an array is not uint8 (H, W, 3), ``threshold`` is not from 0 to 1,
            ``batch`` is not positive, or the detector must be given the boxes to look at.
    """
    threshold, batch = fraction("threshold", threshold), count("batch", batch)
    labels = None if classes is None else chosen_labels(classes, detector.classes)
    wanted = _Wanted(threshold, labels, views_of(detector, tta))
    if is_video(source):
        path = None if is_camera(source) else user_path(source)
        read = ReadFiles([path] if path else [])
        found = _stream(detector, frames(source), wanted, batch, read, path)
        shown = track(found, f"Predicting {path.name if path else source}") if progress else found
        return (result for _, result in shown)
    items = pictures(source)
    for remark in items.remarks:
        log.warning("%s", remark)
    results = _stream(detector, items, wanted, batch, ReadFiles(filter(None, map(file_of, items))))
    in_order = sorted(track(results, "Predicting", total=len(items)) if progress else results, key=itemgetter(0))
    return [result for _, result in in_order]


def _stream(
    detector: Detector,
    items: Iterable[Picture],
    wanted: _Wanted,
    batch: int,
    read: ReadFiles,
    path: Path | None = None,
) -> Iterator[tuple[int, Result]]:
    """Place in the source and result of each picture: of `Pictures` by canvas, of a video in order."""
    broken: list[_Broken] = []
    settings = detector.config.input
    for chunk in _prepared(items, settings, batch, path, wanted.scales):
        broken += [picture for picture in chunk if isinstance(picture, _Broken)]
        # by the decoded size: a header may say another, and the frames of a video may change theirs
        sized = [
            (canvas(*picture.size, settings, wanted.scales), picture)
            for picture in chunk
            if isinstance(picture, _Ready)
        ]
        found = [one for same in of_one_canvas(sized, batch) for one in _detected(detector, same, wanted, read)]
        yield from sorted(found, key=itemgetter(0))
    _say_broken([one.error for one in sorted(broken, key=attrgetter("place"))], items)


def _detected(
    detector: Detector, ready: list[_Ready], wanted: _Wanted, read: ReadFiles
) -> Iterator[tuple[int, Result]]:
    """Results of one network call, or one a view, on pictures of one canvas."""
    resized = zip(*(picture.resized for picture in ready), strict=True)
    scaled = [padded(images, detector.config.input) for images in resized]
    if wanted.views is None:
        ((pixels, sizes),) = scaled
        files = torch.tensor([picture.size for picture in ready], device="cpu")
        batch = detect_on_host(detector, pixels, sizes, None, files)
        found = [
            in_original_pixels(wanted.of(batch[index]), picture.resized[0].shape[1:], picture.size)
            for index, picture in enumerate(ready)
        ]
    else:
        merged = detect_views(detector, wanted.views, scaled, [picture.size for picture in ready])
        found = [wanted.of(one) for one in merged]
    for result, picture in zip(found, ready, strict=True):
        height, width = picture.size
        result = dataclasses.replace(result, classes=detector.classes, picture=picture.image, path=picture.path)
        yield picture.place, Result(result, (height, width), read=read)


def _say_broken(broken: list[Exception], items: Iterable[Picture]) -> None:
    """Name the image files that were left out, or refuse where there was no other."""
    if not broken:
        return
    said = list(dict.fromkeys(map(str, broken)))  # a file may be in two folders or patterns of a list
    first = "".join(f"\n  {error}" for error in said[:SAID])
    more = f"\n  and {len(said) - SAID} more" if len(said) > SAID else ""
    entries = list(items)
    total = len({item if isinstance(item, Path) else id(item) for item in entries})
    if len(broken) == len(entries):
        raise ImageError(f"none of the {total} images can be read{first}{more}")
    log.warning("%d of %d images cannot be read and are left out:%s%s", len(said), total, first, more)


def _prepared(
    items: Iterable[Picture], settings: Input, batch: int, path: Path | None, scales: Sequence[Scale]
) -> Iterator[list[_Ready | _Broken]]:
    """Batches of pictures, decoded and resized ahead of their use; what is wrong with those that may be left out."""

    def sized(item: _Item) -> tuple[tuple[int, ...] | None, _Item]:
        try:
            return canvas(*size_of(item.picture), settings, scales), item
        except (ImageError, OSError):  # it is said when the picture is decoded
            return None, item

    def prepare(item: _Item) -> _Ready | _Broken:
        try:
            image = load(item.picture)
        except (ImageError, OSError) as error:
            if not item.optional:
                raise
            return _Broken(item.place, error)
        height, width = image.shape[:2]
        _check_input((height, width), settings, scales)
        resized = [resize(image, settings, scale=scale)[0] for scale in scales]
        if isinstance(item.picture, Path):
            return _Ready(item.place, (height, width), resized, item.picture, None)
        return _Ready(item.place, (height, width), resized, path, image)

    optional = items.optional if isinstance(items, Pictures) else repeat(False)
    entries = (_Item(place, *entry) for place, entry in enumerate(zip(items, optional, strict=False)))
    batches: Iterator[list[_Item]] = iter(lambda: list(islice(entries, batch)), [])
    with ThreadPoolExecutor(READERS) as pool:
        if isinstance(items, Pictures):  # frames of a video have one size, and those of a camera must not wait
            batches = of_one_canvas(chain.from_iterable(_ahead(pool, sized, batches)), batch, WINDOW * batch)
        yield from _ahead(pool, prepare, batches)


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[_Given], _Done], batches: Iterable[list[_Given]]
) -> Iterator[list[_Done]]:
    """What becomes of each batch, in order; the next ones are worked on meanwhile."""
    waiting: deque[list[Future[_Done]]] = deque()
    for batch in batches:
        waiting.append([pool.submit(work, item) for item in batch])
        if len(waiting) == AHEAD:
            yield [future.result() for future in waiting.popleft()]
    for futures in waiting:
        yield [future.result() for future in futures]


def _check_input(size: tuple[int, int], settings: Input, scales: Sequence[Scale]) -> None:
    """Raise ValueError where an image would become larger than any that is read."""
    for scale in scales:
        height, width = fit_input(*size, settings, scale)
        if (height, width) != size and height * width > MAX_PIXELS:
            raise ValueError(
                f"size: an image of {size[0]} x {size[1]} pixels would become {height} x {width}, more than "
                f"{MAX_PIXELS} pixels; choose a smaller size{' or scale' * (len(scales) > 1)}"
            )
