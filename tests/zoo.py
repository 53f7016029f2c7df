"""``make zoo``: what the zoo has of each row of MMDetection's and PaddleDetection's tables, in results/zoo.csv.

    python -m tests.zoo [--new DIR] [--old DIR] [PATTERN ...]

``--new`` and ``--old`` are the folders ``configs`` of MMDetection 3 and 2, as their wheels hold them; without one its
column says "not tried". With patterns (of names of rows, or of systems) nothing is written.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch

import detzoo
from detzoo.config import ConfigError, flatten, from_json, to_json
from detzoo.interop.mmdet.importer import read_config
from detzoo.interop.paddle.importer import read_config as read_paddle
from detzoo.recipes.recipe import Recipe
from tests.mmdet_configs import differing
from tests.published import Published, parameters_of, published_rows
from tests.published_paddle import PaddleRow, paddle_rows, settings_of
from tests.published_paddle import parameters_of as paddle_parameters
from tests.tables import write_rows

REPORT = Path(__file__).parents[1] / "results" / "zoo.csv"
NOT_TRIED, CLASSIFIER = "not tried", "a model of image classification"
CHECKS = ("parameters", "json", "imported_3x", "imported_2x", "imported_paddle")
# RPNs of MMDetection 2 alone learn from anchors inside of the picture only; the zoo follows 3
OTHER_IN_2X, OTHERWISE = {"rpn.border"}, "published otherwise: "
# the file of 3 has lost the pictures of 300 pixels of 2, for which its boxes are
OTHER_IN_3X = {"ssd300_coco_v1": {"input.short", "input.long", "input.keep_ratio"}}
# rows that a table prints beside that of their config, with a setting of their own
BESIDE = {
    "__no_score_voting": {"head.voting"},
    "__proposals2000": {"rpn.proposals"},
    "__testdev_thr0p05": {"box_head.threshold"},
}
MOST = 400  # letters of a cell
Folders = Mapping[str, Path | None]  # by version, "3x" and "2x"


@dataclass(frozen=True)
class Row:
    """A published row. All after ``recipe`` is "yes", "none" where nothing was published to compare with, what is
    wrong, or empty where there is no recipe.

    Attributes:
        name: as in tests/golden/zoo.csv.
        system: likewise.
        config: of MMDetection 3, or of PaddleDetection.
        recipe: its name in the zoo.
        parameters: whether its model, on the meta device, has the published names and shapes, renamed to ours.
        json: whether it is the same after it was written and read.
        imported_3x: whether the published config gives the recipe's model, or else the settings that differ: the
            imported value, then the recipe's.
        imported_2x: likewise. "Published otherwise" and the settings where version 2 has others than 3, or where a
            table has a row beside that of the config.
        imported_paddle: whether the settings of the model in PaddleDetection's config give the recipe's, all but the
            input, which its readers say.
    """

    name: str
    system: str
    config: str
    recipe: str = ""
    parameters: str = ""
    json: str = ""
    imported_3x: str = ""
    imported_2x: str = ""
    imported_paddle: str = ""

    def wrong(self) -> dict[str, str]:
        """What is wrong, by column."""
        found = {name: getattr(self, name) for name in CHECKS if self.recipe}
        good = ("yes", "none", "", NOT_TRIED)
        return {name: text for name, text in found.items() if text not in good and not text.startswith(OTHERWISE)}

    @property
    def done(self) -> bool:
        """Whether there is a recipe and nothing is wrong with it."""
        return bool(self.recipe) and not self.wrong()


def look(given: Published, folders: Folders) -> Row:
    """What the zoo has of a row."""
    row = Row(given.name, given.system, given.config)
    if not given.detector:
        return Row(**asdict(row) | {"parameters": CLASSIFIER})
    recipe = recipe_of(given)
    if recipe is None:
        return row
    found = {
        "recipe": recipe.name,
        "parameters": parameters(recipe, parameters_of(given.config)),
        "json": "yes" if from_json(Recipe, to_json(recipe)) == recipe else "another recipe",
    }
    found |= {f"imported_{version}": imported(given, version, folder, recipe) for version, folder in folders.items()}
    found["imported_paddle"] = "none"
    return Row(**asdict(row) | {name: text[:MOST] for name, text in found.items()})


def look_paddle(given: PaddleRow) -> Row:
    """What the zoo has of a row of PaddleDetection's tables."""
    row = Row(given.name, given.system, given.config)
    recipe = _recipes().get(given.name)
    if recipe is None:
        return row
    found = {
        "recipe": recipe.name,
        "parameters": parameters(recipe, paddle_parameters(given), of_paddle=True),
        "json": "yes" if from_json(Recipe, to_json(recipe)) == recipe else "another recipe",
        "imported_3x": "none",
        "imported_2x": "none",
        "imported_paddle": imported_paddle(settings_of(given), recipe),
    }
    return Row(**asdict(row) | {name: text[:MOST] for name, text in found.items()})


