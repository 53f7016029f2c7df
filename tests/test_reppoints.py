"""RepPoints: boxes of points, the cell nearest to an object, and the losses, against slow and obvious versions."""

from __future__ import annotations

import math
import statistics
from typing import Any, cast

import pytest
import torch
from torch import Tensor

import detzoo
from detzoo.blocks.assign import match
from detzoo.config import ConfigError
from detzoo.methods.reppoints import RepPoints
from detzoo.types import Targets
from tests.tiny import images, targets, tiny

STRIDES = (8, 16, 32, 64, 128)
SIZES = [(12, 16), (6, 8), (3, 4), (2, 2), (1, 1)]
POINTS = [
    (x * stride, y * stride) for (h, w), stride in zip(SIZES, STRIDES, strict=True) for y in range(h) for x in range(w)
]
LEVELS = [number for number, (height, width) in enumerate(SIZES) for _ in range(height * width)]

Box = list[float]


def reppoints(**head: Any) -> RepPoints:
    return cast(RepPoints, tiny(RepPoints, head=head))


def slow_slots(boxes: list[Box]) -> list[int | None]:
    """Per point the object that it learns; section 3.3: the nearest at the level of its size."""
    best: list[tuple[float, int] | None] = [None] * len(POINTS)
    for slot, (x1, y1, x2, y2) in enumerate(boxes):
        x, y, width, height = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
        level = min(max(math.floor((math.log2(width / 4) + math.log2(height / 4)) / 2), 3), 7) - 3
        apart = [math.hypot((px - x) / width, (py - y) / height) for px, py in POINTS]
        nearest = min((index for index in range(len(POINTS)) if LEVELS[index] == level), key=lambda index: apart[index])
        known = best[nearest]
        if known is None or apart[nearest] < known[0]:
            best[nearest] = apart[nearest], slot
    return [None if one is None else one[1] for one in best]


SCENES: dict[str, list[Box]] = {
    "none": [],
    "halfway between cells": [[4.0, 4.0, 52.0, 52.0], [0.0, 12.0, 40.0, 60.0]],
    "one cell": [[10.0, 10.0, 51.0, 50.0], [9.0, 9.0, 55.0, 53.0], [8.0, 8.0, 58.0, 56.0], [9.0, 9.0, 55.0, 53.0]],
    "tiny and large": [[5.1, 5.2, 7.3, 7.9], [0.0, 0.0, 128.0, 96.0], [2.0, 2.0, 127.0, 95.0]],
    "beyond the picture": [[-90.0, -50.0, 30.0, 10.0], [100.0, 80.0, 400.0, 300.0], [-900.0, -900.0, 900.0, 900.0]],
}


@pytest.mark.parametrize("boxes", SCENES.values(), ids=SCENES.keys())
def test_the_nearest_cell_learns(boxes: list[Box]):
    crowd = targets(40)
    packed = [
        {"boxes": torch.tensor(some).view(-1, 4), "labels": torch.zeros(len(some))}
        for some in (boxes, crowd.boxes[0][crowd.valid[0]].tolist())
    ]
    objects = Targets.pack(packed)
    slot, positive = reppoints()._nearest(torch.tensor(POINTS, dtype=torch.float32), SIZES, objects)
    for image in range(2):
        expected = slow_slots(objects.boxes[image][objects.valid[image]].tolist())
        assert positive[image].tolist() == [best is not None for best in expected]
        assert slot[image].tolist() == [best or 0 for best in expected]


def test_what_is_no_number_is_nobodys():
    box = torch.tensor([[[math.nan, 0.0, 9.0, 9.0], [-math.inf, 0.0, math.inf, 1.0]]])
    there = torch.ones(1, 2, dtype=torch.bool)
    objects = Targets(boxes=box, labels=there.long(), valid=there, ignore=~there)
    slot, _ = reppoints()._nearest(torch.tensor(POINTS, dtype=torch.float32), SIZES, objects)
    assert bool(((slot >= 0) & (slot < 2)).all())


def slow_box(points: list[tuple[float, float]], kind: str, growth: tuple[float, float]) -> Box:
    """The box of (x, y) points."""
    axes = list(zip(*points, strict=True))
    if kind == "moment":
        spread = [
            (statistics.mean(axis), statistics.stdev(axis) * math.exp(more))
            for axis, more in zip(axes, growth, strict=True)
        ]
        return [middle + sign * half for sign in (-1, 1) for middle, half in spread]
    used = [axis[:4] for axis in axes] if kind == "partial_minmax" else axes
    return [*map(min, used), *map(max, used)]


@pytest.mark.parametrize("kind", ["moment", "minmax", "partial_minmax"])
def test_boxes_of_points(kind: str):
    detector = reppoints(box=kind)
    growth = (0.3, -0.2)
    if kind == "moment":
        with torch.no_grad():
            detector.moment.copy_(torch.tensor(growth))
    points = torch.randn(2, 18, 2, 3, generator=torch.Generator().manual_seed(0))
    boxes = detector.boxes(points)
    assert boxes.shape == (2, 4, 2, 3)
    for image, row, column in ((0, 0, 0), (1, 1, 2)):
        values = points[image, :, row, column].tolist()
        expected = slow_box(list(zip(values[1::2], values[::2], strict=True)), kind, growth)
        assert boxes[image, :, row, column].tolist() == pytest.approx(expected, rel=1e-5)


