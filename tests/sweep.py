"""Every check of every method, and a table of what came out: part of ``make sweep``.

    python -m tests.sweep -n 2

runs all tests that are made once per method or form of one (`tests.tiny.FORMS`), those that continuous integration
makes only of one method of each family included, and writes ``results/sweep.csv``: per method and test how many cases
there were, whether all passed, and seconds. Words are pytest's; with ``-k`` or names of files only a part is run, and
other rows of the table stay.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.table import merge
from tests.tiny import FORMS

OUT = Path("results/sweep.csv")
METHOD = "method"  # an item's property


def form_of(parameters: Mapping[str, Any]) -> str | None:
    """The form that a test is made for, by its parameters ``form`` or ``method``; None: it is for no single one."""
    for name in ("form", "method"):
        value = parameters.get(name)
        value = value.__name__ if isinstance(value, type) else value
        if value in FORMS:
            return value
    return None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Every process notes for which method a test is: that travels with its report."""
    form = form_of(item.callspec.params) if hasattr(item, "callspec") else None  # pyright: ignore[reportAttributeAccessIssue] # of a function with parameters
    if form is not None:
        item.user_properties.append((METHOD, form))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not made for a method."""
    kept = [item for item in items if METHOD in dict(item.user_properties) or item.get_closest_marker("sweep")]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


class Rows:
    """Gathers the table from the reports."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one stage (setup, call or teardown) of one test."""
        file, _, test = report.nodeid.partition("::")
        key = str(dict(report.user_properties).get(METHOD, "")), f"{Path(file).stem}::{test.partition('[')[0]}"
        row = self.rows.setdefault(
            key, {"method": key[0], "check": key[1], "cases": 0, "result": "pass", "seconds": 0.0}
        )
        row["cases"] += report.when == "call"
        row["seconds"] += report.duration
        if report.failed:
            row["result"] = "fail"

    def write(self, path: Path) -> None:
        """Put the rows into the table."""
        rows = [row | {"seconds": round(row["seconds"], 1)} for row in self.rows.values()]
        checks = sorted({row["check"] for row in rows})
        merge(path, rows, ("method", "check"), {"method": tuple(FORMS), "check": checks})


def main(words: list[str]) -> int:
    """Run the tests and write the table; returns pytest's exit code."""
    rows = Rows()
    code = pytest.main(["-p", "tests.sweep", "-m", "sweep or not sweep", *words], plugins=[rows])
    if rows.rows:
        rows.write(OUT)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
