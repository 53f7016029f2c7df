"""A recorded case: a recipe, and what every recording of MMDetection changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import detzoo
from detzoo.config import flatten, override
from detzoo.detector import Detector
from detzoo.recipes.recipe import Model, Recipe


@dataclass(frozen=True)
class Case:
    """A recipe of the zoo.

    Attributes:
        recipe: its name; or one of a model that no table lists.
        changes: settings of its model that differ, where the published model is no row of the zoo.
        classes: how many; None: those that the recipe was published for.
    """

    recipe: str | Recipe
    changes: Mapping[str, Any] = field(default_factory=dict)
    classes: int | None = None

    def published(self) -> Recipe:
        """The recipe as published."""
        recipe = detzoo.find(self.recipe) if isinstance(self.recipe, str) else self.recipe
        return _changed(recipe, self.changes)

    def build(self, threshold: float | None = None) -> Detector:
        """The model as it was recorded, with random weights; ``threshold``: see `recorded_settings`."""
        recipe = self.published()
        names = None if self.classes is None else [f"class {index}" for index in range(self.classes)]
        return detzoo.build(_changed(recipe, self.recorded(recipe.model, threshold)), classes=names)

    def recorded(self, model: Model, threshold: float | None) -> dict[str, Any]:
        """What the recording changed of published settings."""
        return recorded_settings(model, threshold)


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    return override(recipe, {f"model.{path}": value for path, value in changes.items()})


def recorded_settings(model: Model, threshold: float | None) -> dict[str, Any]:
    """What every recording changed: everything is sampled, so that nothing is random, and little is kept.

    Args:
        model: the published settings.
        threshold: least score of a detection, where the case was recorded with another than the published one.
    """
    settings = flatten(model)
    changes: dict[str, Any] = {}
    for path, value in settings.items():
        part, _, name = path.rpartition(".")
        if name == "positives":  # a share of the samples
            changes |= {path: 0.5, f"{part}.samples": 1_000_000}
        elif name in ("train_candidates", "candidates") and f"{part}.proposals" in settings:
            changes[path] = min(value, 200)
        elif name in ("train_proposals", "proposals"):
            changes[path] = min(value, 60)
        elif name == "negative_ratio":
            changes[path] = None
        elif name in ("dropout", "drop_path"):
            changes[path] = 0.0
        elif name == "threshold" and part in ("head", "box_head") and threshold is not None:
            changes[path] = threshold
        elif path == "box_head.detections":
            changes[path] = 30
    return changes | OF_METHOD.get(model.method, {})


# and of single methods: random scores are low, random embeddings lie far apart, and RoIs stay where they are
OF_METHOD: dict[str, dict[str, Any]] = {
    "cornernet": {"head.distance": 100.0},
    "grid_rcnn": {"grid_head.jitter": 0.0},
    "sparse_rcnn": {"detections": 30},
    "ssd": {"head.threshold": 0.001},
}
