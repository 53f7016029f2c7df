"""``python -m tests.mmdet_configs DIR [PATTERN]``: which of MMDetection's published configs are imported.

``DIR`` is the folder ``configs`` of MMDetection 2 or 3. Without a pattern the list goes to results/mmdet_configs.csv.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path

import detzoo
from detzoo.atomic import write_atomically
from detzoo.config import ConfigError, flatten
from detzoo.interop.mmdet.importer import read_config
from detzoo.recipes.recipe import Recipe

REPORT = Path(__file__).parents[1] / "results" / "mmdet_configs.csv"
SKIPPED = ("_base_", "common")  # parts of configs


@dataclass(frozen=True)
class Row:
    """A config: imported or refused, why, and how it compares with the recipe of the zoo that names it."""

    config: str
    result: str
    reason: str = ""
    recipe: str = ""
    model: str = ""
    data: str = ""
    schedule: str = ""


def rows(folder: Path, pattern: str = "*") -> Iterator[Row]:
    """Every config below ``folder`` that is one of a model."""
    recipes = [detzoo.find(name) for name in detzoo.names()]
    for path in sorted(folder.rglob("*.py")):
        name = str(path.relative_to(folder))
        if path.relative_to(folder).parts[0] in SKIPPED or not fnmatchcase(name, pattern):
            continue
        of_zoo = [recipe for recipe in recipes if recipe.config == name]
        try:
            imported = read_config(path).recipe
        except ConfigError as error:
            reason = str(error).replace(f"{path}: ", "").replace(f"{folder}/", "")
            yield Row(name, "refused", reason, of_zoo[0].name if of_zoo else "")
        else:
            yield compared(name, imported, of_zoo)


def compared(name: str, imported: Recipe, of_zoo: list[Recipe]) -> Row:
    """An imported config beside the recipes that name it."""
    if not of_zoo:
        return Row(name, "imported")
    recipe = of_zoo[0]
    # the zoo leaves classes out where the data says them
    data = imported.data.replace(classes=recipe.data.classes)
    return Row(
        name,
        "imported",
        "",
        recipe.name,
        differing(flatten(imported.model), flatten(recipe.model)),
        differing(flatten(data), flatten(recipe.data)),
        differing(flatten(imported.schedule), flatten(recipe.schedule)),
    )


def differing(ours: dict[str, object], zoo: dict[str, object]) -> str:
    """ "same", or the settings that differ: imported value, then the zoo's."""
    both = sorted(ours.keys() | zoo.keys())
    found = [f"{name}: {ours.get(name)} / {zoo.get(name)}" for name in both if ours.get(name) != zoo.get(name)]
    return "; ".join(found) or "same"


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2) or not Path(arguments[0]).is_dir():
        print("usage: python -m tests.mmdet_configs DIR [PATTERN]; DIR is MMDetection's folder configs")
        return 2
    found = list(rows(Path(arguments[0]), *arguments[1:]))
    for row in found:
        print(f"{row.result:9} {row.config}  {row.reason}")
        for part in ("model", "data", "schedule"):
            if getattr(row, part) not in ("", "same"):
                print(f"          {part}: {getattr(row, part)}")
    print(", ".join(f"{count} {result}" for result, count in Counter(row.result for row in found).items()))
    same = Counter(row.model == "same" for row in found if row.model)
    print(f"of the zoo's: {same[True]} with the same model, {same[False]} with another")
    if len(arguments) == 1:

        def write(path: Path) -> None:
            with path.open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow([field.name for field in fields(Row)])
                writer.writerows([[getattr(row, field.name) for field in fields(Row)] for row in found])

        print(f"report: {write_atomically(REPORT, write)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
