"""Operator launches and host synchronizations of prediction and of a training step, beside torchvision's.

    python -m benchmarks.launches

writes ``results/launches.csv``: from the network's input to the detections of the batch, still on the device, and from
the network's input to the gradients. Preparing the input and the optimizer's step are left out on both sides.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from benchmarks.counting import Counts, count
from benchmarks.peers import (
    METHODS,
    Pair,
    make_objects,
    make_pair,
    make_pictures,
    our_images,
    our_targets,
    their_targets,
)

BATCHES = (1, 4)
MODES = ("detect", "train")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--method", choices=METHODS, action="append", help="default: all")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 320), metavar=("H", "W"), help="pixels")
    parser.add_argument("--depth", type=int, default=50, choices=(18, 34, 50, 101, 152), help="of the ResNet")
    parser.add_argument("--out", type=Path, default=Path("results/launches.csv"))
    parser.add_argument("--show", action="store_true", help="print the operators too")
    args = parser.parse_args()
    rows = []
    for method in args.method or METHODS:
        pair = make_pair(method, tuple(args.size), args.depth)
        for who in ("detzoo", "torchvision"):
            for mode in MODES:
                for batch in BATCHES:
                    counts = measure(pair, who, mode, batch, tuple(args.size))
                    rows.append(_row(method, who, mode, batch, counts))
                    print(*rows[-1].values())
                    if args.show:
                        print("  launches", counts.launches.most_common(), "\n  syncs", dict(counts.syncs))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def measure(pair: Pair, who: str, mode: str, batch: int, size: tuple[int, int]) -> Counts:
    """Counts of one side (``detzoo`` or ``torchvision``), one mode (``detect`` or ``train``) and batch size."""
    pictures, objects = make_pictures(batch, size), make_objects(batch, size)
    prepare = _ours if who == "detzoo" else _theirs
    run = prepare(pair, mode, pictures, objects)
    run()  # what happens once only is not counted
    return count(run)


def _ours(pair: Pair, mode: str, pictures: Tensor, objects: list[dict[str, Tensor]]) -> Callable[[], object]:
    model, images = pair.ours, our_images(pair.ours, pictures)
    if mode == "detect":
        model.eval()
        return torch.no_grad()(lambda: model.detect(images))
    model.train()
    targets = our_targets(pair.method, objects)

    def step() -> None:
        losses = model(images, targets)
        torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
        model.zero_grad()

    return step


def _theirs(pair: Pair, mode: str, pictures: Tensor, objects: list[dict[str, Tensor]]) -> Callable[[], object]:
    model: Any = pair.theirs
    prepared = our_images(pair.ours, pictures).pixels
    sizes = [(picture.shape[-2], picture.shape[-1]) for picture in pictures]
    transform = model.transform

    def counted(run: Callable[[], None]) -> Callable[[], None]:
        def inner() -> None:
            model.transform = _Prepared(ImageList(prepared, sizes))
            try:
                run()
            finally:
                model.transform = transform

        return inner

    listed = list(prepared)
    if mode == "detect":
        model.eval()
        return counted(torch.no_grad()(lambda: model(listed)))
    model.train()
    wanted = their_targets(pair.method, objects)

    def step() -> None:
        torch.stack(list(model(listed, wanted).values())).sum().backward()
        model.zero_grad()

    return counted(step)


class _Prepared(nn.Module):
    """Stands in for torchvision's resizing, normalizing and pasting."""

    def __init__(self, images: ImageList) -> None:
        super().__init__()
        self.images = images

    def forward(self, images: list[Tensor], targets: Any = None) -> tuple[ImageList, Any]:
        return self.images, targets

    def postprocess(self, result: Any, shapes: Any, originals: Any) -> Any:
        return result


def _row(method: str, who: str, mode: str, batch: int, counts: Counts) -> dict[str, str | int]:
    return {
        "method": method,
        "who": who,
        "mode": mode,
        "batch": batch,
        "launches": counts.launches.total(),
        "syncs": counts.syncs.total(),
        "views": counts.views.total(),
    }


if __name__ == "__main__":
    main()
