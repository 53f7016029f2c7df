"""FoveaBox: which cell learns which object, against loops, and the losses of those."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from detzoo.methods.foveabox import FoveaBox
from detzoo.types import Targets
from tests.tiny import CANVAS, images, targets, tiny

STRIDES = (8, 16, 32, 64, 128)
SIZES = [(12, 16), (6, 8), (3, 4), (2, 2), (1, 1)]

Box = list[float]


def foveabox(**head: Any) -> FoveaBox:
    return cast(FoveaBox, tiny(FoveaBox, head=head))


def slow_slots(boxes: list[Box], detector: FoveaBox) -> list[int | None]:
    """Per cell the object that it learns: larger ones are painted first."""
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes]
    found: list[int | None] = []
    for (height, width), stride, (least, most) in zip(SIZES, STRIDES, detector.head.ranges, strict=True):
        level: list[int | None] = [None] * (height * width)
        for slot in sorted(range(len(boxes)), key=lambda slot: -areas[slot]):
            if not least <= math.sqrt(areas[slot]) <= most:
                continue
            x1, y1, x2, y2 = boxes[slot]
            spans = []
            for low, high, cells in ((x1, x2, width), (y1, y2, height)):
                middle, reach = (low + high) / 2, (high - low) / 2 * detector.head.fovea
                first, last = math.ceil((middle - reach) / stride - 0.5), math.floor((middle + reach) / stride - 0.5)
                spans.append(range(min(max(first, 0), cells - 1), min(max(last, 0), cells - 1) + 1))
            for row in spans[1]:
                for column in spans[0]:
                    level[row * width + column] = slot
        found += level
    return found


def cells_of(detector: FoveaBox) -> list[tuple[float, float, float]]:
    """Of each cell x and y of its middle, and the edge of its level."""
    return [
        ((column + 0.5) * stride, (row + 0.5) * stride, edge)
        for (height, width), stride, edge in zip(SIZES, STRIDES, detector.head.edges, strict=True)
        for row in range(height)
        for column in range(width)
    ]


SCENES: dict[str, list[Box]] = {
    "none": [],
    "one": [[10.3, 11.1, 71.2, 60.7]],
    "nested and alike": [[1.0, 2.1, 95.3, 94.4], [16.1, 17.2, 56.3, 57.1], [20.1, 17.2, 60.3, 57.1]],
    "tiny, at the borders": [[0.0, 0.0, 3.0, 3.0], [125.0, 93.0, 128.0, 96.0], [60.0, 40.0, 62.0, 42.0]],
    "beyond the picture": [[-50.3, -51.7, 400.9, 301.3], [-90.0, -50.0, 3.0, 10.0], [100.0, 90.0, 400.0, 300.0]],
}


@pytest.mark.parametrize("fovea", [0.4, 1.0])
@pytest.mark.parametrize("boxes", SCENES.values(), ids=SCENES.keys())
def test_cells_in_the_middle_learn_the_smallest(boxes: list[Box], fovea: float):
    crowd, detector = targets(40), foveabox(fovea=fovea)
    others = crowd.boxes[0][crowd.valid[0]].tolist()
    objects = Targets.pack(
        [{"boxes": torch.tensor(some).view(-1, 4), "labels": torch.zeros(len(some))} for some in (boxes, others)]
    )
    slot, positive = detector._assign(SIZES, objects)
    for image in range(2):
        expected = slow_slots(objects.boxes[image][objects.valid[image]].tolist(), detector)
        assert positive[image].tolist() == [best is not None for best in expected]
        assert slot[image].tolist() == [best or 0 for best in expected]
    assert int(positive[1].sum()) > 20


def test_losses_are_those_of_the_chosen_cells():
    """The same sum over the positives alone, as a loop over cells would take it."""
    detector, batch, objects = foveabox(), images(), targets(3, 2)
    with torch.no_grad():
        losses = detector(batch, objects)
        _, distances = detector.heads(detector.neck(detector.backbone(batch.pixels)))
    cells = cells_of(detector)
    total, count = 0.0, 0
    for image in range(2):
        told = torch.cat([level[image].flatten(1).T for level in distances]).tolist()
        boxes = objects.boxes[image][objects.valid[image]].tolist()
        for index, slot in enumerate(slow_slots(boxes, detector)):
            if slot is None:
                continue
            (x, y, edge), (x1, y1, x2, y2) = cells[index], boxes[slot]
            for one, far in zip(told[index], (x - x1, y - y1, x2 - x, y2 - y), strict=True):
                gap = abs(one - math.log(min(max(far / edge, 1 / 16), 16)))
                total += gap - 0.055 if gap >= 0.11 else gap * gap / 0.22
            count += 1
    assert count > 5
    assert float(losses["loss_bbox"]) == pytest.approx(total / count, rel=1e-4)


def test_a_box_is_where_the_distances_say():
    detector = foveabox(threshold=0.0, nms=1.0, empty=False).eval()
    with torch.no_grad():
        for layer in (detector.reg, detector.cls):
            layer.weight.zero_()
        cast(Tensor, detector.reg.bias).copy_(torch.tensor([1.0, 0.5, 2.0, 0.25]).log())
        found = detector.detect(images(1))
    # up to the middle of the last pixel
    told = {
        (
            max(x - edge, 0.0),
            max(y - edge / 2, 0.0),
            min(x + 2 * edge, CANVAS[1] - 1.0),
            min(y + edge / 4, CANVAS[0] - 1.0),
        )
        for x, y, edge in cells_of(detector)
    }
    boxes = found.boxes[0][found.valid[0]]
    assert len(boxes) == 10
    assert all(any(tuple(box) == pytest.approx(one) for one in told) for box in boxes.tolist())


@pytest.mark.parametrize("empty", [False, True])
def test_boxes_without_area_are_found_as_the_original_finds_them(empty: bool):
    detector = foveabox(threshold=0.0, nms=1.0, detections=500, empty=empty).eval()
    with torch.no_grad():
        for layer in (detector.reg, detector.cls):
            layer.weight.zero_()
        cast(Tensor, detector.reg.bias).fill_(-1.0)
        found = detector.detect(images(2))  # the second's right cells lie in the padding
    boxes = found.boxes[1][found.valid[1]]
    assert bool((boxes[:, 2:] > boxes[:, :2]).all()) != empty


def test_classes_teach_the_box_that_they_are_read_at():
    detector = foveabox(align=True)
    detector(images(), targets(3, 2))["loss_cls"].backward()
    assert float(cast(Tensor, detector.reg.weight.grad).abs().sum()) > 0


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="as many head"):
        foveabox(edges=(16.0, 32.0))
    with pytest.raises(ValueError, match=r"must compare offsets"):
        foveabox(box_loss={"kind": "iou"})
