"""The ids under which a COCO annotation file knows images and classes, for results that are compared with it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from detzoo.data.problems import DataError
from detzoo.predict.plain_values import category_numbers
from detzoo.predict.result import Result

Id: TypeAlias = int | str


def numbered(paths: Iterable[Path]) -> dict[Path, Id]:
    """Image ids where the file names are numbers, as COCO's are: ``000000000139.jpg`` is 139.

    Raises:
        ValueError: a name is no number, or two are the same one.
    """
    ids: dict[Path, Id] = {}
    for path in paths:
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise ValueError(
                f"the image id of {path} is not known: give the annotation file that lists the images with --data"
            )
        ids[path] = int(path.stem)
    _check_twice(ids)
    return ids


class CocoIds:
    """Image ids by file name and category ids by class name."""

    def __init__(self, path: str | Path) -> None:
        """Read them; masks and boxes of the file are not looked at.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: it is no COCO annotation file, or gives a name or an id twice.
        """
        self.path = Path(path).expanduser()
        content = _content(self.path)
        self._images: dict[str, Id] = {}
        self._tails: dict[str, list[Id]] = {}
        for entry in _entries(self.path, content, "images", "file_name"):
            name = _same(str(entry["file_name"]))
            if self._images.setdefault(name, entry["id"]) != entry["id"]:
                raise DataError(f"{self.path}: two images are called {entry['file_name']}")
            self._tails.setdefault(name.rpartition("/")[2], []).append(entry["id"])
        self.categories: dict[str, int] = {}
        for entry in _entries(self.path, content, "categories", "name"):
            if self.categories.setdefault(str(entry["name"]), entry["id"]) != entry["id"]:
                raise DataError(f"{self.path}: two categories are called {entry['name']!r}")

    def images(self, paths: Iterable[Path]) -> dict[Path, Id]:
        """The id of each image file: the longest end of its path that the file lists, or else its bare name.

        Raises:
            ValueError: an image is not listed, or its name alone does not say which one it is.
        """
        ids = {path: self._image(path) for path in paths}
        _check_twice(ids)
        return ids

    def _image(self, path: Path) -> Id:
        for name in _ends(_same(path.as_posix())):
            if name in self._images:
                return self._images[name]
        found = self._tails.get(_same(path.name), [])
        if not found:
            raise ValueError(f"{self.path} lists no image {path.name}")
        if len(found) > 1:
            raise ValueError(f"{self.path} lists {len(found)} images {path.name} in different folders")
        return found[0]


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
            ValueError: the id of an image is not known, or there are no image files.
            FileNotFoundError: there is no annotation file.
            DataError: it is none.
        """
        if not images:
            raise ValueError("a COCO results file is about image files: frames of a video have no ids")
        self._known = None if annotations is None else CocoIds(annotations)
        self._ids = numbered(images) if self._known is None else self._known.images(images)
        self.entries: list[dict[str, Any]] = []

    def notes(self, classes: Sequence[str]) -> list[str]:
        """What a reader of the results should know: which of the detector's ``classes`` have no category id.

        Raises:
            ValueError: none of them is in the annotation file.
        """
        if self._known is None:
            if category_numbers(classes) is not None:
                return []
            return ["the category ids of these classes are not known: the results have their numbers from 0"]
        missing = [name for name in classes if name not in self._known.categories]
        if len(missing) == len(classes):
            raise ValueError(f"{self._known.path} has none of the detector's classes: {', '.join(missing[:5])}")
        names = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        return (
            [f"{names} {'is' if len(missing) == 1 else 'are'} not in {self._known.path}, nor in the results"]
            if missing
            else []
        )

    def add(self, result: Result) -> None:
        """Take what was found in one image."""
        path = result.path
        assert path is not None  # of files
        if self._known is not None:
            known = [name in self._known.categories for name in result.names]
            result = result[known]
        categories = None if self._known is None else self._known.categories
        self.entries += result.to_coco(self._ids[path], categories)


def _check_twice(ids: Mapping[Path, Id]) -> None:
    first: dict[Id, Path] = {}
    for path, number in ids.items():
        if number in first:
            raise ValueError(f"{first[number]} and {path} have the same image id, {number}")
        first[number] = path


def _content(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())  # takes UTF-8, UTF-16 and UTF-32, with or without a byte order mark
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no annotation file {path}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON: {error}") from None


def _entries(path: Path, content: Any, part: str, name: str) -> Iterator[dict[str, Any]]:
    entries = content.get(part) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise DataError(f"{path} is not a COCO annotation file: it has no list of {part}")
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), int | str) or name not in entry:
            raise DataError(f"{path} is not a COCO annotation file: {part}[{place}] has no id or no {name}")
        yield entry


def _same(name: str) -> str:
    """A file name as every system writes it."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _ends(name: str) -> Iterator[str]:
    """``a/b/c``, then ``b/c``, then ``c``."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    for start in range(len(parts)):
        yield "/".join(parts[start:])
