"""Processor time from mask crops to COCO's run lengths, beside the usual ways over whole canvases.

    python -m benchmarks.masks

100 crops of 28 x 28 on boxes of a picture of 480 x 640 become run lengths in these ways, which take turns in one
process on one thread:

* ``detzoo``: `detzoo.ops.rle.encode_crops`, which never makes a canvas;
* ``canvas``: the same masks pasted on whole canvases by ``grid_sample`` and encoded by pycocotools;
* ``torchvision``: its ``paste_masks_in_image``, a threshold and pycocotools, as its reference scripts evaluate.

Writes ``results/masks.csv``, a row per kind of boxes and way: ``boxes`` is ``objects`` (sides from 8 to 480 pixels,
small ones being more frequent, as in COCO) or ``large`` (half of the picture's sides and more). Milliseconds are of
processor time, ``ratio`` the median of those to detzoo's in the same round; below 1 is faster than detzoo.
Before anything is timed, detzoo's bytes are compared with those of its own pasted canvases (`detzoo.ops.masks.paste`)
encoded by pycocotools, every mask: one that differs ends the run. ``equal``: how many masks of the way are detzoo's
byte for byte: ``grid_sample`` rounds otherwise, torchvision moves boxes to whole pixels.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import paste_masks_in_image

from benchmarks.machine import cpu_name, versions
from benchmarks.table import merge
from benchmarks.turns import in_turns
from detzoo.ops.masks import paste
from detzoo.ops.rle import encode_crops

COUNT, GRID, CANVAS = 100, 28, (480, 640)
KINDS = ("objects", "large")
LIBRARIES = ("torch", "torchvision", "pycocotools")

Rles = list[dict[str, Any]]


def make_boxes(kind: str) -> Tensor:
    """``[100, 4]`` xyxy pixels inside of the picture, the same each time."""
    generator = torch.Generator().manual_seed(0)
    limit = torch.tensor([CANVAS[1], CANVAS[0]], dtype=torch.float32)
    part = torch.rand(COUNT, 2, generator=generator)
    sides = 8 * 60**part if kind == "objects" else limit * (0.5 + part / 2)
    corners = torch.rand(COUNT, 2, generator=generator) * (limit - sides)
    return torch.cat([corners, corners + sides], 1)


def make_crops() -> Tensor:
    """``[100, 28, 28]`` probabilities with the outline of a blob, as a mask head gives them."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(COUNT, 1, 6, 6, generator=generator)
    noise = F.interpolate(coarse, size=(GRID, GRID), mode="bicubic")[:, 0]
    axis = torch.linspace(-1, 1, GRID)
    return (4 - 6 * (axis.square()[:, None] + axis.square()) + 2 * noise).sigmoid()


def on_canvas(crops: Tensor, boxes: Tensor) -> Rles:
    """The plain way: a sampling grid over the canvas for every mask."""
    height, width = CANVAS
    x0, y0, x1, y1 = boxes.unbind(1)
    ys = (torch.arange(height) + 0.5 - y0[:, None]) / (y1 - y0)[:, None] * 2 - 1
    xs = (torch.arange(width) + 0.5 - x0[:, None]) / (x1 - x0)[:, None] * 2 - 1
    shape = (len(boxes), height, width)
    grid = torch.stack([xs[:, None, :].expand(shape), ys[:, :, None].expand(shape)], 3)
    return _encoded(F.grid_sample(crops[:, None], grid, align_corners=False)[:, 0] >= 0.5)


def by_torchvision(crops: Tensor, boxes: Tensor) -> Rles:
    """Paste, threshold and encode as torchvision's reference scripts do."""
    return _encoded(paste_masks_in_image(crops[:, None], boxes, CANVAS)[:, 0] >= 0.5)


def _encoded(masks: Tensor) -> Rles:
    pictures = masks.to(torch.uint8).numpy()
    return [dict(pycocotools.mask.encode(np.asfortranarray(picture))) for picture in pictures]


WAYS: dict[str, Callable[[Tensor, Tensor], Rles]] = {
    "detzoo": lambda crops, boxes: encode_crops(crops, boxes, CANVAS),
    "canvas": on_canvas,
    "torchvision": by_torchvision,
}


def measure(kind: str, rounds: int) -> list[dict[str, Any]]:
    """Rows of the table for one kind of boxes.

    Raises:
        AssertionError: a mask is not what is pasted and encoded, byte for byte.
    """
    crops, boxes = make_crops(), make_boxes(kind)
    results = {way: run(crops, boxes) for way, run in WAYS.items()}  # also warms up
    if results["detzoo"] != _encoded(paste(crops, boxes, CANVAS)):
        raise AssertionError("run lengths are not those of the pasted masks")
    times = in_turns({way: functools.partial(WAYS[way], crops, boxes) for way in WAYS}, rounds)
    area = float((boxes[:, 2] - boxes[:, 0]).mul(boxes[:, 3] - boxes[:, 1]).mean())
    rows = []
    for way, time in times.items():
        row = {"boxes": kind, "way": way, "masks": COUNT, "height": CANVAS[0], "width": CANVAS[1]}
        row |= {"mean_area": round(area), "rounds": rounds}
        row |= time
        row["equal"] = sum(a == b for a, b in zip(results[way], results["detzoo"], strict=True))
        rows.append(row | {"threads": torch.get_num_threads()} | versions(LIBRARIES) | {"cpu": cpu_name()})
    return rows


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("results/masks.csv"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for kind in KINDS for row in measure(kind, args.rounds)]
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    merge(args.out, rows, ("boxes", "way"), {"boxes": KINDS, "way": tuple(WAYS)})


if __name__ == "__main__":
    main()
