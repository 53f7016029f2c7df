"""Class maps: the class of every pixel, things and stuff, for methods with a semantic branch.

A map is a picture of one 8-bit number per pixel, a PNG of its image's name and size; 255 where nothing is known. COCO's
are the ``stuffthingmaps`` (arXiv:1612.03716). Heads compare them at an eighth of the network's input, so that is what
leaves the loader: one pixel in 64, taken from the file as nearest neighbours are, and never the map in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detzoo.config import ConfigError
from detzoo.data import shapes
from detzoo.data.annotations import Annotations, Strings
from detzoo.data.images import ImageError, read_numbers
from detzoo.data.problems import DataError
from detzoo.data.read import SplitName
from detzoo.recipes.settings import Data

EVERY = 8  # pixels of the network's input from one that is delivered to the next, both ways
UNKNOWN = 255


class ClassMaps(Protocol):
    """Where a data set's class maps come from."""

    def of(self, image: int) -> NDArray[np.uint8]:
        """The map ``(H, W)`` of the image in row ``image`` of the annotations, of its file's size."""
        ...


def open_class_maps(data: Data, split: SplitName, annotations: Annotations, images: NDArray[np.int64]) -> ClassMaps:
    """The class maps of a split; those of generated images are made. Validation without maps knows nothing.

    Args:
        data: the settings.
        split: ``train`` or ``val``.
        annotations: of the whole split.
        images: int64 ``[I]``, rows of the annotations that are used.

    Raises:
        ConfigError: a training part names no folder.
        FileNotFoundError: a folder is not there.
        DataError: an image has no map.
    """
    if data.kind == "shapes":
        return Drawn(annotations)
    parts = data.parts(split)
    if all(part.semantic for part in parts):
        folders = list(dict.fromkeys(Path(data.root) / part.semantic for part in parts))
        return FromFiles(annotations, folders, images)
    if split == "val":
        return Unknown(annotations)
    raise ConfigError(
        f"this method learns a class map of every image, but data.{split} names no folder of them in `semantic`: for "
        "COCO, unpack stuffthingmaps_trainval2017.zip into data.root and set it to stuffthingmaps/train2017; "
        "model.semantic_head=null does without"
    )


class FromFiles:
    """Maps in folders, found by the names of their images."""

    def __init__(self, annotations: Annotations, folders: Sequence[Path], images: NDArray[np.int64]) -> None:
        self.annotations = annotations
        listed = [_listed(folder) for folder in folders]
        there = {name: path for maps in listed for name, path in maps.items()}
        twice = {name for name, count in Counter(name for maps in listed for name in maps).items() if count > 1}
        found = [""] * len(annotations)
        missing = []
        for image in images.tolist():
            parts = Path(annotations.files[image]).with_suffix("").parts
            # below its folder a map lies as its image does below another: the longest end of the path that fits
            names = ("/".join(parts[start:]) for start in range(len(parts)))
            name = next((name for name in names if name in there), "")
            if name in twice:
                raise DataError(
                    f"{', '.join(map(str, folders))}: more than one folder has a class map {name}.png, and which is of "
                    f"{annotations.files[image]} is not known; give the folder above them, or other names"
                )
            found[image] = there.get(name, "")
            if not found[image]:
                missing.append(annotations.files[image])
        if missing:
            raise DataError(
                f"{', '.join(map(str, folders))}: {len(missing)} of {len(images)} images have no class map, for "
                f"example {missing[0]}; a map is called as its image is, with .png at the end"
            )
        self.paths = Strings(found)

    def of(self, image: int) -> NDArray[np.uint8]:
        """As `ClassMaps.of`.

        Raises:
            ImageError: the file cannot be read, is no such map, or has another size than the image.
        """
        path = self.paths[image]
        numbers = read_numbers(path)
        size = tuple(self.annotations.sizes[image].tolist())
        if numbers.shape != size:
            raise ImageError(
                f"{path} has {' x '.join(map(str, numbers.shape))} pixels (height x width), but its image "
                f"{self.annotations.files[image]} {size[0]} x {size[1]}"
            )
        return numbers


class Drawn:
    """Maps of generated images: 0 for the ground, then the shapes."""

    def __init__(self, annotations: Annotations) -> None:
        self.annotations = annotations

    def of(self, image: int) -> NDArray[np.uint8]:
        """As `ClassMaps.of`."""
        return shapes.class_map(self.annotations.files[image])


class Unknown:
    """In place of maps that there are none of."""

    def __init__(self, annotations: Annotations) -> None:
        self.annotations = annotations

    def of(self, image: int) -> NDArray[np.uint8]:
        """As `ClassMaps.of`: 255 everywhere."""
        return np.full(self.annotations.sizes[image], UNKNOWN, dtype=np.uint8)


def thinned(numbers: NDArray[np.uint8], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Tensor:
    """A file's map as training sees it, stretched, cut, moved and flipped, and of that every `EVERY`-th pixel.

    Args:
        numbers: ``(H, W)`` of the file.
        rows: int64 ``(h,)``, the row of the file that each row of the result shows; -1: none.
        columns: int64 ``(w,)``, likewise.

    Returns:
        uint8 ``(ceil(h / 8), ceil(w / 8))``.
    """
    y, x = rows[::EVERY], columns[::EVERY]
    return torch.from_numpy(np.where((y < 0)[:, None] | (x < 0), np.uint8(UNKNOWN), numbers[y[:, None], x]))


def padded(cells: Tensor, canvas: tuple[int, int]) -> Tensor:
    """What `thinned` gave, on a canvas of that height and width in pixels: uint8 ``(ceil(H / 8), ceil(W / 8))``."""
    height, width = (-(-edge // EVERY) for edge in canvas)
    out = cells.new_full((height, width), UNKNOWN)
    out[: cells.shape[0], : cells.shape[1]] = cells
    return out


def _listed(folder: Path) -> dict[str, str]:
    """Path of each map in a folder by its place below it, without suffix."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of class maps {folder}, which `semantic` of the data's part names")
    return {path.relative_to(folder).with_suffix("").as_posix(): str(path) for path in folder.rglob("*.png")}
