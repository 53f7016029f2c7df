"""``docs/zoo.md``: every published row with its numbers and what was checked of it; part of ``make zoo``.

    python -m tests.zoo_page

From the recipes and from ``results/{zoo,parity,export}.csv``. A test compares the page with what this makes.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detzoo.atomic import write_atomically
from detzoo.recipes.index import Row
from detzoo.recipes.index import rows as recipes
from detzoo.recipes.recipe import METHODS
from tests.parity.cases import CASES
from tests.zoo import CLASSIFIER, NOT_TRIED, OTHERWISE

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "zoo.md"
HEAD = """# The zoo

Every row of MMDetection's and PaddleDetection's published tables: {done} of {count} detectors have a recipe{missing}.
Made by `python -m tests.zoo_page` from the recipes and from the tables in `results/`, never by hand.
"""
COLUMNS = {
    "recipe": "the name for `detzoo.load`, `train` and the rest; `detzoo show NAME` prints it whole",
    "box": "published AP of boxes in percent, of proposals AR1000 in *italics*; TTA: with test-time augmentation. Not "
    "measured here: where detzoo is built, neither weights nor images can be downloaded",
    "mask": "published AP of masks",
    "M": "parameters, in millions",
    "list": "yes: the model has exactly the published names and shapes of parameters; none: they are not published",
    "3.x": "yes: the config that MMDetection 3 publishes is imported as the recipe; none: it publishes no config; "
    "(note): it has another setting, which [results/zoo.csv](../results/zoo.csv) names",
    "2.x": "the same of MMDetection 2",
    "config": "in PaddleDetection's tables, in place of the two columns before: the settings of the model in its "
    "config are imported as the recipe; none: they are not recorded",
    "parity": "the recipe computes what the original does, rung by rung, in double precision, with the largest "
    "relative difference of all rungs ([parity](parity.md)); empty: another recipe of the system is the case",
    "export": "of the method: boxes of a small detector, captured by `torch.export` with an open number of images, "
    "are within this many pixels of its own",
}
IMPORTED = {"3.x": "imported_3x", "2.x": "imported_2x", "config": "imported_paddle"}
LEAST = 1e-12  # a smaller difference is none


def table(name: str) -> list[dict[str, str]]:
    """The rows of a file in results/."""
    with (ROOT / "results" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def parity() -> dict[str, str]:
    """Of each recipe that is a case as it is: the largest difference of all rungs."""
    found: dict[str, float] = {}
    for row in table("parity.csv"):
        case = CASES.get(row["case"])
        if case is None or row["passed"] != "yes" or case.changes or not isinstance(case.recipe, str):
            continue
        rungs = [float(text) for name, text in row.items() if name not in ("case", "passed") and _is_number(text)]
        found[case.recipe] = max(found.get(case.recipe, 0.0), *rungs)
    return {recipe: f"{value:.0e}" for recipe, value in found.items()}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def exported() -> dict[str, str]:
    """Of each method, by its name in recipes: how far boxes move by export."""
    classes = {method.__name__: method.__dict__["Config"]().method for method in METHODS}
    found: dict[str, list[float]] = defaultdict(list)
    for row in table("export.csv"):
        if row["mode"] == "export" and not row["error"] and row["method"] in classes:
            found[classes[row["method"]]].append(float(row["boxes"]))
    return {method: f"{max(values):.0e}" if max(values) > LEAST else "0" for method, values in found.items()}


def page() -> str:
    """The whole page."""
    systems: dict[str, list[dict[str, str]]] = defaultdict(list)
    listed = [row for row in table("zoo.csv") if row["parameters"] != CLASSIFIER]
    for row in listed:
        systems[row["system"]].append(row)
    done = sum(bool(row["recipe"]) for row in listed)
    left = len(table("zoo.csv")) - len(listed)
    missing = f" ({left} rows of Res2Net's table are models of image classification)" if left else ""
    lines = [HEAD.format(done=done, count=len(listed), missing=missing), *_heading("column", "says")]
    lines += [*(_line(*one) for one in COLUMNS.items()), ""]
    known, cases, moved = recipes(), parity(), exported()
    for system in sorted(systems, key=str.lower):
        lines += [f"## {system}", "", *_section(systems[system], known, cases, moved), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(
    listed: Sequence[Mapping[str, str]], known: Mapping[str, Row], cases: Mapping[str, str], moved: Mapping[str, str]
) -> Iterator[str]:
    left_out = ("3.x", "2.x") if listed[0]["system"].startswith("PaddleDetection") else ("config",)
    columns = [name for name in COLUMNS if name not in left_out]
    yield from _heading(*columns)
    for row in listed:
        name = row["recipe"]
        if not name:
            yield _line(f"{row['name']}: none yet", *[""] * (len(columns) - 1))
            continue
        recipe = known[name]
        published: Mapping[str, Any] = recipe.recipe["published"] or {}
        yield _line(
            f"`{name}`",
            _box(published),
            _percent(published, "mask_ap"),
            f"{recipe.parameters / 1e6:.1f}",
            _state(row["parameters"]),
            *(_state(row[IMPORTED[name]]) for name in columns if name in IMPORTED),
            cases.get(name, ""),
            moved.get(recipe.recipe["model"]["method"], ""),
        )


def _heading(*names: str) -> list[str]:
    return [_line(*names), f"|{'---|' * len(names)}"]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _percent(published: Mapping[str, Any], name: str) -> str:
    plain, flipped = published.get(name), published.get(f"tta_{name}")
    both = [f"{value:.1f}" for value in (plain,) if value is not None]
    both += [f"{flipped:.1f} (TTA)"] if flipped is not None else []
    return ", ".join(both)


def _box(published: Mapping[str, Any]) -> str:
    recall = published.get("ar1000")
    return _percent(published, "box_ap") or (f"*{recall:.1f}*" if recall is not None else "")


def _state(cell: str) -> str:
    known = {"yes": "yes", "none": "none", NOT_TRIED: ""}
    return known.get(cell, "(note)" if cell.startswith(OTHERWISE) else "no")


def main() -> int:
    """Write the page."""
    print(write_atomically(PAGE, lambda path: path.write_text(page(), encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
