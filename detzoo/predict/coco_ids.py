"""The ids under which a COCO annotation file knows images and classes, for results that are compared with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from detzoo.data.coco import listed_ids
from detzoo.data.file_names import alike, parts_of, slashes
from detzoo.data.images import ImageError, image_size
from detzoo.data.problems import DataError
from detzoo.predict.plain_values import category_numbers
from detzoo.predict.result import Result
from detzoo.user_path import user_path

Id: TypeAlias = int | str
SAID = 10  # names in a note


def numbered(paths: Iterable[Path]) -> dict[Path, Id]:
    """Image ids where the file names are numbers, as COCO's are: ``000000000139.jpg`` is 139; other images have none.

    Raises:
        ValueError: no name is a number, or two are the same one.
    """
    paths = list(paths)
    ids: dict[Path, Id] = {path: int(path.stem) for path in paths if path.stem.isascii() and path.stem.isdigit()}
    if not ids:
        raise ValueError(
            f"the image id of {paths[0]} is not known: give the annotation file that lists the images with --data"
        )
    _check_twice(ids)
    return ids


class CocoIds:
    """Image ids by file name and category ids by class name.

    Attributes:
        path: the annotation file.
        categories: id by class name.
        sizes: height and width by image id, where the file states them.
    """

    def __init__(self, path: str | Path) -> None:
        """Read them; masks and boxes of the file are not looked at.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: it is no COCO annotation file, or gives an id or a file name twice.
        """
        self.path = user_path(path)
        if self.path.is_dir():
            raise DataError(f"{self.path} is a folder: give the COCO annotation file itself")
        images, self.categories = listed_ids(self.path)
        self._first = images[0][0] if images else None
        self._written: dict[tuple[str, ...], list[Id]] = {}
        self._alike: dict[tuple[str, ...], list[Id]] = {}
        names: set[str] = set()
        self.sizes = {number: size for _, number, size in images if size is not None}
        for name, number, _ in images:
            name = os.path.normpath(slashes(name))
            if name in names:
                raise DataError(f"{self.path}: two images are called {name}")
            names.add(name)
            self._written.setdefault(tuple(parts_of(name)), []).append(number)
            self._alike.setdefault(alike(name), []).append(number)

    def images(self, paths: Iterable[Path]) -> dict[Path, Id]:
        """The id of each image whose path ends as the file names one, folders included; the longest such name counts.

        Capitals, percent signs, Unicode form and ``\\`` do not matter where one image and one name are meant.

        Raises:
            ValueError: no image is listed, or two are the same one.
        """
        paths = list(paths)
        exact: dict[Path, Id] = {}
        guessed: dict[Path, Id] = {}
        for path in paths:
            self._find(path, Path(os.path.abspath(path)).as_posix(), exact, guessed)
        claims = Counter([*exact.values(), *guessed.values()])
        ids = exact | {path: number for path, number in guessed.items() if claims[number] == 1}
        if not ids:
            other = f"; it has {self._first}, and folders before the name have to agree" if self._first else ""
            raise ValueError(f"{self.path} lists no image {paths[0]}{other}")
        _check_twice(ids)
        return ids

    def of_other_size(self, ids: Mapping[Path, Id]) -> list[Path]:
        """Which images are not of the size that the file states, so that boxes in one are none in the other."""
        return [
            path
            for path, number in ids.items()
            if (stated := self.sizes.get(number)) is not None and _size(path) not in (None, stated)
        ]

    def _find(self, path: Path, name: str, exact: dict[Path, Id], guessed: dict[Path, Id]) -> None:
        parts, keys = tuple(parts_of(name)), alike(name)
        for start in range(len(parts)):
            for listed, end, found in ((self._written, parts, exact), (self._alike, keys, guessed)):
                numbers = listed.get(end[start:], ())
                if numbers:
                    if len(numbers) == 1:
                        found[path] = numbers[0]
                    return


class CocoTable:
    """The results of a run as a COCO results file has them.

    Attributes:
        entries: what `add` has gathered.
    """

    def __init__(self, images: Sequence[Path], annotations: str | Path | None) -> None:
        """Find the id of every image.

        Args:
            images: every file that is predicted on.
            annotations: the COCO file that lists them; None: their names are their numbers.

        Raises:
            ValueError: the id of no image is known, two have the same, or there are no image files.
            FileNotFoundError: there is no annotation file.
            DataError: it is none.
        """
        if not images:
            raise ValueError("a COCO results file is about image files: frames of a video have no ids")
        self._known = None if annotations is None else CocoIds(annotations)
        self._ids = numbered(images) if self._known is None else self._known.images(images)
        self._of_other_size = [] if self._known is None else self._known.of_other_size(self._ids)
        for path in self._of_other_size:
            del self._ids[path]
        if not self._ids:
            raise ValueError(f"{self._of_other_size[0]} and all others have {self._other_size()}")
        self._images = images
        self.entries: list[dict[str, Any]] = []

    def notes(self, classes: Sequence[str]) -> list[str]:
        """What a reader of the results should know: which images and which of the ``classes`` have no id.

        Raises:
            ValueError: none of them is in the annotation file.
        """
        notes = self._left_out()
        if self._known is None:
            if category_numbers(classes) is None:
                notes.append("the category ids of these classes are not known: the results have their numbers from 0")
            return notes
        missing = [name for name in classes if name not in self._known.categories]
        if len(missing) == len(classes):
            raise ValueError(f"{self._known.path} has none of the detector's classes: {', '.join(missing[:5])}")
        if missing:
            are = "is" if len(missing) == 1 else "are"
            notes.append(f"{_some(missing)} {are} not in {self._known.path}, nor in the results")
        return notes

    def _left_out(self) -> list[str]:
        known = {*self._ids, *self._of_other_size}
        missing = [path for path in self._images if path not in known]
        why = "their names are no numbers" if self._known is None else f"{self._known.path} does not list them plainly"
        return [
            f"{len(paths)} of {len(self._images)} images are not in the COCO results, as {reason}: "
            + _some([str(path) for path in paths])
            for paths, reason in ((missing, why), (self._of_other_size, f"they have {self._other_size()}"))
            if paths
        ]

    def _other_size(self) -> str:
        path = None if self._known is None else self._known.path
        return (
            f"another size than {path} states: they were changed, or annotated before the turn of their EXIF "
            "orientation (as `detzoo evaluate --results` takes them)"
        )

    def add(self, result: Result) -> None:
        """Take what was found in one image."""
        path = result.path
        if path not in self._ids:
            return
        if self._known is not None:
            known = [name in self._known.categories for name in result.names]
            result = result[known]
        categories = None if self._known is None else self._known.categories
        self.entries += result.to_coco(self._ids[path], categories)


def _size(path: Path) -> tuple[int, int] | None:
    try:
        return image_size(path)
    except (OSError, ImageError):  # which predicting says
        return None


def _check_twice(ids: Mapping[Path, Id]) -> None:
    first: dict[Id, Path] = {}
    for path, number in ids.items():
        if number in first:
            raise ValueError(f"{first[number]} and {path} have the same image id, {number}")
        first[number] = path


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SAID]) + (", ..." if len(names) > SAID else "")
