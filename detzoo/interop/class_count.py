"""How many classes weights tell apart that fit a model but for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from detzoo.detector import Detector
from detzoo.interop.classes import MOST
from detzoo.recipes.blueprint import blueprint
from detzoo.recipes.recipe import Recipe


def told_apart(
    recipe: Recipe, count: int, state: Mapping[str, Tensor], fit: Callable[[Detector], object]
) -> int | None:
    """The number of classes with which weights fit; None: they do not fit for another reason.

    Args:
        recipe: of the model, for ``count`` classes, which they do not fit.
        count: classes.
        state: the weights, under any names.
        fit: tries them on a model without memory; raises ValueError where they do not fit.
    """
    shapes, more = (_shapes(recipe, number) for number in (count, count + 1))
    # outputs grow with the classes, in steps that one class more shows; an offset of each is among the weights
    lengths = {len(value) for value in state.values() if value.dim() == 1}
    possible: set[int] | None = None
    for name, shape in shapes.items():
        if len(shape) == 1 and (step := more[name][0] - shape[0]):
            counts = {count + (length - shape[0]) // step for length in lengths if (length - shape[0]) % step == 0}
            possible = counts if possible is None else possible & counts
    for number in sorted(possible or ()):
        if number != count and 1 <= number <= MOST:
            try:
                fit(blueprint(recipe, _names(number)))
            except (ValueError, RuntimeError):
                continue
            return number
    return None


def refusal(where: str, found: int, count: int) -> str:
    """What is said of weights of ``found`` classes for a model of ``count``."""
    return (
        f"{where}: these weights tell {found} classes apart, but the model of the config {count}; "
        "num_classes has to be that of the weights"
    )


def _shapes(recipe: Recipe, count: int) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in blueprint(recipe, _names(count)).state_dict().items()}


def _names(count: int) -> list[str]:
    return [str(index) for index in range(count)]


__all__ = ["refusal", "told_apart"]
