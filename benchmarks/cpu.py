"""Seconds and memory of prediction and of a training step on the CPU, beside torchvision's.

    python -m benchmarks.cpu

The two models of `benchmarks.peers` take turns in one process on the same pictures, and what counts is the median of
the ratios of neighbouring turns; one below 1 means that detzoo is faster. Memory is measured in a process of its own
for each: the growth of its peak resident size from after building the model. Writes ``results/cpu.csv``, a row per
method and mode; rows of other methods and modes stay.

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
import csv
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor

from benchmarks.peers import (
    METHODS,
    load,
    make_objects,
    make_pair,
    make_pictures,
    make_proposed_objects,
    our_images,
    our_model,
    our_targets,
    their_model,
    their_targets,
)

MODES = ("predict", "train")
WHO = ("detzoo", "torchvision")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=METHODS, action="append", help="default: all")
    parser.add_argument("--mode", choices=MODES, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each")
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1333), metavar=("H", "W"), help="pixels")
    parser.add_argument("--batch", type=int, default=1, help="pictures")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("results/cpu.csv"))
    parser.add_argument("--objects", choices=("proposed", "random"), default="proposed", help="of training pictures")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--alone", nargs=2, metavar=("WHO", "MATERIAL"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    size = (args.size[0], args.size[1])
    if args.alone:
        who, material = args.alone
        print(json.dumps(_grow(who, args.method[0], args.mode[0], size, Path(material))))
        return
    for method in args.method or METHODS:
        for mode in args.mode or MODES:
            row = {"method": method, "mode": mode, "batch": args.batch, "height": size[0], "width": size[1]}
            proposed = args.objects == "proposed" and mode == "train" and method != "retinanet"
            row |= _compare(method, mode, size, args.batch, args.rounds, proposed, memory=not args.no_memory)
            row |= {"threads": args.threads, "torch": torch.__version__, "torchvision": torchvision.__version__}
            row |= {"cpu": _cpu_name()}
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            _merge(args.out, row)


def _compare(
    method: str, mode: str, size: tuple[int, int], batch: int, rounds: int, proposed: bool, memory: bool
) -> dict[str, Any]:
    pair = make_pair(method, size)
    pictures = make_pictures(batch, size)
    items = make_proposed_objects(pair.theirs, pictures) if proposed else make_objects(batch, size)
    runs = {"detzoo": _work(pair.ours, "detzoo", method, mode, pictures, items)}
    runs["torchvision"] = _work(pair.theirs, "torchvision", method, mode, pictures, items)
    found = {who: run() for who, run in runs.items()}  # also warms up
    wall: dict[str, list[float]] = {who: [] for who in WHO}
    busy: dict[str, list[float]] = {who: [] for who in WHO}
    for turn in range(rounds):
        for who in WHO if turn % 2 == 0 else WHO[::-1]:
            gc.collect()
            begun, begun_busy = time.perf_counter(), time.process_time()
            runs[who]()
            wall[who].append(time.perf_counter() - begun)
            busy[who].append(time.process_time() - begun_busy)
    row: dict[str, Any] = {"rounds": rounds}
    for who in WHO:
        row[f"{who}_median_s"] = round(statistics.median(wall[who]), 3)
        row[f"{who}_min_s"] = round(min(wall[who]), 3)
    row["time_ratio"] = _ratio(wall)
    row["cpu_time_ratio"] = _ratio(busy)
    row |= {f"{who}_{key}": value for who in WHO for key, value in found[who].items()}
    if memory:
        with tempfile.TemporaryDirectory() as folder:
            material = Path(folder) / "material.pt"
            torch.save((pair.theirs.state_dict(), pictures, items), material)
            del pair, runs
            gc.collect()
            grown = {who: _measure_alone(who, method, mode, size, material) for who in WHO}
        row |= {f"{who}_peak_mb": round(grown[who]) for who in WHO}
        row["memory_ratio"] = round(grown["detzoo"] / grown["torchvision"], 3)
    return row


def _ratio(seconds: dict[str, list[float]]) -> float:
    pairs = zip(seconds["detzoo"], seconds["torchvision"], strict=True)
    return round(statistics.median(ours / theirs for ours, theirs in pairs), 3)


def _work(
    model: Any, who: str, method: str, mode: str, pictures: Tensor, items: list[dict[str, Tensor]]
) -> Callable[[], dict[str, int]]:
    """A function that does the work once, and says how much of it there was."""
    if mode == "predict":
        model.eval()
        run = _our_prediction if who == "detzoo" else _their_prediction
        return torch.no_grad()(lambda: {"detections": run(model, pictures)})
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # so small a rate that the work stays the same
    optimizer = torch.optim.SGD(parameters, lr=1e-8, momentum=0.9, weight_decay=1e-4)
    losses = _our_losses(model, method, pictures, items) if who == "detzoo" else None
    losses = losses or _their_losses(model, method, pictures, items)
    rois: list[int] = []
    if method == "mask_rcnn":
        head = model.mask_head.convs[0] if who == "detzoo" else model.roi_heads.mask_head
        head.register_forward_pre_hook(lambda _, inputs: rois.append(len(inputs[0])))

    def step() -> dict[str, int]:
        torch.stack(losses()).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        return {"mask_rois": rois[-1]} if rois else {}

    return step


def _our_prediction(model: Any, pictures: Tensor) -> int:
    found = model.detect(our_images(model, pictures))
    results = [found[index] for index in range(len(found))]
    for result in results:
        assert model.config.method != "mask_rcnn" or result.masks is not None
    return sum(len(result) for result in results)


def _their_prediction(model: Any, pictures: Tensor) -> int:
    return sum(len(result["boxes"]) for result in model([picture.float() / 255 for picture in pictures]))


def _our_losses(
    model: Any, method: str, pictures: Tensor, items: list[dict[str, Tensor]]
) -> Callable[[], list[Tensor]]:
    targets = our_targets(method, items)

    def losses() -> list[Tensor]:
        named = model(our_images(model, pictures), targets)
        return [value for name, value in named.items() if "loss" in name]

    return losses


def _their_losses(
    model: Any, method: str, pictures: Tensor, items: list[dict[str, Tensor]]
) -> Callable[[], list[Tensor]]:
    wanted = their_targets(method, items)
    return lambda: list(model([picture.float() / 255 for picture in pictures], wanted).values())


def _measure_alone(who: str, method: str, mode: str, size: tuple[int, int], material: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.cpu", "--alone", who, str(material), "--method", method]
    command += ["--mode", mode, "--size", str(size[0]), str(size[1])]
    command += ["--threads", str(torch.get_num_threads())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.strip().splitlines()[-1])


def _grow(who: str, method: str, mode: str, size: tuple[int, int], material: Path) -> float:
    """Growth of this process's peak resident size while the work is done twice, in MB."""
    state, pictures, items = torch.load(material, weights_only=True)
    if who == "detzoo":
        model: Any = our_model(method)
        load(model, method, state)
    else:
        model = their_model(method, size)
        model.load_state_dict(state)
    del state
    run = _work(model, who, method, mode, pictures, items)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * os.sysconf("SC_PAGE_SIZE")
    run()
    run()
    # not getrusage's ru_maxrss: a child inherits that from the process that started it
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return (int(status["VmHWM"].split()[0]) * 1024 - before) / 2**20


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _merge(path: Path, row: dict[str, Any]) -> None:
    """Write ``row`` in place of the one of the same method and mode."""
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if (old["method"], old["mode"]) != (row["method"], row["mode"])]
    rows.append(row)
    rows.sort(key=lambda each: (METHODS.index(each["method"]), MODES.index(each["mode"])))
    columns = list(dict.fromkeys(column for each in rows for column in each))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
