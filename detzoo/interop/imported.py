"""What was read of another toolbox's model, and how its user is told what could not be taken over."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from detzoo.config import ConfigError
from detzoo.interop.said import short
from detzoo.interop.section import LARGEST
from detzoo.recipes.recipe import Model, Recipe
from detzoo.typed import either


class Differs(UserWarning):
    """Settings that only training uses and that have no counterpart here; detections are not concerned."""


class DetectionsDiffer(UserWarning):
    """Pictures become another input of the network here than there, so that detections differ, too."""


class UnnamedClasses(UserWarning):
    """Neither the checkpoint nor the config names the classes, so that their names are made up."""


@dataclass(frozen=True)
class Imported:
    """What was read of a model: its recipe, and what could not be taken over."""

    recipe: Recipe
    notes: tuple[str, ...]  # of training
    differences: tuple[str, ...] = ()  # of detections
    unnamed: str = ""  # why the names of the classes are made up, if they are
    version_1: bool = False  # it is in the form of MMDetection 1.x
    static: bool = False  # it is of a static-graph release (0.x) of PaddleDetection


def tell(imported: Imported, toolbox: str, stacklevel: int) -> None:
    """Warn of what could not be taken over from a model of ``toolbox``."""
    if imported.unnamed:
        warnings.warn(imported.unnamed, UnnamedClasses, stacklevel=stacklevel)
    if imported.differences:
        text = "; ".join(imported.differences)
        warnings.warn(f"detections differ from {toolbox}'s: {text}", DetectionsDiffer, stacklevel=stacklevel)
    if imported.notes:
        text = "; ".join(imported.notes)
        warnings.warn(f"training would differ from {toolbox}'s: {text}", Differs, stacklevel=stacklevel)


def recipe_of(stem: str, model: Model) -> Recipe:
    """The recipe of a model, called like the file that says it."""
    return Recipe(name=re.sub(r"[^\w.-]", "_", stem).lstrip(".-")[:120] or "imported", model=model)


def told(error: ValidationError) -> str:
    """What does not fit one of our settings, in a line."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return f"does not fit {error.title}: {place}{': ' if place else ''}{problem['msg'].removeprefix('Value error, ')}"


def size_of(size: Sequence[int] | None) -> tuple[int, int] | None:
    """Width and height of pictures that a caller wants.

    Raises:
        ConfigError: they are none.
    """
    if size is None:
        return None
    good = isinstance(size, list | tuple) and len(size) == 2 and all(type(edge) is int for edge in size)
    if not good or not 1 <= min(size) <= max(size) <= LARGEST:
        example = either("size=(1333, 800)", "--size 1333 800")
        raise ConfigError(f"size is a width and a height in pixels, for example {example}, not {short(size)}")
    return size[0], size[1]


def edges(size: tuple[int, int], keep_ratio: bool = True) -> dict[str, Any]:
    """Settings of `Input` for a width and a height."""
    if keep_ratio:
        return {"long": max(size), "short": min(size), "keep_ratio": True}
    return {"long": size[0], "short": size[1], "keep_ratio": False}


__all__ = ["DetectionsDiffer", "Differs", "Imported", "UnnamedClasses", "edges", "recipe_of", "size_of", "tell", "told"]
