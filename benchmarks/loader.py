"""Pictures a second from image files to training batches, beside torchvision's and OpenCV's ways.

    python -m benchmarks.loader

Files as COCO has them (JPEG of 480 x 640 pixels and 150 KB, seven objects each) become batches of four: decoded,
resized to a short edge of 800 pixels and a long one of at most 1333, flipped half of the time, padded to a multiple of
32, uint8 RGB ``[4, 3, H, W]``, with their boxes and, where the row says so, the masks of their polygons. One process
with one thread; what is counted is processor time, so that other programs matter little. The ways take turns, a batch
each: ``per_core`` is pictures a second in the median batch, ``to_opencv`` how many times as many as OpenCV's way.

* detzoo: `detzoo.data.loader.Loader` on a data set in COCO's format, without worker processes.
* torchvision: its references' transforms for detection (v2), on PIL images.
* opencv: ``cv2.imread``, ``cv2.resize``, ``cv2.flip``; masks by pycocotools, then ``cv2.resize`` by nearest neighbour.

Writes ``results/loader.csv``, a row per way and task.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from pycocotools import mask as pycoco
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from benchmarks.scenes import make_pictures
from benchmarks.table import merge
from detzoo.data.dataset import open_dataset
from detzoo.data.loader import make_loader
from detzoo.data.resize import fit_size
from detzoo.detector import Input
from detzoo.recipes.settings import Data, Split
from detzoo.types import Batch

BATCH, OBJECTS, POINTS = 4, 7, 24
SHORT, LONG, MULTIPLE = 800, 1333, 32
OPENCV = "opencv"
WHO = ("detzoo", "torchvision", OPENCV)


@dataclass(frozen=True)
class Task:
    """What is loaded: ``suffix`` of the files, their size in pixels, and whether masks are wanted."""

    suffix: str
    height: int
    width: int
    masks: bool = False

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"{self.suffix} {self.height}x{self.width}{' masks' if self.masks else ''}"


TASKS = (
    Task("jpg", 480, 640),
    Task("jpg", 480, 640, masks=True),
    Task("jpg", 384, 640),
    Task("png", 480, 640),
)


@dataclass(frozen=True)
class Item:
    """One file and its objects: boxes ``(M, 4)`` xyxy, labels ``(M,)``, a polygon ``x, y, ...`` of each."""

    path: Path
    boxes: Tensor
    labels: Tensor
    polygons: list[list[float]]


Loaded = tuple[Tensor, list[dict[str, Tensor]]]  # pixels and targets of a batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32, help="files, a multiple of the batch")
    parser.add_argument("--rounds", type=int, default=9, help="passes over the files")
    parser.add_argument("--task", choices=[task.name for task in TASKS], action="append", help="default: all")
    parser.add_argument("--out", type=Path, default=Path("results/loader.csv"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for task in TASKS:
        if args.task and task.name not in args.task:
            continue
        with tempfile.TemporaryDirectory() as folder:
            items = write_files(Path(folder), task, args.images)
            seconds = _take_turns(ways(Path(folder), items, task), args.images // BATCH, args.rounds)
        rows = [_row(task, who, seconds) for who in WHO]
        for row in rows:
            print(*row.values(), flush=True)
        merge(args.out, rows, ("task", "who"), {"task": [task.name for task in TASKS], "who": WHO})


def ways(root: Path, items: Sequence[Item], task: Task, flip: float = 0.5) -> dict[str, Callable[[], Iterator[Any]]]:
    """Per library a function that starts loading all items once; ``flip`` is the probability of it."""
    return {
        "detzoo": ours(root, task, flip),
        "torchvision": partial(_batches, items, partial(_torchvision, _references(flip), task.masks)),
        OPENCV: partial(_batches, items, partial(_opencv, task.masks, flip)),
    }


def write_files(root: Path, task: Task, count: int) -> list[Item]:
    """Write pictures of blobs and noise, and their annotations in COCO's format; objects are ellipses."""
    items, annotations = [], []
    size = task.height, task.width
    for number, picture in enumerate(make_pictures(count, size).permute(0, 2, 3, 1).numpy()):
        draw = np.random.default_rng(number)
        grain = draw.normal(0, 7, picture.shape)
        path = root / f"{number}.{task.suffix}"
        Image.fromarray((picture + grain).clip(0, 255).astype(np.uint8)).save(path, quality=95)
        radius = draw.uniform(0.02, 0.2, (OBJECTS, 2)) * (task.width, task.height)
        centre = draw.uniform(radius, (task.width, task.height) - radius)
        angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)[:, None]
        points = centre[:, None] + radius[:, None] * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        polygons = points.reshape(OBJECTS, -1).round(2).tolist()
        boxes = np.concatenate([centre - radius, centre + radius], axis=1).astype(np.float32)
        labels = draw.integers(0, 3, OBJECTS)
        items.append(Item(path, torch.from_numpy(boxes), torch.from_numpy(labels), polygons))
        for box, label, polygon in zip(boxes.tolist(), labels.tolist(), polygons, strict=True):
            x, y, right, bottom = box
            annotation = {"id": len(annotations) + 1, "image_id": number, "category_id": label + 1, "iscrowd": 0}
            annotation |= {"bbox": [x, y, right - x, bottom - y], "area": (right - x) * (bottom - y)}
            annotations.append(annotation | {"segmentation": [polygon]})
    images = [
        {"id": number, "file_name": item.path.name, "height": task.height, "width": task.width}
        for number, item in enumerate(items)
    ]
    categories = [{"id": number + 1, "name": name} for number, name in enumerate("abc")]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "train.json").write_text(json.dumps(content))
    return items


