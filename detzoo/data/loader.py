"""Batches from worker processes, in an order that a resumed or a distributed run repeats exactly."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils import data as torch_data

from detzoo.data.canvases import canvases
from detzoo.data.class_maps import padded
from detzoo.data.dataset import Dataset, Sample
from detzoo.data.images import ImageError
from detzoo.data.order import evaluation_batches, training_batches
from detzoo.data.problems import DataError, log
from detzoo.data.resize import Picture, Resized, canvas_size, draw, fit_input, resize_picture
from detzoo.detector import Input
from detzoo.tta import Scale
from detzoo.types import Batch, Targets

Key = tuple[int, int, int, int]  # image, seed, epoch, place in the epoch: all that a sample depends on


class Loader:
    """Iterating yields the `Batch`es of one epoch of one device; see `make_loader`."""

    def __init__(
        self,
        dataset: Dataset,
        batch: int,
        train: bool,
        workers: int,
        seed: int,
        rank: int,
        world: int,
        scales: Sequence[Scale],
    ) -> None:
        self.dataset = dataset
        self._keys = _Keys(dataset, batch, train, seed, rank, world, scales)
        self._loader = torch_data.DataLoader(
            _Keyed(dataset),
            batch_sampler=self._keys,
            num_workers=workers,
            collate_fn=_Collate(dataset.input, scales),
            pin_memory=torch.cuda.is_available(),
            persistent_workers=train and workers > 0,
            worker_init_fn=_ignore_signals,
            generator=torch.Generator(),  # its own, or else every epoch would draw from the training's random numbers
        )

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose what the next iteration yields: epoch ``epoch``, from its batch ``start`` on."""
        self._keys.epoch, self._keys.start = epoch, start

    def __len__(self) -> int:
        """Batches of a whole epoch on this device."""
        return self._keys.total

    @property
    def images(self) -> int:
        """Images of a whole epoch on this device."""
        return self._keys.images

    def __iter__(self) -> Iterator[Batch]:
        with torch.device("cpu"):  # where torch's loader makes its numbers, whatever the program's default is
            batches: Iterator[Batch | _Broken] = iter(self._loader)
        with _Watch(batches, self.dataset.data.worker_timeout) as watch:
            while (item := watch.wait()) is not None:
                if isinstance(item, _Broken):
                    raise item.error
                yield item


def make_loader(
    dataset: Dataset,
    batch: int,
    *,
    train: bool,
    workers: int,
    seed: int = 0,
    rank: int = 0,
    world: int = 1,
    scales: Sequence[Scale] = (),
) -> Loader:
    """Load a data set in batches.

    In training the order and each sample's variation depend only on ``seed``, the epoch (`Loader.set_epoch`) and the
    place in it: not on the number of workers, and ``world`` devices with ``batch`` images see together what one
    device with ``batch * world`` sees. Every image occurs ``data.repeat`` times an epoch, or more often where
    ``data.oversample`` says so; the last batch is filled up from the epoch's first images. In evaluation all devices
    together see each image once, and the images of a batch have one canvas: what is computed of an image does not
    depend on the others.

    Args:
        dataset: from `detzoo.data.dataset.open_dataset`.
        batch: images per batch and device.
        train: shuffle, vary and repeat.
        workers: processes that load images; 0: this one.
        seed: of order and variation.
        rank: number of this device.
        world: number of devices.
        scales: in evaluation the images come in these, too, as `Batch.views`, and those of a batch have one canvas in
            each of them.

    Raises:
        ValueError: ``batch``, ``workers``, ``rank`` or ``world`` is out of range, or the data set is empty.
    """
    if batch < 1 or workers < 0 or not 0 <= rank < world:
        raise ValueError(
            f"batch={batch}, workers={workers}, rank={rank}, world={world}: batch and world start at 1, "
            "workers at 0, and rank is below world"
        )
    if not len(dataset):
        raise ValueError("the data set has no images")
    return Loader(dataset, batch, train, workers, seed, rank, world, scales)


