"""ATSS: which anchor learns which object, against loops; the losses of those."""

from __future__ import annotations

import math
import statistics
from typing import Any, cast

import pytest
import torch

import detzoo
from detzoo.blocks.atss_assign import INSIDE
from detzoo.config import ConfigError
from detzoo.interop.renaming import rename
from detzoo.methods.atss import ATSS
from detzoo.types import Targets
from tests.slow_boxes import slow_iou
from tests.tiny import CANVAS, images, targets, tiny

STRIDES = (8, 16, 32, 64, 128)
SIZES = [(math.ceil(CANVAS[0] / stride), math.ceil(CANVAS[1] / stride)) for stride in STRIDES]
CELLS = [height * width for height, width in SIZES]

Box = list[float]


def atss(**head: Any) -> ATSS:
    return cast(ATSS, tiny(ATSS, head=head))


def slow_slots(anchors: list[Box], boxes: list[Box], nearest: int) -> list[int | None]:
    """Per anchor the object that it learns, as algorithm 1 of the paper tells it."""
    best: list[tuple[float, int] | None] = [None] * len(anchors)
    centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in anchors]
    for slot, box in enumerate(boxes):
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        candidates: list[int] = []
        first = 0
        for cells in CELLS:
            level = sorted(range(first, first + cells), key=lambda index: math.dist(centres[index], middle))
            candidates += level[:nearest]
            first += cells
        overlaps = [slow_iou(anchors[index], box) for index in candidates]
        least = statistics.mean(overlaps) + statistics.stdev(overlaps)
        for index, overlap in zip(candidates, overlaps, strict=True):
            x, y = centres[index]
            inside = min(x - box[0], y - box[1], box[2] - x, box[3] - y) > INSIDE
            known = best[index]
            if inside and overlap >= least and (known is None or overlap > known[0]):
                best[index] = overlap, slot
    return [None if one is None else one[1] for one in best]


SCENES: dict[str, list[Box]] = {
    "none": [],
    "one": [[10.3, 11.1, 71.2, 60.7]],
    "touching": [[8.1, 8.7, 40.0, 40.0], [40.0, 8.3, 72.9, 40.0], [8.4, 40.0, 72.2, 72.8]],
    "nested and alike": [[1.0, 2.1, 95.3, 94.4], [16.1, 17.2, 56.3, 57.1], [16.1, 17.2, 56.3, 57.1]],
    "tiny": [[5.1, 5.2, 7.3, 7.9], [63.2, 47.1, 66.5, 49.9]],
    "beyond the picture": [[-50.3, -51.7, 400.9, 301.3], [60.2, 61.7, 127.4, 95.3]],
}


def check(packed: Targets, lists: list[list[Box]], **head: Any) -> int:
    """Compare the assignment with the slow one; how many positives there were."""
    detector = atss(**head)
    anchors = detector.anchors(SIZES)
    slot, positive = detector.assign(anchors, SIZES, packed)
    assert slot.dtype == torch.int64
    for image, boxes in enumerate(lists):
        expected = slow_slots(anchors.tolist(), boxes, detector.head.nearest)
        assert positive[image].tolist() == [best is not None for best in expected]
        assert slot[image].tolist() == [best or 0 for best in expected]
    return int(positive.sum())


@pytest.mark.parametrize("nearest", [1, 4, 9, 1000])
@pytest.mark.parametrize("boxes", SCENES.values(), ids=SCENES.keys())
def test_anchors_learn_as_the_paper_has_it(boxes: list[Box], nearest: int):
    others = [[30.2, 20.9, 60.1, 89.3]]
    packed = [{"boxes": torch.tensor(some).view(-1, 4), "labels": torch.zeros(len(some))} for some in (boxes, others)]
    assert check(Targets.pack(packed), [boxes, others], nearest=nearest) > 0 or nearest == 1


def test_a_crowd_learns_as_the_paper_has_it():
    crowd = targets(50, 3)
    lists = [boxes[valid].tolist() for boxes, valid in zip(crowd.boxes, crowd.valid, strict=True)]
    assert check(crowd, lists) > 50


