"""WIDER Face's own annotations: one text file for each half, with the faces of every picture in it."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detzoo.data.annotations import NO_MASK, Annotations, Columns, arrange
from detzoo.data.boxes import check_boxes
from detzoo.data.files import PICTURES, Files, has_suffix
from detzoo.data.image_sizes import image_sizes
from detzoo.data.problems import DataError, report
from detzoo.data.texts import read_lines

CLASSES = ("face",)
_INVALID = 7  # column of: x, y, w, h, blur, expression, illumination, invalid, occlusion, pose


@dataclass(slots=True)
class _Picture:
    """A picture of the file, its faces as ``x, y, w, h`` and whether they are invalid, with the lines they are on."""

    name: str
    stated: int | None = None
    boxes: list[list[float]] = field(default_factory=list)
    invalid: list[bool] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def read_wider_face(
    path: str | Path, root: str | Path = ".", images: str = "", skip_broken: bool = False
) -> Annotations:
    """Read one half of WIDER Face (arXiv:1511.06523) from its text file, or of other faces written in its way.

    A picture is a line with its path, a line with the number of its faces, and a line ``x y w h ...`` for each, in
    pixels from the left upper corner; where there is none, a line of zeros. Faces that the eighth number calls invalid
    are marked ``ignore``. What cannot be used is left out with one counted warning per kind.

    Args:
        path: the text file, such as ``wider_face_split/wider_face_train_bbx_gt.txt``.
        root: folder that `Annotations.files` are relative to.
        images: folder below ``root`` that the paths in the file start from, such as ``WIDER_train/images``.
        skip_broken: leave out images whose size cannot be read.

    Returns:
        Annotations of the one class ``face``, category 1. An image's id is its path in the file.

    Raises:
        FileNotFoundError: the file or folder is missing, or none of its pictures is there.
        DataError: the file is not of this form, or the size of a picture cannot be read; the message names line or
            pictures.
    """
    path, root = Path(path), Path(root)
    pictures = _read(path)
    counts = Counter(picture.name for picture in pictures)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise DataError(f"{path} has {len(twice)} pictures more than once, e.g. {twice[0]}")
    there = Files(root / images)
    places = [there.find(picture.name) for picture in pictures]
    missing = [picture.name for picture, place in zip(pictures, places, strict=True) if place is None]
    if len(missing) == len(pictures):
        raise FileNotFoundError(
            f"none of the {len(pictures)} pictures of {path} is in {there.folder}, e.g. {missing[0]}"
        )
    report(path, f"are not in {there.folder} and are left out", missing, len(pictures), "pictures")
    wrong = [one.name for one in pictures if one.stated is not None and one.stated != len(one.boxes)]
    report(
        path, "have another number of faces than is stated; all that are there count", wrong, len(pictures), "pictures"
    )
    kept = [(picture, os.path.join(images, place)) for picture, place in zip(pictures, places, strict=True) if place]
    sizes = image_sizes(path, root, [file for _, file in kept], [None] * len(kept), skip_broken)
    extents = [size for size in sizes if size is not None]
    kept = [one for one, size in zip(kept, sizes, strict=True) if size is not None]
    return _assemble(path, [one for one, _ in kept], [Path(file).as_posix() for _, file in kept], extents)


def _read(path: Path) -> list[_Picture]:
    """The pictures of the file in its order."""
    pictures: list[_Picture] = []
    for number, line in enumerate(read_lines(path), 1):
        if not line:
            continue
        if has_suffix(os.path.basename(line.replace("\\", "/")), PICTURES):
            pictures.append(_Picture(line))
            continue
        values = _values(line)
        if not pictures or values is None or not (len(values) == 1 or len(values) >= 4):
            wanted = "a picture" if not pictures else "a picture, a number of faces, or `x y w h ...`"
            raise DataError(f"{path}:{number}: {line[:80]!r} is not {wanted}")
        picture = pictures[-1]
        if len(values) == 1:
            if picture.stated is not None or picture.boxes or values[0] < 0 or values[0] != int(values[0]):
                raise DataError(f"{path}:{number}: {line[:80]!r} is not the number of faces of {picture.name}")
            picture.stated = int(values[0])
        elif picture.stated != 0 or any(values[:4]):  # in place of no face there is a line of zeros
            picture.boxes.append(values[:4])
            picture.invalid.append(len(values) > _INVALID and values[_INVALID] == 1)
            picture.lines.append(number)
    if not pictures:
        raise DataError(f"{path} lists no pictures")
    return pictures


def _values(line: str) -> list[float] | None:
    """The finite numbers of a line; None: it has something else."""
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None


def _assemble(path: Path, pictures: list[_Picture], files: list[str], sizes: list[tuple[int, int]]) -> Annotations:
    image = np.repeat(np.arange(len(pictures)), [len(picture.boxes) for picture in pictures])
    corners = np.array([box for picture in pictures for box in picture.boxes], dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    extents = np.array(sizes, dtype=np.int32).reshape(-1, 2)
    where = np.array([f"{path.name}:{line}" for picture in pictures for line in picture.lines], dtype=object)
    boxes, keep = check_boxes(path, corners, extents[image], where)
    count = len(boxes)
    columns = Columns(
        image=image,
        boxes=boxes,
        labels=np.zeros(count, dtype=np.int32),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        crowd=np.zeros(count, dtype=bool),
        ignore=np.array([invalid for picture in pictures for invalid in picture.invalid], dtype=bool),
        ids=np.arange(1, count + 1),
        mask_kind=np.full(count, NO_MASK, dtype=np.uint8),
        mask_lengths=np.zeros(count, dtype=np.int64),
        masks=np.zeros(0, dtype=np.uint8),
    )
    return arrange(columns, keep, CLASSES, (1,), [picture.name for picture in pictures], files, extents)