def _ignore_signals(worker: int) -> None:
    """Ctrl-C and a closed terminal reach every process: the main one decides, and may want its next batch first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):  # not on Windows
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


class _Watch:
    """Ends loader processes that deliver nothing for a time: a thread, as the wait for a tensor knows no time limit.

    The time passes in parts: when the whole program was stopped (Ctrl-Z) for an hour, only one of them is over.
    """

    PARTS = 10

    def __init__(self, batches: Iterator[Any], seconds: float) -> None:
        self._batches, self._seconds = batches, seconds
        self._workers = getattr(batches, "_workers", ())
        self._waiting: object = None  # another object for each wait; None: nobody waits
        self._ended = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        if self._workers:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._workers:
            self._thread.join()

    def wait(self) -> Batch | _Broken | None:
        """The next item, or None after the last.

        Raises:
            TimeoutError: it has not come in time.
        """
        self._waiting = object()
        try:
            return next(self._batches, None)
        except KeyboardInterrupt:
            self._end()  # or else Python would wait for a stopped one when it ends
            raise
        except Exception:
            if not self._ended:
                raise
            raise TimeoutError(
                f"the processes that load images have delivered nothing for {self._seconds:g} seconds: they are "
                "stopped, or the storage does not answer; data.worker_timeout is how long they may take, and with "
                "data.workers=0 images are loaded without them"
            ) from None
        finally:
            self._waiting = None

    def _look(self) -> None:
        seen, passed = None, 0
        while not self._over.wait(self._seconds / self.PARTS):
            now = self._waiting
            passed = passed + 1 if now is seen else 0
            seen = now
            if now is not None and passed == self.PARTS:
                self._ended = True
                self._end()

    def _end(self) -> None:
        for worker in self._workers:
            if worker.is_alive():
                worker.terminate()
                if hasattr(signal, "SIGCONT"):  # a stopped process gets no other signal
                    os.kill(worker.pid, signal.SIGCONT)


class _Keys:
    """The keys of each batch; holds no more than an epoch's order."""

    def __init__(
        self, dataset: Dataset, batch: int, train: bool, seed: int, rank: int, world: int, scales: Sequence[Scale]
    ) -> None:
        self.batch, self.train = batch, train
        self.seed, self.rank, self.world = seed, rank, world
        self.epoch = self.start = 0
        if train:
            self.repeat = dataset.data.repeat
            self.drawn = np.repeat(np.arange(len(dataset)), dataset.repeats())  # what one pass shuffles
            self.wide = dataset.aspect[self.drawn] >= 1 if dataset.data.group_by_aspect else None
            self.total = -(-len(self.drawn) * self.repeat // (batch * world))
            self.images = self.total * batch
        else:
            found = canvases(dataset.annotations.sizes[dataset.indices], dataset.input, (1.0, *scales))
            self.evaluated = evaluation_batches(found, batch, rank, world)
            self.total, self.images = len(self.evaluated), sum(map(len, self.evaluated))

    def __len__(self) -> int:
        return self.total - self.start

    def __iter__(self) -> Iterator[list[Key]]:
        if not self.train:
            for images in self.evaluated[self.start :]:
                yield [(image, self.seed, 0, image) for image in images]
            return
        size = self.batch * self.world
        order = np.random.default_rng((self.seed, self.epoch))
        batches = self.drawn[training_batches(len(self.drawn), size, order, self.repeat, self.wide)]
        epoch, first = self.epoch, self.rank * self.batch
        for number in range(self.start, len(batches)):
            mine = batches[number, first : first + self.batch]
            place = number * size + first
            yield [(int(image), self.seed, epoch, place + offset) for offset, image in enumerate(mine)]


@dataclass(frozen=True, slots=True)
class _Broken:
    """In place of an image that cannot be read, or of its batch.

    An error that crosses from a worker process would come wrapped in the traceback of that process.
    """

    error: Exception


class _Keyed(torch_data.Dataset[Sample | _Broken]):
    """A data set whose index says with which random numbers to vary the image."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, key: Key) -> Sample | _Broken:
        image, seed, epoch, place = key
        others = len(self.dataset) if self.dataset.augment and self.dataset.data.skip_broken else 1
        broken = None
        for number in range(image, image + others):
            try:
                # the 1 keeps these apart from the numbers that draw the order
                rng = np.random.default_rng((seed, epoch, place, 1))
                return self.dataset.sample(number % len(self.dataset), rng, epoch)
            except DataError as error:  # what the program gives is broken, and so is what comes next
                return _Broken(error)
            except (ImageError, OSError) as error:
                broken = broken or _Broken(error)
                if others > 1:
                    log.warning("%s; the next image is taken in its place, as data.skip_broken says", error)
        assert broken is not None
        return broken


class _Collate:
    """Pads samples to one canvas, as the input settings have it."""

    def __init__(self, settings: Input, scales: Sequence[Scale] = ()) -> None:
        self.settings, self.scales = settings, scales

    def __call__(self, answers: Sequence[Sample | _Broken]) -> Batch | _Broken:
        samples = []
        for answer in answers:
            if isinstance(answer, _Broken):
                return answer
            samples.append(answer)
        pixels, sizes = self._drawn([sample.picture for sample in samples])
        height, width = pixels.shape[2:]
        targets = []
        for sample in samples:
            target = dict(sample.target)
            if "masks" in target:
                target["masks"] = replace(target["masks"], canvas=(height, width))
            if "semantic" in target:
                target["semantic"] = padded(target["semantic"], (height, width))
            targets.append(target)
        return Batch(
            pixels=pixels,
            sizes=sizes,
            targets=Targets.pack(targets),
            ids=[sample.id for sample in samples],
            original_sizes=torch.tensor([sample.original_size for sample in samples], device="cpu"),
            paths=[sample.path for sample in samples],
            views=tuple(self._drawn([self._scaled(sample, scale) for sample in samples]) for scale in self.scales),
        )

    def _drawn(self, pictures: Sequence[Picture]) -> tuple[Tensor, Tensor]:
        """Pixels ``[N, 3, H, W]`` on one canvas, and sizes ``[N, 2]``."""
        sizes = torch.tensor([picture.shape[:2] for picture in pictures], device="cpu")
        height, width = canvas_size(sizes, self.settings)
        pixels = torch.empty((len(pictures), 3, height, width), dtype=torch.uint8, device="cpu")
        for picture, canvas in zip(pictures, pixels, strict=True):
            draw(picture, canvas)
        return pixels, sizes

    def _scaled(self, sample: Sample, scale: Scale) -> Picture:
        """A picture that is not varied, at another scale: resized from the file, not from what was made of it."""
        picture = sample.picture.image if isinstance(sample.picture, Resized) else sample.picture
        size = fit_input(*sample.original_size, self.settings, scale)
        return resize_picture(picture, *size, self.settings.interpolation)
