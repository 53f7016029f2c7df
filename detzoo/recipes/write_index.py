"""Makes the zoo's index from the recipes: ``python -m detzoo.recipes.write_index``, or ``make index``."""

from __future__ import annotations

import gzip
import json

import torch

from detzoo.atomic import write_atomically
from detzoo.recipes.index import FILE
from detzoo.recipes.recipe import Recipe
from detzoo.recipes.zoo import TABLES, build


def index() -> str:
    """The content of the index: a line of JSON per recipe, sorted by name."""
    recipes = sorted((recipe for table in TABLES for recipe in table), key=lambda recipe: recipe.name)
    return "".join(f"{_line(recipe)}\n" for recipe in recipes)


def _line(recipe: Recipe) -> str:
    with torch.device("meta"):
        model = build(recipe)
    row = {
        "backbone": recipe.model.backbone.title,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "recipe": recipe.model_dump(mode="json"),
    }
    return json.dumps(row, separators=(",", ":"))


def main() -> None:
    """Write the file."""
    content = gzip.compress(index().encode(), mtime=0)
    write_atomically(FILE, lambda path: path.write_bytes(content))
    print(f"{FILE}: {len(content)} bytes")


if __name__ == "__main__":
    main()
