"""Data sets of the program's own: any object with class names, a length, and items of a picture and its objects."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import data as torch_data

from detzoo.config import ConfigError
from detzoo.data.annotations import Annotations, arrange
from detzoo.data.item import Item, as_item, columns_of
from detzoo.data.problems import DataError
from detzoo.recipes.classes import checked
from detzoo.recipes.settings import Data, Split

MANY = 500  # items, from which on worker processes look at them


class OwnData:
    """A program's data set as the readers see one: it is looked at once, item by item, before it is used.

    Attributes:
        given: the program's object.
        name: of its class; files and messages name it so.
        classes: names by label.
    """

    def __init__(self, given: Any) -> None:
        self.given = given
        self.name = type(given).__name__
        try:
            self.classes = checked(list(given.classes))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self.name}: {error}") from None
        self._found: Annotations | None = None

    def __len__(self) -> int:
        return len(self.given)

    def item(self, index: int) -> Item:
        """Item ``index``, looked at.

        Raises:
            DataError: it is not what an item has to be; the message names it and the mend.
        """
        where, answer = f"item {index} of {self.name}", self.given[index]
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise DataError(f"{where} is no pair: give (picture, dict of boxes, labels, ...)")
        return as_item(answer[0], answer[1], self.classes, where)

    def annotations(self, workers: int) -> Annotations:
        """The objects of all items, from one pass over them; errors as of `item`. Image ids are the items' or numbers.

        Args:
            workers: processes that look at the items, if there are many.
        """
        if self._found is None:
            if not len(self):
                raise DataError(f"{self.name} has no items")
            found = list(self._looked_at(workers if len(self) >= MANY else 0))
            columns, sizes, ids = columns_of(found)
            self._found = arrange(
                columns,
                np.ones(len(columns.boxes), dtype=bool),
                self.classes,
                range(1, len(self.classes) + 1),
                [number if id is None else id for number, id in enumerate(ids)],
                [f"{self.name}/{number}" for number in range(len(found))],
                sizes,
            )
        return self._found

    def _looked_at(self, workers: int) -> Iterator[list[Any]]:
        if not workers:
            yield from (self.item(number).described() for number in range(len(self)))
            return
        numbers = torch.Generator()  # its own, or else the program's random numbers would depend on this
        with torch.device("cpu"):
            pieces = torch_data.DataLoader(
                _Described(self), batch_size=None, num_workers=workers, collate_fn=_as_it_is, generator=numbers
            )
            for piece in pieces:
                if isinstance(piece, DataError):
                    raise piece
                yield cast("Any", piece)

    def read(self, name: str) -> NDArray[np.uint8]:
        """The picture of a name from `annotations`: uint8 RGB ``(H, W, 3)``.

        Raises:
            DataError: the item is another one now than when all were looked at.
        """
        index = int(name.rpartition("/")[2])
        item, found = self.item(index), self._found
        if found is not None:
            rows = found.rows(index)
            before = (found.sizes[index], found.boxes[rows], found.labels[rows])
            now = (np.array(item.pixels.shape[:2]), item.boxes, item.labels)
            if not all(np.array_equal(one, other) for one, other in zip(before, now, strict=True)):
                raise DataError(
                    f"item {index} of {self.name} has another size or other objects than before: an item has to stay "
                    "the same; what varies pictures goes into augment=[callable]"
                )
        return item.pixels


class _Described(torch_data.Dataset[Any]):
    """All of an item but its pixels."""

    def __init__(self, own: OwnData) -> None:
        self.own = own

    def __len__(self) -> int:
        return len(self.own)

    def __getitem__(self, index: int) -> list[Any] | DataError:
        try:
            return self.own.item(index).described()
        except DataError as error:  # one that crosses from a worker would come wrapped in a traceback
            return error


def _as_it_is(value: Any) -> Any:
    return value


def is_own(data: object) -> bool:
    """Whether this is an object with classes, a length and items, and no settings, path or name."""
    return all(hasattr(data, word) for word in ("classes", "__len__", "__getitem__"))


def own_data(train: Any, val: Any = None) -> Data:
    """Settings for data sets of the program's own. Without ``val``, both halves are the same images."""
    halves = (OwnData(train), OwnData(train if val is None else val))
    if val is None:
        halves = (halves[0], halves[0])
    words = ("", "") if val is None else ("train: ", "val: ")
    parts = [Split(annotations=word + half.name, count=len(half)) for word, half in zip(words, halves, strict=True)]
    return Data(kind="own", train=(parts[0],), val=(parts[1],), own=halves)


def own_half(data: Data, split: str) -> OwnData:
    """The program's data set that a half of the settings comes from.

    Raises:
        ConfigError: the program has not passed it in.
    """
    if data.own is None:
        named = ", ".join(part.annotations for part in data.parts("train" if split == "train" else "val"))
        raise ConfigError(f"the data set is the program's own ({named}), which no file can hold: pass it in, data=...")
    return data.own[0 if split == "train" or (data.val_fraction and data.train) else 1]


class Joined:
    """Several data sets of the program as one; see `join`."""

    def __init__(self, sets: Sequence[OwnData], classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._sets = sets
        self._ends = list(accumulate(len(one) for one in sets))
        self._labels = [np.array([classes.index(name) for name in one.classes]) for one in sets]

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        index = range(len(self))[index]
        number = bisect_right(self._ends, index)
        item = self._sets[number].item(index - (self._ends[number - 1] if number else 0))
        target = item.target()
        return item.pixels, {**target, "labels": self._labels[number][item.labels]}


def join(*sets: Any, unite: bool = True) -> Joined:
    """Several data sets of the program as one, an item of the first coming first; images are numbered anew.

    Args:
        sets: objects with classes, a length and items, as ``data=`` takes them.
        unite: the classes are those of all, in order, matched by name; False: they have to be the same.

    Raises:
        ConfigError: there is none, one is no such object, or, without ``unite``, their classes differ.
    """
    for one in sets:
        if not is_own(one):
            raise ConfigError(f"join takes objects with classes, a length and items, not a {type(one).__name__}")
    if not sets:
        raise ConfigError("join needs at least one data set")
    owned = [OwnData(one) for one in sets]
    for one in owned[1:]:
        if not unite and one.classes != owned[0].classes:
            raise ConfigError(
                f"{one.name} has the classes {', '.join(one.classes[:10])}, {owned[0].name} has "
                f"{', '.join(owned[0].classes[:10])}; unite=True joins them by name"
            )
    return Joined(owned, tuple(dict.fromkeys(name for one in owned for name in one.classes)))


__all__ = ["Joined", "OwnData", "is_own", "join", "own_data", "own_half"]
