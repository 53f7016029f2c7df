"""Images with their objects, one at a time: decoded, resized or varied, still uint8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import data as torch_data

from detzoo.config import ConfigError
from detzoo.data import masks, shapes
from detzoo.data.annotations import NO_MASK, Annotations, concatenate
from detzoo.data.augment import View, augment, mixed, to_input, whole
from detzoo.data.class_maps import ClassMaps, open_class_maps, thinned
from detzoo.data.images import read_image
from detzoo.data.order import repeat_factors
from detzoo.data.own import OwnData, own_half
from detzoo.data.problems import DataError, log
from detzoo.data.proposals import Proposals, open_proposals
from detzoo.data.read import SplitName, read_split
from detzoo.data.resize import Picture, pixels_of, to_tensor
from detzoo.data.vary import Vary, vary
from detzoo.detector import Input
from detzoo.recipes.augment import Mixup, refuse_unbuilt
from detzoo.recipes.settings import Data


@dataclass(frozen=True, slots=True)
class Sample:
    """One image, resized and not yet padded.

    Attributes:
        picture: the image; `pixels` are made of it when they are asked for.
        target: what `Targets.pack` takes: ``boxes`` (M, 4) xyxy in pixels of ``pixels``, ``labels`` (M,), ``ignore``
            (M,), ``masks``, M `MaskWindows` on a canvas of ``(h, w)``, if the data is read with masks,
            ``proposals`` (P, 4) if it is read with them, and ``semantic``, as `thinned` gives it, likewise; ``shares``
            (M,) of objects of two pictures that were mixed.
        id: the data set's id of the image.
        path: the file, or the name of a generated image.
        original_size: height and width of the file.
    """

    picture: Picture
    target: dict[str, Any]
    id: int | str
    path: str
    original_size: tuple[int, int]

    @property
    def pixels(self) -> Tensor:
        """uint8 ``(3, h, w)`` RGB."""
        return to_tensor(pixels_of(self.picture))


class Dataset(torch_data.Dataset[Sample]):
    """The images of a split that are used, in the order of the annotations.

    Attributes:
        annotations: all images and objects of the split.
        indices: int64 ``[len]``, the row in ``annotations`` of each image that is used.
        delivered: bool ``[M]``, objects that appear in a sample's target; others are narrower than ``data.min_box``.
        ignored: bool ``[M]``, objects that appear there as ``ignore``: crowds, difficult ones, and with masks those
            that have none.
        data: the settings it was opened with.
        input: the detector's input settings.
        augment: whether samples vary.
        proposals: where the boxes come from that samples carry beside the objects, or None.
        class_maps: where the class maps come from that samples carry, or None.
        own: where the pictures come from that are the program's own, or None.
        steps: the program's callables that vary a picture before ``data.augment`` does; see `detzoo.data.vary`.
    """

    proposals: Proposals | None = None
    class_maps: ClassMaps | None = None
    own: OwnData | None = None
    steps: tuple[Vary, ...] = ()

    def __init__(self, annotations: Annotations, data: Data, input: Input, augment: bool) -> None:
        self.annotations = annotations
        self.data, self.input, self.augment = data, input, augment
        self.delivered: NDArray[np.bool_] = np.ones(len(annotations.boxes), dtype=bool)
        self.ignored: NDArray[np.bool_] = annotations.crowd | annotations.ignore
        if data.masks:
            self.ignored = self.ignored | (annotations.mask_kind == NO_MASK)
        self.indices = np.arange(len(annotations))
        if augment:
            self._choose()

    def _choose(self) -> None:
        """Leave out objects too small to learn, and images without any other."""
        boxes, least = self.annotations.boxes, self.data.min_box
        self.delivered = np.all(boxes[:, 2:] - boxes[:, :2] >= least, axis=1)
        if self.data.keep_empty:
            return
        learned = self.annotations.image_of()[self.delivered & ~self.ignored]
        self.indices = np.flatnonzero(np.bincount(learned, minlength=len(self.annotations)))
        if not len(self.indices):
            raise DataError(
                f"no image in {self.data.root} has an object to learn: of {len(boxes)} objects "
                f"{int(self.ignored.sum())} are ignored and {int((~self.delivered).sum())} are narrower than "
                f"data.min_box={least:g} pixels; check data.classes, or set data.keep_empty=true"
            )
        left_out = len(self.annotations) - len(self.indices)
        if left_out:
            log.info("%d of %d images have no object to learn and are left out", left_out, len(self.annotations))

    def repeats(self) -> NDArray[np.int64]:
        """How often each used image comes in one pass over them, int64 ``[len]``, as ``data.oversample`` says."""
        learned = self.delivered & ~self.ignored
        image, labels = self.annotations.image_of()[learned], self.annotations.labels[learned]
        place = np.full(len(self.annotations), -1)
        place[self.indices] = np.arange(len(self))
        used = place[image] >= 0
        return repeat_factors(place[image[used]], labels[used], len(self), len(self.classes), self.data.oversample)

    def leave_out(self, positions: Iterable[int]) -> None:
        """Do without the images at these positions, 0 to ``len(self) - 1``.

        Raises:
            DataError: no other is left.
        """
        self.indices = np.delete(self.indices, list(positions))
        if not len(self.indices):
            raise DataError(f"every image in {self.data.root} would be left out")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.annotations.classes

    @property
    def aspect(self) -> NDArray[np.float32]:
        """Width over height of each used image, float32 ``[len]``."""
        sizes = self.annotations.sizes[self.indices].astype(np.float32)
        return sizes[:, 1] / sizes[:, 0]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        """Image ``index``; where samples vary, always the same variation. The loader calls `sample` instead.

        Raises:
            IndexError: there is no such image.
            ImageError: its file cannot be read.
        """
        index = range(len(self))[index]
        return self.sample(index, np.random.default_rng((self._SINGLE, index)))

    _SINGLE = 0x5EED

    def sample(self, index: int, rng: np.random.Generator, epoch: int = 0) -> Sample:
        """Image ``index``, varied by what ``rng`` draws.

        Raises:
            FileNotFoundError, ImageError: its file is gone or cannot be read.
        """
        image = int(self.indices[index])
        view, annotations, rows, path = self._whole(image, rng)
        size, shares = view.size, None
        if self.augment:
            mixup = next(iter(self.data.augment), None)
            if isinstance(mixup, Mixup) and (mixup.epochs is None or epoch < mixup.epochs):
                view, annotations, rows, shares = self._mixed(view, annotations, rows, mixup, rng)
            view = augment(view, self.data.augment, self.data, self.input, rng)
        else:
            view = to_input(view, self.input)
        target = self._target(view, image, annotations, rows[view.objects], size)
        if shares is not None:
            target["shares"] = torch.from_numpy(shares[view.objects].astype(np.float32))
        return Sample(
            picture=view.picture,
            target=target,
            id=self.annotations.image_id(image),
            path=path,
            original_size=size,
        )

    def original(self, image: int) -> NDArray[np.uint8]:
        """The picture at a row of ``annotations``, uint8 RGB ``[H, W, 3]``, as its file has it.

        Raises:
            FileNotFoundError, ImageError: its file is gone or cannot be read.
        """
        return self._read(image)[0]

    def _whole(self, image: int, rng: np.random.Generator) -> tuple[View, Annotations, NDArray[np.int64], str]:
        """An image as it is, or as the program varies it, its objects by annotations and rows, and its path."""
        span = self.annotations.rows(image)
        rows = np.arange(span.start, span.stop)[self.delivered[span]]
        picture, path = self._read(image)
        given = None if self.proposals is None else self.proposals.of(image)
        annotations, ignored = self.annotations, self.ignored[rows]
        if self.augment and self.steps:
            masks = self.data.masks
            picture, annotations = vary(self.steps, picture, annotations, rows.tolist(), ignored, masks, rng, path)
            rows, ignored = np.arange(len(annotations.boxes)), annotations.ignore
        return whole(picture, annotations.boxes[rows], ignored, given), annotations, rows, path

    def _mixed(
        self, view: View, annotations: Annotations, rows: NDArray[np.int64], step: Mixup, rng: np.random.Generator
    ) -> tuple[View, Annotations, NDArray[np.int64], NDArray[np.float64]]:
        """A view mixed with another image, the objects of both by annotations and rows, and what each object counts."""
        share = float(rng.beta(step.beta, step.beta))
        other, more, others, _ = self._whole(int(self.indices[rng.integers(len(self))]), rng)
        shares = np.repeat([share, 1 - share], [len(rows), len(others)])
        if more is not annotations:  # each varied picture has its own
            others, annotations = others + len(annotations.boxes), concatenate([annotations, more])
        return mixed(view, other, share), annotations, np.concatenate([rows, others]), shares

    def _read(self, image: int) -> tuple[NDArray[np.uint8], str]:
        name = self.annotations.files[image]
        if self.data.kind == "shapes":
            return shapes.picture(name), name
        if self.own is not None:
            return self.own.read(name), name
        height, width = self.annotations.sizes[image].tolist()
        path = Path(self.data.root) / name
        return read_image(path, (height, width), spare=True), str(path)

    def _target(
        self, view: View, image: int, annotations: Annotations, rows: NDArray[np.int64], size: tuple[int, int]
    ) -> dict[str, Any]:
        """Targets of the objects at ``rows`` of ``annotations``, of an image of that size before it was resized."""
        target: dict[str, Any] = {
            "boxes": torch.from_numpy(view.boxes.astype(np.float32)),
            "labels": torch.from_numpy(annotations.labels[rows].astype(np.int64)),
            "ignore": torch.from_numpy(~view.learned),
        }
        if self.data.masks:
            target["masks"] = masks.drawn(annotations, rows.tolist(), size, view.rows, view.columns)
        if self.proposals is not None:
            target["proposals"] = torch.from_numpy(view.proposals.astype(np.float32))
        if self.class_maps is not None:
            target["semantic"] = thinned(self.class_maps.of(image), view.rows, view.columns)
        return target


def open_dataset(
    data: Data,
    split: SplitName,
    input: Input,
    augment: bool,
    strict: bool = True,
    proposals: bool = False,
    class_maps: bool = False,
    steps: Sequence[Vary] = (),
) -> Dataset:
    """Read a split's annotations.

    Args:
        data: the settings, for example from `detzoo.data.source.as_data`.
        split: ``train`` or ``val``.
        input: the detector's input settings.
        augment: vary the images by ``data.augment``, and leave out tiny objects and images without objects, as the
            settings say. Without it every image and object is delivered as it is.
        strict: as in `detzoo.data.read.read_split`.
        proposals: deliver proposals too; see `detzoo.data.proposals`.
        class_maps: deliver class maps too; see `detzoo.data.class_maps`.
        steps: the program's callables that vary a picture before ``data.augment`` does; see `detzoo.data.vary`.

    Raises:
        ConfigError: the split has no parts, no proposals or no class maps, a class is unknown, or images are to be
            varied by what is not built.
        FileNotFoundError: a file or folder is missing.
        DataError: a file is broken, or nothing is left to learn from.
    """
    if augment:
        refuse_unbuilt(data.augment)
        if data.augment and isinstance(data.augment[0], Mixup) and (proposals or class_maps):
            raise ConfigError("mixup mixes neither proposals nor class maps: leave it out of data.augment")
    if steps and (proposals or class_maps):
        raise ConfigError(
            "augment: this method also learns from a class map or from given boxes of each picture, which callables of "
            "the program's own would not move along; data.augment has steps that do"
        )
    dataset = Dataset(read_split(data, split, strict), data, input, augment)
    dataset.steps = tuple(steps)
    if data.kind == "own":
        dataset.own = own_half(data, split)
    if proposals:
        dataset.proposals = open_proposals(data, split, dataset.annotations, dataset.indices)
    if class_maps:
        dataset.class_maps = open_class_maps(data, split, dataset.annotations, dataset.indices)
    return dataset
