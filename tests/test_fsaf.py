"""FSAF: what each cell learns and on which level, against loops, and the losses of those."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from detzoo.methods.fsaf import FSAF
from detzoo.types import Targets
from tests.tiny import CANVAS, images, targets, tiny

STRIDES = (8, 16, 32, 64, 128)
SIZES = [(12, 16), (6, 8), (3, 4), (2, 2), (1, 1)]
CELLS = [
    (level, column * stride, row * stride)
    for level, ((height, width), stride) in enumerate(zip(SIZES, STRIDES, strict=True))
    for row in range(height)
    for column in range(width)
]

Box = list[float]


def fsaf(**head: Any) -> FSAF:
    return cast(FSAF, tiny(FSAF, head=head))


def scaled(box: Box, share: float) -> Box:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    wide, high = (box[2] - box[0]) / 2 * share, (box[3] - box[1]) / 2 * share
    return [x - wide, y - high, x + wide, y + high]


def covers(box: Box, x: float, y: float, edge: float) -> bool:
    wide = min(x + edge / 2, box[2]) - max(x - edge / 2, box[0])
    high = min(y + edge / 2, box[3]) - max(y - edge / 2, box[1])
    return max(wide, 0) * max(high, 0) / edge**2 > 0.01


def holds(box: Box, x: float, y: float) -> bool:
    return box[0] < x < box[2] and box[1] < y < box[3]


def slow_cells(
    boxes: list[Box], labels: list[int], ignored: list[Box], near: float
) -> list[tuple[int | None, set[int], bool]]:
    """Per cell the object that it may learn, the classes that it does not learn, and whether it learns at all."""
    found = []
    for level, x, y in CELLS:
        core = [
            slot
            for slot, box in enumerate(boxes)
            if holds(box, x, y) and covers(scaled(box, 0.2), x, y, STRIDES[level])
        ]
        close = [slot for slot, box in enumerate(boxes) if covers(scaled(box, near), x, y, STRIDES[level])]
        areas = {slot: (boxes[slot][2] - boxes[slot][0]) * (boxes[slot][3] - boxes[slot][1]) for slot in core}
        used = not any(holds(scaled(box, 0.5), x, y) for box in ignored)
        best = min(core, key=lambda slot: (areas[slot], -slot)) if core else None
        hidden = {labels[slot] for slot in {*core, *close} - {best}}
        if best is not None and (labels[best] in hidden or not used):
            hidden |= {labels[best]}
            best = None
        found.append((best, hidden, used))
    return found


SCENES: dict[str, list[Box]] = {
    "none": [],
    "one": [[10.3, 11.1, 71.2, 60.7]],
    "nested and alike": [[1.0, 2.1, 95.3, 94.4], [16.1, 17.2, 56.3, 57.1], [20.1, 17.2, 60.3, 57.1]],
    "touching": [[16.0, 16.0, 48.0, 48.0], [48.0, 16.0, 80.0, 48.0], [30.0, 10.0, 66.0, 50.0]],
    "equal": [[10.0, 10.0, 50.0, 50.0], [10.0, 10.0, 50.0, 50.0]],
    "tiny, at the borders": [[0.0, 0.0, 3.0, 3.0], [125.0, 93.0, 128.0, 96.0], [62.0, 46.0, 66.0, 50.0]],
    "beyond the picture": [[-50.3, -51.7, 400.9, 301.3], [-90.0, -50.0, 3.0, 10.0], [100.0, 90.0, 400.0, 300.0]],
}


@pytest.mark.parametrize("near", [0.2, 0.5])
@pytest.mark.parametrize("boxes", SCENES.values(), ids=SCENES.keys())
def test_cells_learn_what_loops_find(boxes: list[Box], near: float):
    """Beside a crowd; once all objects are of one class, once of several; the last one is a region to be left out."""
    crowd = targets(40).boxes[0][:40].tolist()
    for classes in (1, 3):
        scenes = [(some, [slot % classes for slot in range(len(some))]) for some in (boxes, crowd)]
        region = [[20.0, 10.0, 60.0, 40.0]]
        objects = Targets.pack(
            [
                {
                    "boxes": torch.tensor(some + region).view(-1, 4),
                    "labels": torch.tensor([*labels, 0]),
                    "ignore": torch.tensor([False] * len(some) + [True]),
                }
                for some, labels in scenes
            ]
        )
        cells = fsaf(near=near)._assign(SIZES, objects)
        for image, (some, labels) in enumerate(scenes):
            wanted = slow_cells(some, labels, region, near)
            assert cells.positive[image].tolist() == [best is not None for best, _, _ in wanted]
            assert cells.slot[image].tolist() == [best or 0 for best, _, _ in wanted]
            assert cells.used[image].tolist() == [used for _, _, used in wanted]
            assert [set(row.nonzero().flatten().tolist()) for row in cells.hidden[image]] == [
                one for _, one, _ in wanted
            ]


def focal(logit: float, positive: bool) -> float:
    chance = 1 / (1 + math.exp(-logit))
    return -0.25 * (1 - chance) ** 2 * math.log(chance) if positive else -0.75 * chance**2 * math.log(1 - chance)


def overlap(a: Box, b: Box) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(wide, 0) * max(high, 0)
    return common / (sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b)) - common)


@pytest.mark.parametrize("counts", [(3, 2), (0, 0)])
def test_losses_are_those_of_the_best_levels(counts: tuple[int, int]):
    """The same sums cell by cell and class by class, of which an object's best level alone counts."""
    detector, batch, objects = fsaf(near=0.5), images(), targets(*counts)
    with torch.no_grad():
        detector.cls.weight.mul_(50)  # levels differ
        losses = detector(batch, objects)
        logits, distances = detector.heads(detector.neck(detector.backbone(batch.pixels)))
    by_class, by_box, number, background = 0.0, 0.0, 0, 0
    for image in range(2):
        scores = torch.cat([level[image].flatten(1).T for level in logits]).tolist()
        told = torch.cat([level[image].flatten(1).T for level in distances]).tolist()
        some = objects.boxes[image][objects.valid[image]].tolist()
        labels = objects.labels[image][objects.valid[image]].tolist()
        cells = slow_cells(some, labels, [], 0.5)
        parts: dict[tuple[int, int], list[tuple[float, float, float]]] = {}  # of the class, the others and the box
        for index, ((level, x, y), (slot, hidden, _)) in enumerate(zip(CELLS, cells, strict=True)):
            own = None if slot is None else labels[slot]
            others = sum(focal(scores[index][c], False) for c in range(3) if c not in hidden and c != own)
            by_class += others
            background += slot is None
            if slot is not None:
                edge = 4 * STRIDES[level]
                top, bottom, left, right = (max(far, 1e-4) * edge for far in told[index])
                box = -math.log(max(overlap([x - left, y - top, x + right, y + bottom], some[slot]), 1e-6))
                parts.setdefault((slot, level), []).append((focal(scores[index][labels[slot]], True), others, box))
        for slot in range(len(some)):
            means = {
                level: sum(map(sum, cells_of)) / len(cells_of)
                for (one, level), cells_of in parts.items()
                if one == slot
            }
            if means:
                best = min(means, key=means.__getitem__)
                by_class += sum(part[0] for part in parts[slot, best])
                by_box += sum(part[2] for part in parts[slot, best])
                number += len(parts[slot, best])
    count = number or background
    assert float(losses["loss_cls"]) == pytest.approx(by_class / count, rel=1e-4)
    assert float(losses["loss_bbox"]) == pytest.approx(by_box / count, rel=1e-4)
    assert (number > 3) == (counts != (0, 0))


def test_a_box_is_where_the_distances_say():
    detector = fsaf(threshold=0.0, nms=1.0).eval()
    with torch.no_grad():
        for layer in (detector.reg, detector.cls):
            layer.weight.zero_()
        cast(Tensor, detector.reg.bias).copy_(torch.tensor([0.25, 0.5, 1.0, 0.125]))  # top, bottom, left, right
        found = detector.detect(images(1))
    told = set()
    for level, x, y in CELLS:
        edge = 4.0 * STRIDES[level]
        box = (x - edge, y - edge / 4, x + edge / 8, y + edge / 2)
        told.add((max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(CANVAS[1])), min(box[3], float(CANVAS[0]))))
    boxes = found.boxes[0][found.valid[0]]
    assert len(boxes) == 10
    assert all(any(tuple(box) == pytest.approx(one) for one in told) for box in boxes.tolist())


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="must compare boxes"):
        fsaf(box_loss={"kind": "l1"})
