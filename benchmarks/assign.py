"""Assignment of 200,000 anchors to few and to many objects on a processor, beside torchvision's way.

    python -m benchmarks.assign

The anchors are RetinaNet's, of a picture of 800 x 1344 pixels; the objects have COCO's sizes and lie anywhere in it.
Ours is `detzoo.blocks.assign.match`, with all that RetinaNet asks of it. torchvision's is the matrix of its ``box_iou``
and the maxima of that by anchor and by object, an image after the other: what its own assignment starts with. The two
take turns in one process, and what counts is the median of the ratios of neighbouring turns, in time of the processor,
all threads together. Memory is the most that tensors hold at once, results included. Writes ``results/assign.csv``, a
row per number of images and of objects.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor

from benchmarks.memory import peak_bytes
from benchmarks.table import merge
from detzoo.blocks.anchors import Anchors
from detzoo.blocks.assign import MatchConfig, match
from detzoo.types import Targets

IMAGES, OBJECTS = (1, 4), (1, 10, 100, 1000)
STRIDES = (8, 16, 32, 64, 128)
HEIGHT, WIDTH = 800, 1344
CONFIG = MatchConfig(positive=0.5, negative=0.4, low_quality=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("results/assign.csv"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    boxes = anchors()
    orders = {name: [str(value) for value in values] for name, values in (("images", IMAGES), ("objects", OBJECTS))}
    for images in IMAGES:
        for count in OBJECTS:
            objects = scatter(images, count)
            items = [{"boxes": some, "labels": torch.zeros(count)} for some in objects]
            packed = Targets.pack(items)
            row = _compare(
                lambda packed=packed: match(boxes, None, packed, CONFIG),
                lambda objects=objects: _overlaps(objects, boxes),
                args.rounds,
            )
            row = {"images": str(images), "objects": str(count), "anchors": len(boxes), **row, "threads": args.threads}
            row |= {"torch": torch.__version__, "torchvision": torchvision.__version__}
            print(*row.values())
            merge(args.out, [row], ("images", "objects"), orders)


def anchors() -> Tensor:
    """RetinaNet's anchors ``[A, 4]``."""
    scales = tuple(4 * 2 ** (step / 3) for step in range(3))
    return Anchors(Anchors.Config(scales=scales), STRIDES)([(-(-HEIGHT // s), -(-WIDTH // s)) for s in STRIDES])


def scatter(images: int, count: int) -> Tensor:
    """Objects ``[images, count, 4]`` of 7 to 500 pixels, some of them long."""
    generator = torch.Generator().manual_seed(count)
    size = torch.exp(torch.rand(images, count, 1, generator=generator) * 4.2 + 2)
    size = size * torch.exp(torch.randn(images, count, 2, generator=generator) * 0.3)
    centre = torch.rand(images, count, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def _overlaps(objects: Tensor, boxes: Tensor) -> None:
    for some in objects:
        found = torchvision.ops.box_iou(some, boxes)
        found.max(0)
        found.max(1)


def _compare(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> dict[str, Any]:
    turns = {"detzoo": ours, "torchvision": theirs}
    for run in turns.values():
        run()
    spent: dict[str, list[float]] = {who: [] for who in turns}
    for _ in range(rounds):
        for who, run in turns.items():
            spent[who].append(_seconds(run))
    ratios = [b / a for a, b in zip(spent["detzoo"], spent["torchvision"], strict=True)]
    row: dict[str, Any] = {f"{who}_ms": round(statistics.median(times) * 1e3, 1) for who, times in spent.items()}
    row["times_faster"] = round(statistics.median(ratios), 1)
    return row | {f"{who}_mb": round(peak_bytes(run) / 1e6, 1) for who, run in turns.items()}


def _seconds(run: Callable[[], object]) -> float:
    """Of the processor."""
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
