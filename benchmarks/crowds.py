"""A training step with a crowd: what 1000 objects in a picture cost beside 10, of every method.

    python -m benchmarks.crowds [--method NAME ...]

writes ``results/crowds.csv``: processor time from the network's input to the gradients, all threads together, of the
method on ResNet-50 (or what its settings have) with pictures of 416 x 640 pixels, or of the size that it is made for.
Ten and a thousand objects take turns in one process; ``ratio`` is the median of those of neighbouring turns. It holds
the matching of objects, too, which a crowd may make longer: `benchmarks.assign` measures that alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import versions
from benchmarks.peers import METHODS, SIZES, alone
from benchmarks.scenes import make_objects, make_pictures
from benchmarks.sides import Ours
from benchmarks.table import merge
from benchmarks.turns import in_turns

SIZE = (416, 640)
IMAGES, FEW, MANY = (1, 4), 10, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--method", choices=METHODS, action="append", help="default: all")
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--out", type=Path, default=Path("results/crowds.csv"))
    options = parser.parse_args()
    for method in options.method or METHODS:
        torch.manual_seed(0)
        side = alone(method)
        for images in options.images:
            row = {"method": method, "images": str(images)} | measure(
                side, images, SIZES.get(method, SIZE), options.rounds
            )
            print(*row.values(), flush=True)
            merge(options.out, [row], ("method", "images"), {"method": METHODS})


def measure(side: Ours, images: int, size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Processor milliseconds of a step with few and with many objects in each of ``images`` pictures."""
    pictures = side.images(make_pictures(images, size))
    classes = len(side.model.classes)

    def step(objects: int) -> Callable[[], None]:
        losses = side.losses(pictures, make_objects(images, size, classes, objects=objects))

        def learn() -> None:
            losses().backward()
            side.model.zero_grad()

        learn()
        return learn

    spent = in_turns({"few": step(FEW), "many": step(MANY)}, rounds, ours="few", digits=0)
    times = {f"{count}_objects_ms": spent[way]["median_ms"] for way, count in (("few", FEW), ("many", MANY))}
    return {**times, "ratio": spent["many"]["ratio"], "threads": torch.get_num_threads(), **versions(("torch",))}


if __name__ == "__main__":
    main()
