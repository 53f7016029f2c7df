"""One case and its row of results/parity.csv."""

from __future__ import annotations

from tests.parity.cases import CASES
from tests.parity.golden import load
from tests.parity.ladder import climb
from tests.parity.paddle import climb_paddle
from tests.parity.paddle_cases import PaddleCase
from tests.parity.rungs import RUNGS, Rung

# of the report; a rung's is its largest difference
COLUMNS: tuple[str, ...] = ("case", "passed", "first_failing", "where", *RUNGS)
Row = dict[str, str]


def run(name: str) -> Row:
    """Climb one case's ladder to its end, and say which rung is the first that fails, if any does."""
    golden = load(name)
    rungs: dict[str, Rung] = {}
    first, where = "", ""
    try:
        ladder = climb_paddle if isinstance(CASES[name], PaddleCase) else climb
        for rung in ladder(CASES[name].build(golden.threshold), golden):
            rungs[rung.name] = rung
            if not (rung.passed or first):
                first, where = rung.name, f"{rung.difference:.3g} at {rung.where}".split("\n")[0]
    except Exception as error:  # one broken case must not hide the others
        if not first:
            reached = next(reversed(rungs), "the start")
            first, where = f"after {reached}", f"{type(error).__name__}: {error}".split("\n")[0]
    values = {name: f"{rungs[name].difference:.1e}" if name in rungs else "" for name in RUNGS}
    return {"case": name, "passed": "no" if first else "yes", "first_failing": first, "where": where, **values}