def test_nearest_anchors_are_those_of_a_sorted_list():
    """On levels larger than what is looked at, with several anchors per cell, in the picture and far outside."""
    detector = atss(nearest=7, anchors={"scales": (8.0, 10.0), "ratios": (1.0,)})
    sizes = [(31, 40), (16, 20), (8, 10), (4, 5), (2, 3)]
    centres = torch.stack([(box[:2] + box[2:]) / 2 for box in detector.anchors(sizes)])
    generator = torch.Generator().manual_seed(0)
    middle = torch.rand(2, 40, 2, generator=generator) * 600 - 150
    middle[:, ::2] = (middle[:, ::2] / 8).round() * 8  # as near to several
    middle[:, 1:7, 0] = torch.tensor([math.inf, -math.inf, math.nan, 1e30, -1e30, 50.0])
    middle[:, 4:8, 1] = torch.tensor([1e30, 50.0, math.inf, math.nan])
    boxes = torch.cat([middle - 8, middle + 8], -1)
    found = detector.assign.nearest(centres, sizes, boxes)
    apart = (middle.unsqueeze(2) - centres).square().sum(-1)
    first, expected = 0, []
    for height, width in sizes:
        level = apart[..., first : first + height * width * 2]
        expected.append(level.sort(dim=-1, stable=True).indices[..., :7] + first)
        first += height * width * 2
    assert torch.equal(found, torch.cat(expected, -1))


def test_ignored_regions_teach_nothing():
    box = torch.tensor([[10.0, 10.0, 70.0, 60.0]])
    packed = Targets.pack([{"boxes": box, "labels": torch.zeros(1), "ignore": torch.ones(1)}])
    assert check(packed, [[]]) == 0


def test_losses_are_those_of_the_chosen_anchors():
    """The same sums over the positives alone, as a loop over anchors would take them."""
    detector = atss()
    batch, objects = images(), targets(3, 2)
    with torch.no_grad():
        losses = detector(batch, objects)
        _, offsets, central = detector.heads(detector.neck(detector.backbone(batch.pixels)))
    anchors = detector.anchors(SIZES).tolist()
    box_sum, centre_sum, weight_sum, positives = 0.0, 0.0, 0.0, 0
    for image in range(2):
        moves = torch.cat([level[image].flatten(1).T for level in offsets]).tolist()
        centre = torch.cat([level[image].flatten() for level in central]).double().sigmoid().tolist()
        boxes = objects.boxes[image][objects.valid[image]].tolist()
        for index, slot in enumerate(slow_slots(anchors, boxes, 9)):
            if slot is None:
                continue
            (ax1, ay1, ax2, ay2), (x1, y1, x2, y2) = anchors[index], boxes[slot]
            x, y, width, height = (ax1 + ax2) / 2, (ay1 + ay2) / 2, ax2 - ax1, ay2 - ay1
            weight = math.sqrt(min(x - x1, x2 - x) / max(x - x1, x2 - x) * min(y - y1, y2 - y) / max(y - y1, y2 - y))
            dx, dy, dw, dh = (move * std for move, std in zip(moves[index], (0.1, 0.1, 0.2, 0.2), strict=True))
            x, y, width, height = x + dx * width, y + dy * height, width * math.exp(dw), height * math.exp(dh)
            told = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
            hull = (max(told[2], x2) - min(told[0], x1)) * (max(told[3], y2) - min(told[1], y1))
            overlap = slow_iou(told, boxes[slot])
            union = (width * height + (x2 - x1) * (y2 - y1)) / (1 + overlap)
            box_sum += weight * (1 - overlap + (hull - union) / hull)
            centre_sum -= weight * math.log(centre[index]) + (1 - weight) * math.log(1 - centre[index])
            weight_sum, positives = weight_sum + weight, positives + 1
    assert positives > 5
    assert float(losses["loss_bbox"]) == pytest.approx(2 * box_sum / weight_sum, rel=1e-4)
    assert float(losses["loss_centerness"]) == pytest.approx(centre_sum / positives, rel=1e-4)


def test_a_score_is_class_times_centerness():
    detector = atss(threshold=0.0).eval()
    with torch.no_grad():
        detector.centerness.weight.zero_()
        detector.centerness.get_parameter("bias").fill_(20.0)
        certain = detector.detect(images())
        detector.centerness.get_parameter("bias").zero_()
        halved = detector.detect(images())
    torch.testing.assert_close(halved.scores * 2, certain.scores)


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("bbox_head.atss_cls.bias", "cls.bias"),
        ("bbox_head.atss_centerness.weight", "centerness.weight"),
        ("bbox_head.reg_convs.2.gn.weight", "reg_convs.2.gn.weight"),
        ("bbox_head.scales.4.scale", "scales.4"),
    ],
)
def test_published_names(published: str, ours: str):
    assert rename(published, ATSS.published_names) == ours


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="must compare boxes"):
        atss(box_loss={"kind": "l1"})
    with pytest.raises(ConfigError, match="nearest"):
        detzoo.find("atss_r50_fpn_1x_coco").model.replace(head={"nearest": 0})
