"""MMDetection's weights: what versions and hooks name otherwise, and whether all fit, before memory is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from detzoo.interop.class_count import refusal, told_apart
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
        found = None
        if model.finds_classes:
            found = told_apart(
                recipe, len(classes), state, lambda one: fitted(one, state, one.renaming, one.unpublished)
            )
        if found is not None:
            raise CheckpointError(refusal(where, found, len(classes))) from None
        raise CheckpointError(f"{where}: {error}") from None


__all__ = ["refuse_unfit", "usual"]
