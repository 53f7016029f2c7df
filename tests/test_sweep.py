"""What continuous integration leaves to `make sweep`, and the table that it writes."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from detzoo.methods.ssd import SSD
from tests.sweep import METHOD, Rows, form_of
from tests.tiny import FAMILIES, FORMS, METHOD_IDS, every_form, swept_form


@pytest.mark.parametrize(
    ("made", "wanted"), [(swept_form, FAMILIES), (every_form, {*METHOD_IDS, *FAMILIES})], ids=["costly", "cheap"]
)
def test_every_form_is_swept_and_some_always_run(made: pytest.MarkDecorator, wanted: Collection[str]) -> None:
    _, entries = made.args
    left_out = [entry.values[0] for entry in entries if not isinstance(entry, str)]
    always = [entry for entry in entries if isinstance(entry, str)]
    assert sorted([*left_out, *always]) == sorted(FORMS)
    assert set(always) == set(wanted)
    marks = [mark.name for entry in entries if not isinstance(entry, str) for mark in entry.marks]
    assert marks == ["sweep"] * len(left_out)


@pytest.mark.parametrize(
    ("parameters", "form"),
    [
        ({"form": "FCOS-dcn-head", "batch": 1}, "FCOS-dcn-head"),
        ({"method": SSD}, "SSD"),
        ({"method": "mask_rcnn"}, None),
        ({"count": 3}, None),
    ],
)
def test_a_test_knows_its_method(parameters: dict[str, Any], form: str | None) -> None:
    assert form_of(parameters) == form


def report(test: str, when: str, outcome: str, method: str) -> pytest.TestReport:
    """One stage of a test that takes a quarter of a second."""
    return pytest.TestReport(
        nodeid=f"tests/test_learns.py::{test}",
        location=("", 0, ""),
        keywords={},
        outcome=outcome,  # pyright: ignore[reportArgumentType] # one of three literals
        longrepr=None,
        when=when,  # pyright: ignore[reportArgumentType]
        user_properties=[(METHOD, method)],
        duration=0.25,
    )


def test_the_table_has_a_row_per_method_and_test(tmp_path: Path) -> None:
    out = tmp_path / "sweep.csv"
    rows = Rows()
    for test, outcome in (("test_a[SSD-one]", "passed"), ("test_a[SSD-two]", "failed")):
        rows.pytest_runtest_logreport(report(test, "setup", "passed", "SSD"))
        rows.pytest_runtest_logreport(report(test, "call", outcome, "SSD"))
    rows.pytest_runtest_logreport(report("test_a[ATSS]", "setup", "failed", "ATSS"))
    rows.write(out)
    first, second = csv.DictReader(out.read_text().splitlines())
    assert first == {
        "method": "ATSS",
        "check": "test_learns::test_a",
        "cases": "0",
        "result": "fail",
        "seconds": "0.2",
    }
    assert (second["method"], second["cases"], second["result"], second["seconds"]) == ("SSD", "2", "fail", "1.0")
    again = Rows()
    again.pytest_runtest_logreport(report("test_a[SSD-one]", "call", "passed", "SSD"))
    again.write(out)
    assert [row["result"] for row in csv.DictReader(out.read_text().splitlines())] == ["fail", "pass"]