def test_a_grid_fills_the_box_that_is_told():
    detector = reppoints(box="grid")
    base = torch.tensor([-2.0, -2.0, 2.0, 4.0]).view(1, 4, 1, 1)
    told = torch.tensor([0.5, -0.25, math.log(0.5), math.log(2.0)]).view(1, 4, 1, 1)
    points = detector._in_box(told, base)
    x, y, width, height = 0 + 0.5 * 4, 1 - 0.25 * 6, 4 * 0.5, 6 * 2.0
    assert detector.boxes(points).flatten().tolist() == pytest.approx(
        [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    )
    down, right = points.flatten()[::2].tolist(), points.flatten()[1::2].tolist()
    assert right == pytest.approx([x + step * width / 2 for _ in range(3) for step in (-1, 0, 1)])
    assert down == pytest.approx([y + step * height / 2 for step in (-1, 0, 1) for _ in range(3)])


def test_a_point_reads_where_it_lies():
    """Points of a whole number of cells: the deformable convolution is a sum of shifted maps."""
    detector = reppoints()
    x = torch.randn(1, 32, 5, 6, generator=torch.Generator().manual_seed(0))
    points = torch.zeros(1, 18, 5, 6)
    points[:, 8], points[:, 9] = 2.0, -1.0  # the middle one, two down and one left
    with torch.no_grad():
        read = detector._at(points - detector.kernel, x, detector.cls_conv)[0, :, 1, 3]
        kernel = detector.cls_conv.weight
        others = kernel.sum((2, 3)) - kernel[:, :, 1, 1]
        expected = others @ x[0, :, 1, 3] + kernel[:, :, 1, 1] @ x[0, :, 3, 2]
    torch.testing.assert_close(read, expected.relu(), rtol=1e-4, atol=1e-5)


def slow_smooth_l1(told: Tensor, box: Box, edge: float) -> float:
    gaps = [abs(one - other) / edge for one, other in zip(told.tolist(), box, strict=True)]
    return sum(gap - 0.055 if gap >= 0.11 else gap * gap / 0.22 for gap in gaps)


def test_losses_are_those_of_the_chosen_cells():
    """The same sums over the positives alone, as a loop over cells would take them."""
    detector, batch, objects = reppoints(), images(), targets(3, 2)
    with torch.no_grad():
        losses = detector(batch, objects)
        _, first, refined = detector.heads(detector.neck(detector.backbone(batch.pixels)))
        boxes, moved = detector._in_pixels(first), detector._in_pixels(refined)
    total, count = 0.0, 0
    for image in range(2):
        here = objects.boxes[image][objects.valid[image]].tolist()
        for index, slot in enumerate(slow_slots(here)):
            if slot is not None:
                total += 0.5 * slow_smooth_l1(boxes[image, index], here[slot], 4 * STRIDES[LEVELS[index]])
                count += 1
    assert count > 2
    assert float(losses["loss_pts_init"]) == pytest.approx(total / count, rel=1e-4)
    matches = match(boxes, None, objects, detector.head.match)
    total = 0.0
    for image, index in matches.positive.nonzero().tolist():
        box = objects.boxes[image, matches.slot[image, index]].tolist()
        total += slow_smooth_l1(moved[image, index], box, 4 * STRIDES[LEVELS[index]])
    count = sum(max(1, int(positive.sum())) for positive in matches.positive)
    assert total > 0
    assert float(losses["loss_pts_refine"]) == pytest.approx(total / count, rel=1e-4)


def test_first_points_may_learn_where_anchors_would():
    detector = reppoints(box="grid", first_match={"positive": 0.5, "negative": 0.4, "low_quality": 0.0})
    losses = detector(images(), targets(3, 2))
    assert float(losses["loss_pts_init"].detach()) > 0
    losses["loss_pts_init"].backward()
    assert float(cast(Tensor, detector.first.weight.grad).abs().sum()) > 0


def test_classes_teach_a_tenth_of_where_points_are():
    grads = []
    for share in (1.0, 0.1):
        detector = reppoints(gradient=share)
        with torch.no_grad():
            for part in (detector.first, detector.cls_conv, detector.cls):
                part.weight.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
        detector(images(), targets(3, 2))["loss_cls"].backward()
        grads.append(cast(Tensor, detector.first.weight.grad))
    assert float(grads[0].abs().sum()) > 0
    torch.testing.assert_close(grads[1], grads[0] / 10, rtol=1e-3, atol=1e-7)


def test_multiples_of_the_deviation_learn_slowly():
    grads = []
    for rate in (1.0, 0.01):
        detector = reppoints(moment_rate=rate)
        detector(images(), targets(3, 2))["loss_pts_init"].backward()
        grads.append(cast(Tensor, detector.moment.grad))
    assert float(grads[0].abs().sum()) > 0
    torch.testing.assert_close(grads[1], grads[0] / 100)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="square of an odd number"):
        detzoo.find("reppoints_moment_r50_fpn_1x_coco").model.replace(head={"points": 16})
