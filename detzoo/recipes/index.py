"""What the zoo has, without importing torch: one row per recipe, read from a file that is made from the recipes.

``make index`` (`detzoo.recipes.write_index`) makes the file; a test fails where it is not current. Its lines stand
alone, so that git may merge those of two branches: first one per class of settings, with the defaults, then one per
recipe, with what differs from them. Settings say their class under `CLASS`, and so do lists of class names.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from detzoo.recipes import classes
from detzoo.suggest import unknown

FILE = Path(__file__).with_name("index.jsonl")
CLASS = ""  # no setting's name
CLASS_LISTS = {name: names for name, names in vars(classes).items() if name.endswith("_CLASSES") and name.isupper()}


class UnknownRecipe(KeyError):
    """No recipe has this name; the message has the nearest ones."""

    def __str__(self) -> str:
        return self.args[0]


@dataclass(frozen=True, slots=True)
class Row:
    """One recipe.

    Attributes:
        backbone: as papers call it, e.g. ``ResNeXt-101-32x4d``.
        parameters: of the model with the classes that it was published for.
        recipe: every setting, as JSON has it.
    """

    backbone: str
    parameters: int
    recipe: dict[str, Any]

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe["name"]

    @property
    def method(self) -> str:
        """The method, as its settings call it."""
        return self.recipe["model"]["method"]

    @property
    def box_ap(self) -> float | None:
        """Published AP of boxes, in percent."""
        return (self.recipe["published"] or {}).get("box_ap")

    @property
    def mask_ap(self) -> float | None:
        """Published AP of masks, in percent."""
        return (self.recipe["published"] or {}).get("mask_ap")

    @property
    def size(self) -> int | None:
        """Pixels of the short edge of the network's input; None where an image keeps its size."""
        given = self.recipe["model"]["input"]
        return given["short"] if given["resize"] else None

    @property
    def weights(self) -> bool:
        """Whether trained weights are published."""
        return self.recipe["weights"] is not None


@functools.cache
def rows() -> dict[str, Row]:
    """Every recipe by its name."""
    lines = list(map(json.loads, FILE.read_text(encoding="utf-8").splitlines()))
    defaults = {line[CLASS]: line for line in lines if CLASS in line}
    found = [Row(**_complete(line, defaults)) for line in lines if CLASS not in line]
    return {row.name: row for row in found}


def _complete(value: Any, defaults: dict[str, dict[str, Any]]) -> Any:
    """A value of the file with the defaults of every class in it."""
    if isinstance(value, list):
        return [_complete(one, defaults) for one in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(CLASS, "")
    if kind in CLASS_LISTS:
        return list(CLASS_LISTS[kind])
    return {key: _complete(one, defaults) for key, one in (defaults.get(kind, {}) | value).items() if key != CLASS}


def names(pattern: str = "*") -> list[str]:
    """Names of the zoo, sorted, that match a shell pattern as ``retinanet*`` or contain a text as ``mask``."""
    return matching(rows(), pattern)


def lookup(name: str) -> Row:
    """The recipe that `detzoo.find` finds.

    Raises:
        UnknownRecipe: there is none; the message suggests some.
    """
    table = rows()
    if name in table:
        return table[name]
    wanted = spelling(name)
    for row in table.values():
        if wanted in spellings(row.name, row.recipe["config"]):
            return row
    raise unknown_recipe(name, table)


def unknown_recipe(name: str, known: Iterable[str]) -> UnknownRecipe:
    """The error for a name that no recipe has."""
    found = len(matching(known := list(known), name)) if name else 0
    some = f"`detzoo list {name}` shows {found} that contain it" if found else "`detzoo list` or detzoo.names() has all"
    return UnknownRecipe(f"{unknown(name, known, 'recipe')}; {some}")


def spellings(name: str, config: str | None) -> tuple[str, ...]:
    """How a recipe may be called: by its name, or by that of its original config file in MMDetection.

    PaddleDetection's files have the names that other rows have.
    """
    of_config = () if config is None or config.endswith(".yml") else (spelling(PurePosixPath(config).stem),)
    return (spelling(name), *of_config)


def spelling(name: str) -> str:
    """A name as it is compared: case does not count, and ``-`` is ``_``."""
    return name.lower().replace("-", "_")


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """The names, sorted, that match a shell pattern, or contain a text without ``*``, ``?`` and ``[``.

    A whole name is that one alone.
    """
    known = list(names)
    if pattern in known:
        return [pattern]
    if not any(sign in pattern for sign in "*?["):
        pattern = f"*{pattern}*"
    return sorted(name for name in known if fnmatchcase(spelling(name), spelling(pattern)))