def imported_paddle(settings: Mapping[str, Any] | None, recipe: Recipe) -> str:
    """Whether the settings of a model in PaddleDetection's form become that of a recipe; see `Row`."""
    if settings is None:
        return "none"
    try:
        model = read_paddle(dict(settings)).recipe.model
    except ConfigError as error:
        return f"refused: {_line(error)}"
    ours, zoo = flatten(model), flatten(recipe.model)
    difference = differing(*({k: v for k, v in one.items() if not k.startswith("input.")} for one in (ours, zoo)))
    return "yes" if difference == "same" else difference


def recipe_of(given: Published) -> Recipe | None:
    """The recipe of a row: that of its name or, for a repetition, that of the row or of the config that it repeats."""
    recipes = _recipes()
    for name in (given.name, given.same_as):
        if name in recipes:
            return recipes[name]
    alike = [recipe for recipe in recipes.values() if given.same_as and recipe.config == given.config]
    return alike[0] if alike else None


@functools.cache
def _recipes() -> dict[str, Recipe]:
    return {name: detzoo.find(name) for name in detzoo.names()}


def parameters(recipe: Recipe, shapes: Mapping[str, Sequence[int]] | None, of_paddle: bool = False) -> str:
    """Whether the model of a recipe has published parameters, name -> shape, and no others; see `Row`."""
    try:
        with torch.device("meta"):
            detector = detzoo.build(recipe)
            if shapes is None:
                return "none"
            load = detector.load_paddle if of_paddle else detector.load_published
            load({name: torch.empty(shape) for name, shape in shapes.items()})
    except ValueError as error:  # a ConfigError is one
        return _line(error)
    return "yes"


def imported(given: Published, version: str, folder: Path | None, recipe: Recipe) -> str:
    """Whether a row's config, of version "3x" or "2x", becomes the model of a recipe; see `Row`."""
    if folder is None:
        return NOT_TRIED
    path = _config(given, version, folder)
    if path is None:
        return "none"
    try:
        model = read_config(path).recipe.model
    except ConfigError as error:
        return f"refused: {_line(error).replace(f'{path}: ', '').replace(f'{folder}/', '')}"
    ours, zoo = flatten(model), flatten(recipe.model)
    difference = differing(ours, zoo)
    if difference == "same":
        return "yes"
    changed = {name for name in ours.keys() | zoo.keys() if ours.get(name) != zoo.get(name)}
    known = set(OTHER_IN_2X) if version == "2x" else set(OTHER_IN_3X.get(given.name, ()))
    known |= {name for ending, names in BESIDE.items() if given.name.endswith(ending) for name in names}
    return f"{OTHERWISE}{difference}" if changed <= known else difference


def _config(given: Published, version: str, folder: Path) -> Path | None:
    """A row's config file. Tables link version 2, where a file has the row's name or else that of the link, in some
    folder."""
    if version == "3x":
        return folder / given.config if given.config else None
    named = given.name.partition("__")[0]
    for stem in filter(None, (named, given.config_2x)):
        found = [path for path in sorted(folder.glob(f"*/{stem}.py")) if path.parent.name != "_base_"]
        if found:
            return found[0]
    return None


def _line(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines()).replace(":; ", ": ")


def summary(rows: Iterable[Row]) -> list[str]:
    """A line for each system, by name, and one for all: rows that are done, and how many rows."""
    by_system: dict[str, list[Row]] = {}
    for row in rows:
        if row.parameters != CLASSIFIER:
            by_system.setdefault(row.system, []).append(row)
    every = [row for some in by_system.values() for row in some]
    lines = [*sorted(by_system.items()), ("all", every)]
    return [f"{sum(row.done for row in some):4} of {len(some):3}  {system}" for system, some in lines]


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at the rows; returns 1 if a recipe has not the published parameters or does not survive JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--new", type=Path, help="folder configs of MMDetection 3")
    parser.add_argument("--old", type=Path, help="folder configs of MMDetection 2")
    parser.add_argument("patterns", nargs="*", help="names of rows or of systems, such as 'fcos*'; default: all")
    args = parser.parse_args(arguments)
    for folder in (args.new, args.old):
        if folder is not None and not folder.is_dir():
            parser.error(f"there is no folder {folder}")
    rows = []
    for given in (*published_rows(), *paddle_rows()):
        if args.patterns and not any(
            fnmatchcase(text, p) for p in args.patterns for text in (given.name, given.system)
        ):
            continue
        folders = {"3x": args.new, "2x": args.old}
        row = look_paddle(given) if isinstance(given, PaddleRow) else look(given, folders)
        rows.append(row)
        if row.wrong():
            print(row.name, *(f"{name}: {text}" for name, text in row.wrong().items()), sep="\n    ", flush=True)
    print(*summary(rows), sep="\n")
    left = sum(row.parameters == CLASSIFIER for row in rows)
    print(f"rows done, of those of detectors; {left} more are models of image classification")
    if not args.patterns:
        print(f"report: {write_rows(REPORT, Row, rows)}")
    return int(any({"parameters", "json"} & row.wrong().keys() for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
