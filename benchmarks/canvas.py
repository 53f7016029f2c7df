"""What it costs to batch pictures of one canvas only, on pictures of COCO's sizes.

    python -m benchmarks.canvas

writes ``results/canvas.csv``, for the inputs of several methods: network calls and the pixels of all canvases, when
batches are taken in order and when they hold one canvas (`detzoo.data.canvases`), in `predict`, which sees no more than
a window, and in `evaluate`, which knows every size; and processor time of the latter two as a part of the first, on a
small detector with an input of a quarter of the usual edges.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.table import merge
from detzoo.data.canvases import canvases, of_one_canvas
from detzoo.data.order import evaluation_batches
from detzoo.data.resize import canvas_size, fit_input
from detzoo.detector import Detector, Input
from detzoo.evaluate.inference import detect_on_host
from detzoo.methods.cornernet import CornerNet
from detzoo.methods.detr import DETR
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.yolov3 import YOLOv3
from detzoo.predict.run import WINDOW
from detzoo.recipes.shapes_columns import DENSE_PYRAMID, LAST_TWO

# height, width: part of the pictures, nearly; of the others the long edge is 640 (four of five) or 500 pixels
COMMON = {
    (480, 640): 0.245,
    (427, 640): 0.135,
    (640, 480): 0.085,
    (426, 640): 0.06,
    (375, 500): 0.06,
    (640, 427): 0.04,
    (425, 640): 0.03,
    (428, 640): 0.025,
    (333, 500): 0.025,
    (500, 375): 0.022,
    (424, 640): 0.02,
    (640, 426): 0.018,
    (612, 612): 0.015,
    (360, 640): 0.014,
    (640, 640): 0.012,
    (640, 425): 0.01,
    (500, 333): 0.008,
}
INPUTS = {
    "800 x 1333": Input(),
    "800 x 1333, any multiple (DETR)": DETR.Config().input,
    "608 x 608 (YOLOv3)": YOLOv3.Config().input,
    "as it is (CornerNet)": CornerNet.Config().input,
}
SMALL = Input(short=200, long=333, multiple=8)  # a quarter of the usual edges, multiple included
PICTURES = 5000  # as many as COCO has for validation
TIMED, ROUNDS = 96, 2  # pictures that a detector looks at, and how often
BATCHES, TIMED_BATCHES = (2, 4, 8, 16), (4, 8)

Batches = list[list[int]]


def sizes(count: int) -> np.ndarray:
    """Height and width of that many pictures, int64 ``[count, 2]``; always the same."""
    rng = np.random.default_rng(0)
    listed = np.array(list(COMMON))
    drawn = listed[rng.choice(len(listed), count, p=np.array(list(COMMON.values())) / sum(COMMON.values()))]
    long = rng.choice([640, 500], count, p=[0.8, 0.2])
    short = (long * rng.triangular(0.45, 0.67, 1.0, count)).astype(np.int64)
    wide = rng.random(count) < 0.72
    other = np.where(wide[:, None], np.stack([short, long], 1), np.stack([long, short], 1))
    return np.where((rng.random(count) < sum(COMMON.values()))[:, None], drawn, other)


def ways(pictures: np.ndarray, input: Input, batch: int) -> dict[str, Batches]:
    """Which pictures share a batch: in order, in `predict`, and in `evaluate`."""
    found = canvases(pictures, input)
    keys = zip(map(tuple, found.tolist()), range(len(found)), strict=True)
    return {
        "in_order": [list(range(start, min(start + batch, len(found)))) for start in range(0, len(found), batch)],
        "predict": list(of_one_canvas(keys, batch, WINDOW * batch)),
        "evaluate": evaluation_batches(found, batch, 0, 1),
    }


def pixels(pictures: np.ndarray, input: Input, batches: Iterable[Sequence[int]]) -> int:
    """Pixels of all canvases, those of the padding included."""
    fitted = torch.tensor([fit_input(height, width, input) for height, width in pictures.tolist()])
    return sum(len(some) * int(np.prod(canvas_size(fitted[list(some)], input))) for some in batches)


def counts(name: str, batch: int) -> dict[str, Any]:
    """One row: calls and pixels of `PICTURES` pictures."""
    pictures, input = sizes(PICTURES), INPUTS[name]
    found = ways(pictures, input, batch)
    row: dict[str, Any] = {"input": name, "batch": str(batch), "pictures": len(pictures)}
    row["canvases"] = len(np.unique(canvases(pictures, input), axis=0))
    row |= {f"calls_{way}": len(batches) for way, batches in found.items()}
    area = {way: pixels(pictures, input, batches) for way, batches in found.items()}
    image = sum(int(np.prod(fit_input(height, width, input))) for height, width in pictures.tolist())
    row |= {f"padding_{way}": f"{1 - image / total:.3f}" for way, total in area.items()}
    return row | {"pixels_ratio": f"{area['predict'] / area['in_order']:.3f}"}


def times(batch: int) -> dict[str, str]:
    """Processor time of a small RetinaNet over `TIMED` pictures, as parts of that in order: least of `ROUNDS` each."""
    torch.manual_seed(0)
    config = RetinaNet.Config(
        input=SMALL, backbone=LAST_TWO, neck=DENSE_PYRAMID, head=RetinaNet.Head(convs=2, channels=64)
    )
    detector = RetinaNet(config, ("a", "b")).eval()
    pictures = sizes(TIMED)
    found = ways(pictures, SMALL, batch)
    least = dict.fromkeys(found, float("inf"))
    for _ in range(ROUNDS):
        for way, batches in found.items():
            started = time.process_time()
            _look(detector, pictures, batches)
            least[way] = min(least[way], time.process_time() - started)
    return {f"time_ratio_{way}": f"{least[way] / least['in_order']:.2f}" for way in ("predict", "evaluate")}


def _look(detector: Detector, pictures: np.ndarray, batches: Batches) -> None:
    for some in batches:
        fitted = torch.tensor([fit_input(height, width, SMALL) for height, width in pictures[some].tolist()])
        height, width = canvas_size(fitted, SMALL)
        detect_on_host(detector, torch.full((len(some), 3, height, width), 100, dtype=torch.uint8), fitted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/canvas.csv"))
    out = parser.parse_args().out
    rows = [counts(name, batch) for name in INPUTS for batch in BATCHES]
    for row in rows:
        if row["input"] == "800 x 1333" and int(row["batch"]) in TIMED_BATCHES:
            row |= times(int(row["batch"]))
    merge(out, rows, ("input", "batch"), {"input": list(INPUTS), "batch": list(map(str, BATCHES))})


if __name__ == "__main__":
    main()
