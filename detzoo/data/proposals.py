"""Proposals: boxes that one detector found and another is given, by image.

A proposal file is a safetensors file with one float32 tensor ``[P, 5]`` per image, named by the image's id: x1, y1, x2,
y2 in pixels of the image file, and the score, best first. It is mapped, not read: a training set's can take gigabytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from detzoo.atomic import write_atomically
from detzoo.config import ConfigError
from detzoo.data.annotations import Annotations
from detzoo.data.problems import DataError
from detzoo.data.read import SplitName
from detzoo.recipes.settings import Data

_PER_OBJECT, _ANYWHERE = 6, 30  # made-up proposals of an image


class Proposals(Protocol):
    """Where a data set's proposals come from."""

    def of(self, image: int) -> NDArray[np.float32]:
        """Boxes ``[P, 4]`` of the image in row ``image`` of the annotations, xyxy pixels of its file, best first."""
        ...


def write_proposals(path: str | Path, found: Mapping[Any, NDArray[np.float32]]) -> Path:
    """Write a proposal file of ``[P, 5]`` by image id; atomic.

    Raises:
        OSError: the file cannot be written; what was there is unchanged.
    """
    tensors = {str(image): np.ascontiguousarray(some, dtype=np.float32) for image, some in found.items()}
    return write_atomically(path, lambda file: save_file(tensors, file))


def open_proposals(data: Data, split: SplitName, annotations: Annotations, images: NDArray[np.int64]) -> Proposals:
    """The proposals of a split; for generated images they are made up.

    Args:
        data: the settings.
        split: ``train`` or ``val``.
        annotations: of the whole split.
        images: int64 ``[I]``, rows of the annotations that are used.

    Raises:
        ConfigError: a part of the split names no file.
        FileNotFoundError: a file is not there.
        DataError: a file is damaged, or lacks an image.
    """
    if data.kind == "shapes":
        return MadeUp(annotations)
    parts = data.parts(split)
    if not all(part.proposals for part in parts):
        raise ConfigError(
            f"this method is given its boxes, but data.{split} names no file of them in `proposals`; "
            "evaluate(rpn, data, proposals=FILE) with a region proposal network writes one"
        )
    found = FromFiles(annotations, list(dict.fromkeys(Path(data.root) / part.proposals for part in parts)))
    found.check(images)
    return found


class FromFiles:
    """Proposals from one file or several."""

    def __init__(self, annotations: Annotations, paths: Sequence[Path]) -> None:
        self.annotations, self.paths = annotations, paths
        self.files = [_opened(path) for path in paths]
        self.place: dict[str, int] = {}  # which file has an image
        for number, file in enumerate(self.files):
            for image in file.keys():  # noqa: SIM118 (not a mapping)
                if image in self.place:
                    raise DataError(f"{paths[self.place[image]]} and {paths[number]} both have image {image}")
                self.place[image] = number

    def check(self, images: NDArray[np.int64]) -> None:
        """Refuse rows of the annotations that no file has; an image without any proposal has an empty tensor."""
        names = [str(self.annotations.image_id(int(image))) for image in images]
        missing = [name for name in names if name not in self.place]
        if missing:
            files = ", ".join(map(str, self.paths))
            raise DataError(f"{files}: {len(missing)} of {len(names)} images are missing, for example {missing[0]}")

    def of(self, image: int) -> NDArray[np.float32]:
        """As `Proposals.of`.

        Raises:
            DataError: the tensor is not ``[P, 5]``.
        """
        name = str(self.annotations.image_id(image))
        found = self.files[self.place[name]].get_tensor(name)
        if found.ndim != 2 or found.shape[1] != 5:
            raise DataError(f"{self.paths[self.place[name]]}: image {name} has {list(found.shape)} numbers, not [P, 5]")
        return found[:, :4].astype(np.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.annotations, self.paths)  # another process maps the files itself


class MadeUp:
    """Proposals of generated images: the objects' boxes moved about, and random boxes; always the same."""

    def __init__(self, annotations: Annotations) -> None:
        self.annotations = annotations

    def of(self, image: int) -> NDArray[np.float32]:
        """As `Proposals.of`; in no order."""
        rng = np.random.default_rng((image, 0xB0C5))
        objects = self.annotations.boxes[self.annotations.rows(image)]
        near = np.repeat(objects, _PER_OBJECT, axis=0)
        near = near + rng.normal(0, 0.12, near.shape) * np.tile(near[:, 2:] - near[:, :2], 2)
        limit = np.tile(self.annotations.sizes[image][::-1], 2)
        corners = rng.uniform(0, 1, (_ANYWHERE, 2, 2)) * limit[:2]
        anywhere = np.concatenate([corners.min(1), corners.max(1)], 1)
        return np.concatenate([near, anywhere]).clip(0, limit).astype(np.float32)


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"there is no proposal file {path}")
    try:
        return safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise DataError(f"{path} is damaged or not a safetensors file ({error})") from None
