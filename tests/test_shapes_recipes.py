"""Each small recipe of the generated data set trains without any file: every method has one."""

from __future__ import annotations

from pathlib import Path

import pytest

import detzoo
from detzoo.methods.ld import LD
from detzoo.recipes.recipe import METHODS, Recipe, method_of
from detzoo.recipes.settings import Split
from detzoo.recipes.shapes import RECIPES
from detzoo.train.loop import Trained

MAIN = {"proposals": "proposal_ar1000", "coco": "box_ap"}


def run(recipe: Recipe, out: Path) -> Trained:
    data = recipe.data.replace(train=(Split(count=4),), val=(Split(count=2),), workers=0)
    schedule = recipe.schedule.replace(epochs=1, evaluate_every=1)
    return detzoo.train(recipe.replace(data=data, schedule=schedule), out=out, device="cpu", progress=False)


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
def test_it_trains_validates_and_is_loaded_again(recipe: Recipe, tmp_path: Path) -> None:
    model = recipe.model
    if isinstance(model, LD.Config):
        teacher = run(detzoo.find(model.distillation.teacher), tmp_path / "teacher").last
        model = model.replace(distillation=model.distillation.replace(teacher=str(teacher)))
    done = run(recipe.replace(model=model), tmp_path / "run")
    assert MAIN[recipe.data.metric] in done.history[-1]["metrics"]
    again = detzoo.load(done.last)
    assert again.classes == done.detector.classes
    assert again.config == model


def test_every_method_has_one() -> None:
    assert {method_of(recipe) for recipe in RECIPES} == set(METHODS)