def ours(root: Path, task: Task, flip: float) -> Callable[[], Iterator[Batch]]:
    """detzoo's loader; each call begins the next epoch."""
    split = Split(annotations="train.json", images=".")
    data = Data(root=str(root), train=(split,), masks=task.masks, flip=flip)
    dataset = open_dataset(data, "train", Input(short=SHORT, long=LONG, multiple=MULTIPLE), True)
    loader = make_loader(dataset, BATCH, train=True, workers=0)
    epoch = iter(range(10**9))

    def start() -> Iterator[Batch]:
        loader.set_epoch(next(epoch))
        return iter(loader)

    return start


def _batches(items: Sequence[Item], load: Callable[[Item], tuple[Tensor, dict[str, Tensor]]]) -> Iterator[Loaded]:
    """The batches of one pass over all items in random order; ``load`` gives ``(3, h, w)`` pixels and a target."""
    order = random.sample(range(len(items)), len(items))
    for start in range(0, len(order), BATCH):
        samples = [load(items[number]) for number in order[start : start + BATCH]]
        edges = [max(pixels.shape[axis] for pixels, _ in samples) for axis in (1, 2)]
        height, width = (edge + -edge % MULTIPLE for edge in edges)
        batch = torch.zeros(len(samples), 3, height, width, dtype=torch.uint8)
        for slot, (pixels, target) in enumerate(samples):
            _, h, w = pixels.shape
            batch[slot, :, :h, :w].copy_(pixels)
            if "masks" in target:
                target["masks"] = torch.nn.functional.pad(target["masks"], (0, width - w, 0, height - h))
        yield batch, [target for _, target in samples]


def _opencv(masks: bool, flip: float, item: Item) -> tuple[Tensor, dict[str, Tensor]]:
    picture = cv2.imread(str(item.path), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    before = picture.shape[0], picture.shape[1]
    height, width = fit_size(*before, SHORT, LONG)
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    factors = torch.tensor([width / before[1], height / before[0]] * 2)
    boxes = item.boxes * factors
    flipped = random.random() < flip
    if flipped:
        picture = cv2.flip(picture, 1)
        boxes = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    target = {"boxes": boxes, "labels": item.labels}
    if masks:
        drawn = [
            cv2.resize(bitmap, (width, height), interpolation=cv2.INTER_NEAREST) for bitmap in _bitmaps(item, before)
        ]
        drawn = [cv2.flip(bitmap, 1) for bitmap in drawn] if flipped else drawn
        target["masks"] = torch.from_numpy(np.stack(drawn)).bool()
    return torch.from_numpy(picture).permute(2, 0, 1), target


def _torchvision(transforms: v2.Transform, masks: bool, item: Item) -> tuple[Tensor, dict[str, Tensor]]:
    picture = Image.open(item.path).convert("RGB")
    size = picture.height, picture.width
    boxes = tv_tensors.BoundingBoxes(item.boxes, format="XYXY", canvas_size=size)  # type: ignore[call-overload]
    target: dict[str, Any] = {"boxes": boxes, "labels": item.labels}
    if masks:
        target["masks"] = tv_tensors.Mask(torch.from_numpy(np.stack(_bitmaps(item, size))))
    return transforms(picture, target)


def _references(flip: float) -> v2.Transform:
    """torchvision's references for detection vary COCO's pictures so; they resize in the model, without more ado."""
    resize = v2.RandomShortestSize(min_size=[SHORT], max_size=LONG)
    last = [v2.SanitizeBoundingBoxes(), v2.ToPureTensor()]
    return v2.Compose([resize, v2.RandomHorizontalFlip(flip), v2.PILToTensor(), *last])


def _bitmaps(item: Item, size: tuple[int, int]) -> list[Any]:
    codec: Any = pycoco
    return [codec.decode(codec.frPyObjects([polygon], *size)[0]) for polygon in item.polygons]


def _take_turns(starts: dict[str, Callable[[], Iterator[Any]]], batches: int, rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each batch of each way; in a round all load all files."""
    seconds: dict[str, list[float]] = {who: [] for who in starts}
    for turn in range(-1, rounds):  # one to warm up
        passes = {who: start() for who, start in starts.items()}
        for _ in range(batches):
            for who, one in passes.items():
                begun = time.process_time()
                next(one)
                if turn >= 0:
                    seconds[who].append(time.process_time() - begun)
    return seconds


def _row(task: Task, who: str, seconds: dict[str, list[float]]) -> dict[str, Any]:
    ratios = [theirs / mine for mine, theirs in zip(seconds[who], seconds[OPENCV], strict=True)]
    return {
        "task": task.name,
        "who": who,
        "per_core": round(BATCH / statistics.median(seconds[who]), 1),
        "to_opencv": round(statistics.median(ratios), 2),
        "batches": len(ratios),
        "torch": metadata.version("torch"),
        "torchvision": metadata.version("torchvision"),
        "opencv": cv2.__version__,
    }


if __name__ == "__main__":
    main()
