"""Seconds and memory of prediction and of a training step on the CPU, beside another library's.

    python -m benchmarks.cpu

The two models of `benchmarks.peers` take turns in one process on the same pictures, and what counts is the median of
the ratios of neighbouring turns; one below 1 means that detzoo is faster. Memory is measured in a process of its own
for each: the growth of its peak resident size from after building the model. Writes ``results/cpu.csv``, a row per
method, mode and precision; other rows stay.

In bfloat16 both run under autocast. One large 3x3 convolution of the same precision takes its turn, too: the columns
``..._of_conv_rate`` say which share of its rate, FLOP by time, a model reaches with the convolutions and matrix
products that it consists of, by the clock and by processor time.

A prediction goes from uint8 pictures to boxes, scores, labels and masks of the size of the picture. torchvision's masks
are probabilities; thresholding them is left out. A training step goes from uint8 pictures and packed targets through
the losses and gradients to one step of SGD.

torchvision's mask head learns from the RoIs that overlap an object, at most a quarter of the 512 sampled; ours always
computes a quarter. So that both do the same, the 64 objects of a picture lie where the first stage proposes boxes, as
it is after some training. ``--objects random`` puts them anywhere; torchvision then has less to do. The columns
``..._mask_rois`` say how many it was.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import cpu_name, versions
from benchmarks.peer_two_stage import METHODS as TWO_STAGES
from benchmarks.peer_two_stage import make_proposed_objects
from benchmarks.peers import METHODS, PEERS, SIZES, alone, make_pair, our_side, their_side
from benchmarks.rate import PRECISIONS, LargeConvolution, Precision, count_flop
from benchmarks.scenes import make_objects, make_pictures
from benchmarks.sides import Side
from benchmarks.table import merge
from benchmarks.torchvision_side import Torchvision
from benchmarks.work import LIBRARIES, MODES, ratio, work

OURS, THEIRS = "detzoo", "peer"
WHO = (OURS, THEIRS)
CONV = "conv"  # what takes its turn beside them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=METHODS, action="append", help="default: all")
    parser.add_argument("--mode", choices=MODES, action="append", help="default: all")
    parser.add_argument("--precision", choices=PRECISIONS, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="pixels; default: the method's own")
    parser.add_argument("--batch", type=int, default=1, help="pictures")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("results/cpu.csv"))
    parser.add_argument("--objects", choices=("proposed", "random"), default="proposed", help="of training pictures")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--alone", nargs=2, metavar=("WHO", "MATERIAL"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.alone:
        who, material = args.alone
        size = (args.size[0], args.size[1])
        print(json.dumps(_grow(who, args.method[0], args.mode[0], args.precision[0], size, Path(material))))
        return
    for method in args.method or METHODS:
        size = tuple(args.size) if args.size else SIZES.get(method, (800, 1333))
        for mode in args.mode or MODES:
            proposed = args.objects == "proposed" and mode == "train" and method in TWO_STAGES
            for precision in args.precision or PRECISIONS:
                row = {"method": method, "mode": mode, "precision": precision, "batch": args.batch}
                row |= {"height": size[0], "width": size[1]}
                row |= _compare(
                    method, mode, precision, size, args.batch, args.rounds, proposed, memory=not args.no_memory
                )
                row |= {"threads": args.threads} | versions(LIBRARIES) | {"cpu": cpu_name()}
                print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
                orders = {"method": METHODS, "mode": MODES, "precision": tuple(PRECISIONS)}
                merge(args.out, [row], tuple(orders), orders)


def _compare(
    method: str,
    mode: str,
    precision: Precision,
    size: tuple[int, int],
    batch: int,
    rounds: int,
    proposed: bool,
    memory: bool,
) -> dict[str, Any]:
    pair = make_pair(method, size)
    sides: dict[str, Side] = dict(zip(WHO, pair.sides, strict=False))
    pictures = make_pictures(batch, size)
    if proposed:
        assert isinstance(pair.theirs, Torchvision)
        items = make_proposed_objects(pair.theirs, pictures)
    else:
        items = make_objects(batch, size, len(pair.ours.model.classes))
    row: dict[str, Any] = {"peer": pair.theirs.who if pair.theirs else "", "rounds": rounds}
    runs = {who: work(side, mode, precision, pictures, items) for who, side in sides.items()}
    found = {who: run() for who, run in runs.items()}  # also warms up
    flop = {who: count_flop(run) for who, run in runs.items()} | {CONV: LargeConvolution.flop}
    turns = runs | {CONV: LargeConvolution(precision, time.perf_counter)}
    wall: dict[str, list[float]] = {who: [] for who in turns}
    busy: dict[str, list[float]] = {who: [] for who in turns}
    for turn in range(rounds):
        for who in list(turns)[:: 1 if turn % 2 == 0 else -1]:
            gc.collect()
            begun, begun_busy = time.perf_counter(), time.process_time()
            turns[who]()
            wall[who].append(time.perf_counter() - begun)
            busy[who].append(time.process_time() - begun_busy)
    for who in runs:
        row[f"{who}_median_s"] = round(statistics.median(wall[who]), 3)
        row[f"{who}_min_s"] = round(min(wall[who]), 3)
    if THEIRS in runs:
        row["time_ratio"] = round(ratio(wall, OURS, THEIRS), 3)
        row["cpu_time_ratio"] = round(ratio(busy, OURS, THEIRS), 3)
    row["conv_gflop_s"] = round(flop[CONV] / statistics.median(wall[CONV]) / 1e9)
    for who in runs:
        row[f"{who}_gflop"] = round(flop[who] / 1e9)
        for name, seconds in (("of_conv_rate", wall), ("of_conv_rate_cpu", busy)):
            row[f"{who}_{name}"] = round(flop[who] / flop[CONV] * ratio(seconds, CONV, who), 3)
    row |= {f"{who}_{key}": value for who in runs for key, value in found[who].items()}
    if memory:
        with tempfile.TemporaryDirectory() as folder:
            material = Path(folder) / "material.pt"
            given = pair.theirs or pair.ours
            torch.save((given.model.state_dict(), pictures, items), material)
            measured = list(runs)
            del pair, given, sides, runs, turns
            gc.collect()
            grown = {who: _measure_alone(who, method, mode, precision, size, material) for who in measured}
        row |= {f"{who}_peak_mb": round(grown[who]) for who in measured}
        if THEIRS in grown:
            row["memory_ratio"] = round(grown[OURS] / grown[THEIRS], 3)
    return row


def _measure_alone(
    who: str, method: str, mode: str, precision: Precision, size: tuple[int, int], material: Path
) -> float:
    command = [sys.executable, "-m", "benchmarks.cpu", "--alone", who, str(material), "--method", method]
    command += ["--mode", mode, "--precision", precision, "--size", str(size[0]), str(size[1])]
    command += ["--threads", str(torch.get_num_threads())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.strip().splitlines()[-1])


def _grow(who: str, method: str, mode: str, precision: Precision, size: tuple[int, int], material: Path) -> float:
    """Growth of this process's peak resident size while the work is done twice, in MB."""
    state, pictures, items = torch.load(material, weights_only=True)
    if method not in PEERS:
        side: Side = alone(method)
        side.model.load_state_dict(state)
    elif who == OURS:
        side = our_side(method, state)
    else:
        side = their_side(method, size)
        side.model.load_state_dict(state)
    del state
    run = work(side, mode, precision, pictures, items)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * os.sysconf("SC_PAGE_SIZE")
    run()
    run()
    # not getrusage's ru_maxrss: a child inherits that from the process that started it
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return (int(status["VmHWM"].split()[0]) * 1024 - before) / 2**20


if __name__ == "__main__":
    main()
