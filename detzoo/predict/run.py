"""`predict`: detections in pictures and videos, batch by batch."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from detzoo.arguments import count, fraction
from detzoo.data.resize import canvas_size, resize
from detzoo.detector import Detector, Input
from detzoo.evaluate.inference import detect_on_host, in_original_pixels
from detzoo.overwrite import ReadFiles
from detzoo.predict.chosen_classes import chosen_labels
from detzoo.predict.result import Result
from detzoo.predict.sources import Picture, file_of, frames, is_video, load, pictures
from detzoo.types import Detections

READERS = 2  # threads that decode and resize the next batches while the network runs


@dataclasses.dataclass(frozen=True, slots=True)
class _Ready:
    """One picture: its pixels and what the network takes."""

    image: NDArray[np.uint8]
    resized: Tensor  # uint8 [3, h, w]
    path: Path | None
    held: bool  # whether the result keeps the pixels: those of an image file can be read again


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """Which detections are returned."""

    threshold: float
    labels: list[int] | None  # None: of all classes

    def of(self, found: Detections) -> Detections:
        """Those of one image's detections."""
        keep = found.scores >= self.threshold
        if self.labels is not None:
            keep &= torch.isin(found.labels, torch.tensor(self.labels, dtype=found.labels.dtype))
        return found.pick(keep)


def predict(
    detector: Detector,
    source: Any,
    *,
    threshold: float = 0.05,
    batch: int = 4,
    progress: bool = False,
    classes: Any = None,
) -> list[Result] | Iterator[Result]:
    """Detect in pictures; see `detzoo.detector.Detector.predict`, which is the way to call it.

    Raises:
        FileNotFoundError: nothing is at the path or matches the pattern.
        ModuleNotFoundError: a video without OpenCV.
        ValueError: a file is no picture, an array is not uint8 (H, W, 3), ``threshold`` is not from 0 to 1,
            ``batch`` is not positive, or the detector must be given the boxes to look at.
    """
    threshold, batch = fraction("threshold", threshold), count("batch", batch)
    labels = None if classes is None else chosen_labels(classes, detector.classes)
    wanted = _Wanted(threshold, labels)
    if is_video(source):
        path = Path(source).expanduser()
        found = _stream(detector, frames(path), wanted, batch, ReadFiles([path]), path)
        return iter(track(found, f"Predicting {path.name}")) if progress else found
    items = pictures(source)
    results = _stream(detector, items, wanted, batch, ReadFiles(filter(None, map(file_of, items))))
    return list(track(results, "Predicting", total=len(items)) if progress else results)


def _stream(
    detector: Detector,
    items: Iterable[Picture],
    wanted: _Wanted,
    batch: int,
    read: ReadFiles,
    path: Path | None = None,
) -> Iterator[Result]:
    """One result per picture, in order."""
    for ready in _prepared(items, detector.config.input, batch, path):
        pixels, sizes = _padded([picture.resized for picture in ready], detector.config.input)
        found = detect_on_host(detector, pixels, sizes)
        for index, picture in enumerate(ready):
            height, width = picture.image.shape[:2]
            result = in_original_pixels(wanted.of(found[index]), picture.resized.shape[1:], (height, width))
            kept = picture.image if picture.held else None
            result = dataclasses.replace(result, classes=detector.classes, picture=kept, path=picture.path)
            yield Result(result, (height, width), read=read)


def _prepared(items: Iterable[Picture], settings: Input, batch: int, path: Path | None) -> Iterator[list[_Ready]]:
    """Batches of pictures, decoded and resized ahead of their use."""

    def prepare(item: Picture) -> _Ready:
        image = load(item)
        from_file = isinstance(item, Path)
        return _Ready(image, resize(image, settings)[0], path=item if from_file else path, held=not from_file)

    iterator = iter(items)
    waiting: deque[list[Future[_Ready]]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        while True:
            while len(waiting) < 2:
                chunk = [pool.submit(prepare, item) for item in islice(iterator, batch)]
                if not chunk:
                    break
                waiting.append(chunk)
            if not waiting:
                return
            yield [future.result() for future in waiting.popleft()]


def _padded(images: list[Tensor], settings: Input) -> tuple[Tensor, Tensor]:
    """Pixels ``[N, 3, H, W]`` of images ``[3, h, w]`` padded to one canvas, and sizes."""
    sizes = torch.tensor([image.shape[1:] for image in images])
    height, width = canvas_size(sizes, settings)
    pixels = torch.zeros((len(images), 3, height, width), dtype=torch.uint8)
    for index, image in enumerate(images):
        pixels[index, :, : image.shape[1], : image.shape[2]] = image
    return pixels, sizes
