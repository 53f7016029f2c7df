"""Seconds and peak memory of processes that only look around, beside importing torch and torchvision's operators.

    python -m benchmarks.startup

Every round starts each process of `PROCESSES` once, forwards and then backwards, and waits for its end. Python finds
all modules compiled, as it does after an installation: the first, uncounted round compiles them into a folder of its
own. Writes ``results/startup.csv``: wall-clock and processor time (median and minimum), peak resident memory, and the
median over the rounds of the processor time as a share of that of ``import torch``, which other work on the machine
changes least. ``without torch``: whether the process ends without having imported it, asked of one more process each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import cpu_name, versions
from benchmarks.table import merge

NAME = "retinanet_r50_fpn_1x_coco"
_COMMAND = "import sys; from detzoo.cli import main; sys.exit(main({!r}))"  # what the script `detzoo` does

# what is started: its name in the table, and what Python runs
PROCESSES = {
    "detzoo --help": _COMMAND.format(["--help"]),
    "detzoo list": _COMMAND.format(["list"]),
    "detzoo show NAME": _COMMAND.format(["show", NAME]),
    "detzoo show MISSPELT": _COMMAND.format(["show", NAME[:-1]]),
    "import detzoo": "import detzoo",
    "detzoo.names()": "import detzoo; detzoo.names()",
    "detzoo.find(NAME)": f"import detzoo; detzoo.find({NAME!r})",
    "import torch": "import torch",
    "import torchvision.ops": "import torchvision.ops",
}
TORCH = "import torch"
_ASK = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); "


class Spent(NamedTuple):
    """What one process took."""

    wall: float  # seconds
    busy: float  # seconds of processor time, user's and system's
    peak: float  # MB of resident memory


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("results/startup.csv"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        torch_free = {what: without_torch(code, environment) for what, code in PROCESSES.items()}
        spent: dict[str, list[Spent]] = {what: [] for what in PROCESSES}
        for turn in range(args.rounds):
            for what in list(PROCESSES)[:: 1 if turn % 2 == 0 else -1]:
                spent[what].append(start(PROCESSES[what], environment))
    about = {"rounds": args.rounds} | versions(("torch", "torchvision")) | {"cpu": cpu_name()}
    rows = []
    for what in PROCESSES:
        rows.append({"process": what} | numbers(spent[what], spent[TORCH]))
        rows[-1] |= {"without torch": torch_free[what]} | about
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    merge(args.out, rows, ("process",), {"process": tuple(PROCESSES)})


def start(code: str, environment: Mapping[str, str]) -> Spent:
    """Run Python until it ends, its output thrown away."""
    begun = time.perf_counter()
    nowhere = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", code], environment, file_actions=nowhere)
    _, _, used = os.wait4(child, 0)
    return Spent(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def numbers(own: Sequence[Spent], torch: Sequence[Spent]) -> dict[str, str | float]:
    """A process's row of the table; ``torch``: what importing torch took in the same rounds."""
    return {
        "wall_median_s": round(statistics.median(one.wall for one in own), 2),
        "wall_min_s": round(min(one.wall for one in own), 2),
        "cpu_median_s": round(statistics.median(one.busy for one in own), 2),
        "cpu_min_s": round(min(one.busy for one in own), 2),
        "peak_mb": round(statistics.median(one.peak for one in own)),
        "of_torch": round(statistics.median(a.busy / b.busy for a, b in zip(own, torch, strict=True)), 2),
    }


def without_torch(code: str, environment: Mapping[str, str]) -> bool:
    """Whether a process ends without having imported torch."""
    command = [sys.executable, "-c", _ASK + code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stderr.splitlines()[-1] == "False"


if __name__ == "__main__":
    main()
