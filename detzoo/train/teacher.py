"""The teacher of a detector that learns from another: found by its name when training starts, or goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from detzoo.detector import Detector
from detzoo.methods.ld import LD
from detzoo.recipes.recipe import Recipe
from detzoo.recipes.zoo import load, locate
from detzoo.train.distributed import Ranks
from detzoo.user_path import user_path


def teacher_of(recipe: Recipe | None) -> str | None:
    """Name or path of the teacher that a recipe names."""
    return recipe.model.distillation.teacher if recipe and isinstance(recipe.model, LD.Config) else None


def give_teacher(detector: Detector, ranks: Ranks, say: Callable[[str], object], folder: Path = Path()) -> None:
    """Load the teacher that the settings of an `LD` name, the same on every rank; nothing for another detector.

    Args:
        detector: whose settings name it.
        ranks: this process's place.
        say: shows a line.
        folder: where the run began: a relative path is meant from there, if a file is there.

    Raises:
        FileNotFoundError: there is no file at the path.
        UnknownRecipe: neither a file nor a recipe has this name.
        CheckpointError: the file is damaged, does not fit, or cannot be read safely.
        DownloadError: the published file cannot be fetched.
        ValueError: no weights were published for the recipe, or it is no teacher for this detector.
    """
    if isinstance(detector, LD):
        name = detector.distillation.teacher
        found = folder / user_path(name)
        name = str(found) if found.is_file() else name
        detector.learn_from(ranks.share(_teacher(name, say) if ranks.first else None))


def _teacher(name: str, say: Callable[[str], object]) -> Detector:
    found = locate(name)
    if isinstance(found, Recipe) and found.weights is None:
        raise ValueError(
            f"no weights were published for the teacher {name}; train it first, and name its file by "
            "model.distillation.teacher=PATH"
        )
    say(f"learning from {name}")
    return load(name)


__all__ = ["give_teacher", "teacher_of"]
