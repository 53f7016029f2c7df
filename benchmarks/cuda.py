"""Milliseconds and memory of prediction and of a training step on a CUDA device, beside another library's.

    python -m benchmarks.cuda

As `benchmarks.cpu`, whose pictures, models and work these are: both take turns, and what counts is the median of the
ratios of neighbouring turns; one below 1 means that detzoo is faster. A turn is one run, of a single picture `STEPS`
one after the other, from an idle device to an idle device. In bfloat16 both run under autocast. Memory is the most that
tensors hold at once beyond what the models hold. Writes ``results/cuda.csv``, a row per method, mode, precision and
batch; other rows stay.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import versions
from benchmarks.peers import METHODS, PEERS, SIZES, make_pair
from benchmarks.rate import PRECISIONS
from benchmarks.scenes import make_objects, make_pictures
from benchmarks.sides import Side
from benchmarks.table import merge
from benchmarks.work import LIBRARIES, MODES, ratio, work

STEPS = 5
BATCHES = (1, 8)
DEVICE = torch.device("cuda")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=METHODS, action="append", help="default: those that have a peer")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each")
    parser.add_argument("--batch", type=int, nargs="+", default=BATCHES, help="pictures")
    parser.add_argument("--out", type=Path, default=Path("results/cuda.csv"))
    args = parser.parse_args()
    for method in args.method or PEERS:
        size = SIZES.get(method, (800, 1333))
        pair = make_pair(method, size)
        for side in pair.sides:
            side.to(DEVICE)
        for batch in args.batch:
            pictures = make_pictures(batch, size).to(DEVICE)
            items = make_objects(batch, size, len(pair.ours.model.classes))
            items = [{name: value.to(DEVICE) for name, value in item.items()} for item in items]
            for mode in MODES:
                for precision in PRECISIONS:
                    runs = {side.who: work(side, mode, precision, pictures, items) for side in pair.sides}
                    row: dict[str, Any] = {"method": method, "mode": mode, "precision": precision, "batch": batch}
                    row |= {"height": size[0], "width": size[1], "peer": pair.theirs.who if pair.theirs else ""}
                    row |= _compare(pair.sides, mode, runs, args.rounds, STEPS if batch == 1 else 1)
                    row |= versions(LIBRARIES) | {"device": torch.cuda.get_device_name()}
                    print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
                    orders = {"method": METHODS, "mode": MODES, "precision": tuple(PRECISIONS)}
                    merge(args.out, [row], (*orders, "batch"), orders)


def _compare(
    sides: list[Side], mode: str, runs: dict[str, Callable[[], Any]], rounds: int, steps: int
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for who, side in zip(("detzoo", "peer"), sides, strict=False):
        side.model.train(mode == "train")
        runs[side.who]()  # compiles kernels, makes the optimizer's state
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        runs[side.who]()
        row[f"{who}_mb"] = round((torch.cuda.max_memory_allocated() - held) / 2**20)
    seconds: dict[str, list[float]] = {side.who: [] for side in sides}
    for turn in range(rounds):
        for side in sides[:: 1 if turn % 2 == 0 else -1]:
            seconds[side.who].append(_turn(runs[side.who], steps))
    for who, side in zip(("detzoo", "peer"), sides, strict=False):
        row[f"{who}_ms"] = round(statistics.median(seconds[side.who]) * 1e3, 1)
    if len(sides) > 1:
        row["time_ratio"] = round(ratio(seconds, *(side.who for side in sides)), 3)
        row["memory_ratio"] = round(row["detzoo_mb"] / row["peer_mb"], 3)
    return row


def _turn(run: Callable[[], Any], steps: int) -> float:
    """Seconds of one of ``steps`` runs."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(steps):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - begun) / steps


if __name__ == "__main__":
    main()
