"""MMDetection's weights: what versions and hooks name otherwise, and whether all fit, before memory is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.interop.classes import MOST
from detzoo.interop.renaming import fitted, rename
from detzoo.pickles.machine import CheckpointError
from detzoo.recipes.blueprint import blueprint
from detzoo.recipes.recipe import Recipe

_AVERAGE = "ema_"  # of the averages that a hook keeps beside the weights
_OLDER = (
    (r"(conv\d)_offset\.(weight|bias)$", r"\1.conv_offset.\2"),  # of a deformable convolution, before 2.0
)


def usual(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in the names of all versions, without running averages.

    With averages, MMDetection saves them under the parameters' own names, and those of the last step as ``ema_...``.
    """
    # of a list of one neck
    older = _OLDER if any(name.startswith("neck.1.") for name in state) else (*_OLDER, (r"^neck\.0\.", "neck."))
    beside = {_AVERAGE + name.replace(".", "_") for name in state}
    return {rename(name, older): value for name, value in state.items() if name not in beside}


def refuse_unfit(recipe: Recipe, classes: Sequence[str], state: Mapping[str, Tensor], where: str) -> None:
    """Compare names and shapes of weights with the model that they are for, which is not built.

    Raises:
        CheckpointError: they differ; ``where`` names the file. Weights of another number of classes are called so.
    """
    model = blueprint(recipe, classes)
    try:
        fitted(model, state, model.renaming, model.unpublished)
    except ValueError as error:
        count = _classes_of(recipe, model, state)
        if count is not None:
            raise CheckpointError(
                f"{where}: these weights tell {count} classes apart, but the model of the config {len(classes)}; "
                "num_classes has to be that of the weights"
            ) from None
        raise CheckpointError(f"{where}: {error}") from None


def _classes_of(recipe: Recipe, model: Detector, state: Mapping[str, Tensor]) -> int | None:
    """How many classes weights tell apart that fit but for that; None: they do not fit for another reason."""
    if not model.finds_classes:
        return None
    count = len(model.classes)
    more = _shapes(blueprint(recipe, _names(count + 1)))
    given = {rename(name, model.renaming): value for name, value in state.items()}
    for name, shape in _shapes(model).items():
        # outputs grow with the classes, in steps that one class more shows
        step = more[name][0] - shape[0] if shape else 0
        if not step or name not in given or given[name].dim() == 0:
            continue
        said, rest = divmod(given[name].shape[0] - shape[0], step)
        if rest or said == 0 or not 1 <= count + said <= MOST:
            return None
        try:
            fitted(blueprint(recipe, _names(count + said)), state, model.renaming, model.unpublished)
        except ValueError:
            return None
        return count + said
    return None


def _shapes(model: Detector) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in model.state_dict().items()}


def _names(count: int) -> list[str]:
    return [str(index) for index in range(count)]


__all__ = ["refuse_unfit", "usual"]
