"""Assignment of 200,000 anchors, and of FCOS' 22,000 points, to few and to many objects, beside torchvision's way.

    python -m benchmarks.assign
    python -m benchmarks.assign --device cuda

They are those of a picture of 800 x 1344 pixels; the objects have COCO's sizes and lie anywhere in it. For the anchors,
which are RetinaNet's, ours is `detzoo.blocks.assign.match`, with all that RetinaNet asks of it, and torchvision's the
matrix of its ``box_iou`` and the maxima of that by anchor and by object, an image after the other: what its own
assignment starts with. For the points ours is `detzoo.ops.points.smallest_objects`, and torchvision's what its FCOS
does up to its losses, with the same limits and the same centre sampling. The two take turns in one process, and what
counts is the median of the ratios of neighbouring turns: on a CPU in its time, all threads together, on a CUDA device
from idle to idle. Memory is the most that tensors hold at once, results included. Writes ``results/assign.csv``, a row
per device, method, number of images and number of objects.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torchvision
from torch import Tensor

from benchmarks.machine import cpu_name
from benchmarks.memory import peak_bytes
from benchmarks.table import merge
from detzoo.blocks.anchors import Anchors
from detzoo.blocks.assign import MatchConfig, match
from detzoo.blocks.points import cell_centres
from detzoo.ops.points import smallest_objects
from detzoo.types import Targets

IMAGES, OBJECTS = (1, 4), (1, 10, 100, 1000)
STRIDES = (8, 16, 32, 64, 128)
HEIGHT, WIDTH = 800, 1344
LEVELS = [(-(-HEIGHT // stride), -(-WIDTH // stride)) for stride in STRIDES]
CONFIG = MatchConfig(positive=0.5, negative=0.4, low_quality=0.0)
RANGES, RADIUS = (64.0, 128.0, 256.0, 512.0), 1.5  # torchvision's

Run = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--objects", type=int, nargs="+", default=OBJECTS)
    parser.add_argument("--out", type=Path, default=Path("results/assign.csv"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    place = torch.device(args.device)
    boxes, points = anchors().to(place), cell_centres(LEVELS, STRIDES, place)
    name = cpu_name() if place.type == "cpu" else torch.cuda.get_device_name()
    orders = {"anchors": (str(len(boxes)), str(len(points)))}
    orders |= {name: [str(value) for value in values] for name, values in (("images", IMAGES), ("objects", OBJECTS))}
    for method, places, sides in (("retinanet", boxes, of_anchors), ("fcos", points, of_points)):
        for images, count in itertools.product(args.images, args.objects):
            row: dict[str, Any] = {"images": str(images), "objects": str(count), "anchors": str(len(places))}
            row |= {"method": method} | _compare(*sides(places, scatter(images, count).to(place)), args.rounds, place)
            row |= {"threads": args.threads, "torch": torch.__version__, "torchvision": torchvision.__version__}
            row |= {"device": args.device, "processor": name}
            print(*row.values(), flush=True)
            merge(args.out, [row], ("device", "images", "objects", "anchors"), {"device": ("cpu", "cuda")} | orders)


def of_anchors(boxes: Tensor, objects: Tensor) -> tuple[Run, Run]:
    """Ours and torchvision's assignment of anchors ``[A, 4]`` to ``objects [N, M, 4]``."""
    packed = _packed(objects)

    def theirs() -> None:
        for some in objects:
            found = torchvision.ops.box_iou(some, boxes)
            found.max(0)
            found.max(1)

    return lambda: match(boxes, None, packed, CONFIG), theirs


def of_points(points: Tensor, objects: Tensor) -> tuple[Run, Run]:
    """Ours and torchvision's assignment of FCOS' points ``[A, 2]`` to ``objects [N, M, 4]``."""
    packed, reach = _packed(objects), [RADIUS * stride for stride in STRIDES]
    cells = [height * width for height, width in LEVELS]
    sizes = [torch.full((count, 1), stride / 2) for count, stride in zip(cells, STRIDES, strict=True)]
    half = torch.cat(sizes).to(points.device)
    squares = [torch.cat([points - half, points + half], 1)] * len(objects)  # torchvision's points have their strides
    head = SimpleNamespace(compute_loss=lambda targets, outputs, anchors, matched: matched)
    model: Any = SimpleNamespace(head=head, center_sampling_radius=RADIUS)
    told = [{"boxes": some} for some in objects]
    return (
        lambda: smallest_objects(points, LEVELS, packed.boxes, packed.valid, RANGES, reach),
        lambda: torchvision.models.detection.FCOS.compute_loss(model, told, {}, squares, cells),
    )


def _packed(objects: Tensor) -> Targets:
    return Targets.pack([{"boxes": some, "labels": torch.zeros(len(some), device=some.device)} for some in objects])


def anchors() -> Tensor:
    """RetinaNet's anchors ``[A, 4]``."""
    scales = tuple(4 * 2 ** (step / 3) for step in range(3))
    return Anchors(Anchors.Config(scales=scales), STRIDES)(LEVELS)


def scatter(images: int, count: int) -> Tensor:
    """Objects ``[images, count, 4]`` of 7 to 500 pixels, some of them long."""
    generator = torch.Generator().manual_seed(count)
    size = torch.exp(torch.rand(images, count, 1, generator=generator) * 4.2 + 2)
    size = size * torch.exp(torch.randn(images, count, 2, generator=generator) * 0.3)
    centre = torch.rand(images, count, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def _compare(ours: Run, theirs: Run, rounds: int, place: torch.device) -> dict[str, Any]:
    turns = {"detzoo": ours, "torchvision": theirs}
    for run in turns.values():
        run()
    spent: dict[str, list[float]] = {who: [] for who in turns}
    for _ in range(rounds):
        for who, run in turns.items():
            spent[who].append(_seconds(run, place))
    ratios = [b / a for a, b in zip(spent["detzoo"], spent["torchvision"], strict=True)]
    row: dict[str, Any] = {f"{who}_ms": round(statistics.median(times) * 1e3, 2) for who, times in spent.items()}
    row["times_faster"] = round(statistics.median(ratios), 1)
    return row | {f"{who}_mb": round(_most_bytes(run, place) / 1e6, 1) for who, run in turns.items()}


def _seconds(run: Run, place: torch.device) -> float:
    """Of the processor, or on a device from idle to idle."""
    if place.type == "cpu":
        begun = time.process_time()
        run()
        return time.process_time() - begun
    torch.cuda.synchronize()
    begun = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def _most_bytes(run: Run, place: torch.device) -> int:
    """That tensors hold at once beyond what they held before."""
    if place.type == "cpu":
        return peak_bytes(run)
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated() - held


if __name__ == "__main__":
    main()
