"""Operator launches and host synchronizations of prediction and of a training step, ours and others'.

    python -m benchmarks.launches

writes ``results/launches.csv``: from the network's input to the detections of the batch, still on the device, and from
the network's input to the gradients. Preparing the input and the optimizer's step are left out on both sides. Methods
that no other library has appear with ours only, as do methods on other parts (`FORMS` of `tests.tiny`), which are
small. Rows of methods that are not asked for stay.

Ours are equal for 2 and for 4 images. A single image may take fewer: a part of it is whole in memory, where that of
several has to be copied, so that some launches turn into views.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.counting import Counts, count
from benchmarks.peers import METHODS, SIZES, Pair, make_pair
from benchmarks.scenes import make_objects, make_pictures
from benchmarks.sides import Ours, Side
from benchmarks.table import merge
from tests.tiny import CANVAS, FORMS, METHOD_IDS, tiny

BATCHES = (1, 2, 4)
MODES = ("detect", "train")
WHO = ("detzoo", "torchvision", "transformers")
PARTS = tuple(form for form in FORMS if form not in METHOD_IDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--method", choices=METHODS + PARTS, action="append", help="default: all")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="pixels; default: 256 320")
    parser.add_argument("--depth", type=int, default=50, choices=(18, 34, 50, 101, 152), help="of the ResNet")
    parser.add_argument("--out", type=Path, default=Path("results/launches.csv"))
    parser.add_argument("--show", action="store_true", help="print the operators too")
    args = parser.parse_args()
    orders = {"method": METHODS + PARTS, "who": WHO, "mode": MODES}
    for method in args.method or METHODS + PARTS:
        if method in PARTS:
            size, pair = CANVAS, Pair(method, Ours(tiny(method)), None)
        else:
            size = tuple(args.size) if args.size else SIZES.get(method, (256, 320))
            pair = make_pair(method, size, args.depth)
        for side in pair.sides:
            for mode in MODES:
                for batch in BATCHES:
                    counts = measure(pair, side, mode, batch, size)
                    row = _row(method, side.who, mode, batch, counts)
                    print(*row.values(), flush=True)
                    merge(args.out, [row], ("method", "who", "mode", "batch"), orders)
                    if args.show:
                        print("  launches", counts.launches.most_common(), "\n  syncs", dict(counts.syncs))


def measure(pair: Pair, side: Side, mode: str, batch: int, size: tuple[int, int]) -> Counts:
    """Counts of one side of a pair in one mode (``detect`` or ``train``) at one batch size."""
    images = pair.ours.images(make_pictures(batch, size))
    losses = side.losses(images, make_objects(batch, size, len(pair.ours.model.classes)))

    def learn() -> None:
        losses().backward()
        side.model.zero_grad()

    # either prepares the model: the one that is used comes last
    run = learn if mode == "train" else side.detect(images)
    run()  # what happens once only is not counted
    return count(run)


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
