"""``python -m tests.parity [PATTERN ...]``: every case, or those that match, into their rows of results/parity.csv."""

from __future__ import annotations

import fnmatch
import sys
import time
from pathlib import Path

from benchmarks.table import merge
from tests.parity.cases import CASES
from tests.parity.golden import Golden, in_double, load
from tests.parity.ladder import climb
from tests.parity.rungs import BOUNDS, Rung

REPORT = Path(__file__).parents[2] / "results" / "parity.csv"


def run(name: str) -> dict[str, str]:
    """Climb one case's ladder, in double precision where float32 fails, and return its row of the report."""
    start = time.perf_counter()
    golden, precise = load(name), in_double(name)
    rungs, failure = _climb(name, golden)
    beyond = ""
    if failure and precise:
        beyond, golden = failure, precise
        rungs, failure = _climb(name, golden)
    print(f"{'FAIL' if failure else 'pass'}  {name}  {time.perf_counter() - start:.1f} s", flush=True)
    for said, where in ((beyond, "in float32, beyond its bound"), (failure, "first difference")):
        if said:
            print(f"      {where}: {said}")
    values = {key: f"{rungs[key].difference:.2e}" if key in rungs else "" for key in BOUNDS}
    return {
        "case": name,
        "precision": "float64" if golden.double else "float32",
        **values,
        "passed": "no" if failure else "yes",
        "first_difference": failure.split("\n")[0],
        "float32_beyond": beyond.split("\n")[0],
    }


def main(patterns: list[str]) -> int:
    names = [name for name in CASES if not patterns or any(fnmatch.fnmatch(name, f"*{p}*") for p in patterns)]
    if not names:
        print(f"no case matches {' '.join(patterns)}; there are: {', '.join(CASES)}")
        return 2
    rows = [run(name) for name in names]
    passed = sum(row["passed"] == "yes" for row in rows)
    print(f"{passed} of {len(rows)} cases pass")
    merge(REPORT, rows, ("case",), {"case": list(CASES)})
    print(f"report: {REPORT}")
    return 0 if passed == len(rows) else 1


def _climb(name: str, golden: Golden) -> tuple[dict[str, Rung], str]:
    """The rungs by name, and the first difference beyond its bound."""
    rungs: dict[str, Rung] = {}
    try:
        for rung in climb(CASES[name].build(), golden):
            rungs[rung.name] = rung
    except Exception as error:  # one broken case must not hide the others
        return rungs, f"after {next(reversed(rungs), 'the start')}: {type(error).__name__}: {error}"
    return rungs, next((f"{r.name}: {r.difference:.3g} at {r.where}" for r in rungs.values() if not r.passed), "")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
