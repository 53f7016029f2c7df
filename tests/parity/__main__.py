"""``python -m tests.parity [--fresh] [--jobs N] [PATTERN ...]``: every case, or those that match, on all cores.

A case that passed and whose recording and code are as they were is not run again, but with ``--fresh``. When every case
has been run on the code as it is, results/parity.csv is written.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch

from detzoo.atomic import write_atomically
from tests.parity.cases import CASES, matching
from tests.parity.done import Done
from tests.parity.run import COLUMNS, Row, run

REPORT = Path(__file__).parents[2] / "results" / "parity.csv"
MEMORY = 6e9  # bytes that a process may need; CornerNet in double precision does


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.parity", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="cases, as 'retinanet*' or r50; default: all")
    parser.add_argument("--fresh", action="store_true", help="run again what passed")
    parser.add_argument("--jobs", type=int, help="processes; default: one per core, as far as there is memory for them")
    options = parser.parse_args(arguments)
    names = matching(options.patterns)
    if not names:
        print(f"no case matches {' '.join(options.patterns)}; there are: {', '.join(CASES)}")
        return 2
    done = Done()
    left = [name for name in names if options.fresh or not done.passed(name)]
    if len(left) < len(names):
        print(f"{len(names) - len(left)} of {len(names)} cases passed before on this code and are not run again")
    for row in _rows(left, options.jobs or _jobs()):
        done.add(row)
        print(_line(row), flush=True)
    rows = {name: done.row(name) for name in CASES}
    passed = sum(done.passed(name) for name in names)
    print(f"{passed} of {len(names)} cases pass")
    _report({name: row for name, row in rows.items() if row})
    return 0 if passed == len(names) else 1


def _rows(names: Sequence[str], jobs: int) -> Iterator[Row]:
    """Rows of cases as they are done, computed by as many processes at once."""
    if jobs == 1 or len(names) < 2:
        yield from map(run, names)
        return
    threads = max((os.cpu_count() or 1) // jobs, 1)
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,))
    with pool:
        for future in as_completed([pool.submit(run, name) for name in names]):
            yield future.result()


def _jobs() -> int:
    """One process per core that this one may use, as far as there is memory for them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else MEMORY
    return max(min(cores, int(memory / MEMORY)), 1)


def _line(row: Mapping[str, str]) -> str:
    where = f": {row['where']}" if row["first_failing"] else ""
    return f"{'FAIL' if row['first_failing'] else 'pass'}  {row['case']}  {row['first_failing']}{where}".rstrip()


def _report(rows: Mapping[str, Row]) -> None:
    if len(rows) < len(CASES):
        print(f"{REPORT.name} stays as it is: {len(rows)} of {len(CASES)} cases have been run on this code")
        return

    def write(target: Path) -> None:
        with target.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())

    print(f"report: {write_atomically(REPORT, write)}")


if __name__ == "__main__":
    import sys

    raise SystemExit(main(sys.argv[1:]))
