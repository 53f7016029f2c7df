"""Makes the zoo's index from the recipes: ``python -m detzoo.recipes.write_index``, or ``make index``."""

from __future__ import annotations

import itertools
import json
from typing import Any

from pydantic_core import to_jsonable_python

from detzoo.atomic import write_atomically
from detzoo.config import Config
from detzoo.recipes.blueprint import blueprint
from detzoo.recipes.index import CLASS, CLASS_LISTS, FILE, rows
from detzoo.recipes.zoo import TABLES, classes_of

_LISTS = {names: name for name, names in CLASS_LISTS.items()}


def index() -> str:
    """The content of the index, sorted. Parameters of a model that the file as it stands has are taken from there."""
    counts = _counted()
    defaults: dict[str, Any] = {}
    lines = {}
    for recipe in itertools.chain(*TABLES):
        key = _model(recipe.model_dump(mode="json"))
        if key not in counts:
            model = blueprint(recipe, classes_of(recipe))
            counts[key] = sum(parameter.numel() for parameter in model.parameters())
        lines[recipe.name] = {
            "backbone": recipe.model.backbone.title,
            "parameters": counts[key],
            "recipe": _shortened(recipe, defaults),
        }
    ordered = [defaults[kind] for kind in sorted(defaults)] + [lines[name] for name in sorted(lines)]
    return "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in ordered)


def _counted() -> dict[str, int]:
    """What the file says of models; nothing if there is none, or what another version wrote."""
    try:
        return {_model(row.recipe): row.parameters for row in rows().values()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _model(recipe: dict[str, Any]) -> str:
    """Of a recipe's settings what its parameters depend on."""
    return json.dumps([recipe["model"], recipe["data"]["kind"], recipe["data"]["classes"]])


def _shortened(value: Any, defaults: dict[str, Any]) -> Any:
    """A value of settings as the file has it; the defaults of every class that is met are added to ``defaults``."""
    if isinstance(value, tuple):
        return {CLASS: _LISTS[value]} if value in _LISTS else [_shortened(one, defaults) for one in value]
    if not isinstance(value, Config):
        return to_jsonable_python(value)
    kind = type(value)
    fields = {name: field for name, field in kind.model_fields.items() if not field.exclude}
    if kind.__qualname__ not in defaults:
        # those that have none are named, for the order
        defaults[kind.__qualname__] = {CLASS: kind.__qualname__} | {
            name: None if field.is_required() else _shortened(field.get_default(call_default_factory=True), defaults)
            for name, field in fields.items()
        }
    given = {name: _shortened(getattr(value, name), defaults) for name in fields}
    known = defaults[kind.__qualname__]
    # as text, in which 1, 1.0 and true differ
    other = {name: one for name, one in given.items() if json.dumps(one) != json.dumps(known[name])}
    return {CLASS: kind.__qualname__} | other


def main() -> None:
    """Write the file."""
    content = index()
    write_atomically(FILE, lambda path: path.write_text(content, encoding="utf-8"))
    print(f"{FILE}: {len(content)} bytes")


if __name__ == "__main__":
    main()
