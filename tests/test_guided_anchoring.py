"""Guided anchors: regions of objects painted one by one, shapes matched one by one, and cells that are left out."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor

from detzoo.blocks.anchors import by_cell
from detzoo.blocks.assign import MatchConfig, match
from detzoo.blocks.dense import best_cells
from detzoo.blocks.guided_anchors import Guide
from detzoo.config import ConfigError, validate
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.ga_retinanet import GARetinaNet
from detzoo.ops.boxes import pairwise_iou
from detzoo.ops.regions import _paint_compared, regions
from detzoo.types import Targets
from tests.tiny import images, targets, tiny

SIZES, STRIDES = ((24, 32), (12, 16), (6, 8)), (4, 8, 16)
SIDE, CENTRE, AROUND = 4.0, 0.2, 0.5


def crowd(*counts: int) -> Targets:
    """Objects of 2 to 90 pixels, many of them over each other and some out of the picture."""
    generator = torch.Generator().manual_seed(4)
    items = []
    for count in counts:
        corner = torch.rand(count, 2, generator=generator) * 120 - 10
        size = 2 * 45 ** torch.rand(count, 2, generator=generator)
        labels = torch.zeros(count, dtype=torch.int64)
        items.append({"boxes": torch.cat([corner, corner + size], 1), "labels": labels})
    return Targets.pack(items)


def painted(boxes: list[list[float]]) -> tuple[list[list[int]], list[list[float]]]:
    """Of one image, by level: whether cells are centres, and their weights, by the rules in words."""
    centres = [[0] * (height * width) for height, width in SIZES]
    weights = [[-1.0] * (height * width) for height, width in SIZES]
    beside = [[0] * (height * width) for height, width in SIZES]
    for x1, y1, x2, y2 in boxes:
        size = math.log2(math.sqrt((x2 - x1) * (y2 - y1)) / (SIDE * STRIDES[0]))
        own = min(max(math.floor(size + 0.5), 0), len(SIZES) - 1)
        for level, (height, width) in enumerate(SIZES):
            for share in (AROUND, CENTRE):
                low = (1 - share) / 2
                edges = [
                    round(((1 - part) * a + part * b) / STRIDES[level])
                    for a, b in ((x1, x2), (y1, y2))
                    for part in (low, 1 - low)
                ]
                left, right = (min(max(edge, 0), width) for edge in edges[:2])
                top, bottom = (min(max(edge, 0), height) for edge in edges[2:])
                for y in range(top, min(bottom, height - 1) + 1):
                    for x in range(left, min(right, width - 1) + 1):
                        cell = y * width + x
                        if level == own and share == CENTRE:
                            centres[level][cell], weights[level][cell] = 1, 1.0
                        elif level == own:
                            weights[level][cell] = 0.0
                        elif abs(level - own) == 1 and share == AROUND:
                            beside[level][cell] = 1
    for level, near in enumerate(beside):
        weights[level] = [(0.0 if b else 0.1) if w < 0 else w for w, b in zip(weights[level], near, strict=True)]
    return centres, weights


def test_locations_are_painted_object_by_object() -> None:
    some = crowd(30, 0, 7)
    seen = regions(some.boxes, some.valid, SIZES, STRIDES, SIDE, CENTRE, AROUND)
    weights = torch.where(seen.around >= 0, (seen.centre == seen.around).float(), 0.1 * ~seen.beside)
    for image in range(3):
        centres, wanted = painted(some.boxes[image][some.valid[image]].tolist())
        assert (seen.centre[image] >= 0).long().tolist() == [cell for level in centres for cell in level]
        assert weights[image].tolist() == pytest.approx([cell for level in wanted for cell in level])
    assert 0 < (seen.centre[0] != seen.around[0]).sum() < seen.centre.shape[1]


def test_both_ways_to_paint_agree() -> None:
    generator = torch.Generator().manual_seed(5)
    corners = torch.randint(0, 20, (2, 40, 2, 2), generator=generator)
    cells = torch.cat([corners.amin(2), corners.amax(2)], -1)
    shown = torch.rand(2, 40, generator=generator) < 0.7
    found = torch.ops.detzoo.paint(cells, shown, 17, 19)
    assert torch.equal(found, _paint_compared(cells, shown, 17, 19))
    assert found.min() == -1
    assert found.max() > 16
    assert (torch.ops.detzoo.paint(cells[:, :0], shown[:, :0], 3, 4) == -1).all()


@pytest.mark.parametrize("low_quality", [None, 0.1])
def test_a_group_of_boxes_is_matched_as_one(low_quality: float | None) -> None:
    generator = torch.Generator().manual_seed(6)
    corner = torch.rand(60, 1, 2, generator=generator) * 100
    shift = torch.rand(60, 3, 2, generator=generator) * 8
    boxes = torch.cat([corner + shift, corner + shift + 24], -1).view(-1, 4).round()
    some = crowd(12, 0)
    some.boxes[0, 3] = some.boxes[0, 2]  # objects of one overlap
    config = MatchConfig(positive=0.4, negative=0.3, low_quality=low_quality)
    found = match(boxes, None, some, config, group=3)
    overlap = pairwise_iou(boxes, some.boxes[0][some.valid[0]]).view(60, 3, -1).amax(1)
    best, slot = overlap.max(1)
    positive, negative = best >= 0.4, best < 0.3
    for number, column in enumerate(overlap.T):
        if low_quality is not None and column.max() >= low_quality:
            slot[column == column.max()] = number
            positive |= column == column.max()
            negative &= column != column.max()
    assert torch.equal(found.positive[0], positive)
    assert torch.equal(found.negative[0], negative)
    assert torch.equal(found.slot[0], slot * positive)
    assert positive.any()
    assert not found.positive[1].any()
    assert found.negative[1].all()


def test_an_anchor_has_the_middle_of_its_square_and_edges_that_are_predicted() -> None:
    guide = Guide(Guide.Config(side=4.0, std=0.5), 8, (4, 8))
    shapes = [torch.zeros(2, 2, 3, 4), torch.zeros(2, 2, 2, 2)]
    shapes[0][1, :, 2, 1] = torch.tensor([2 * math.log(3.0), -2 * math.log(2.0)])  # width and height
    found = guide.anchors(shapes)
    assert torch.equal(found[0], guide.squares([(3, 4), (2, 2)]))
    assert found[1, 9].tolist() == pytest.approx([4 - 24, 8 - 4, 4 + 24, 8 + 4], abs=1e-4)
    far = guide.anchors([shapes[0] + 1e9, shapes[1] - 1e9])
    assert torch.isfinite(far).all()


def guide_losses(config: Guide.Config, some: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Losses of shapes and of locations, and the locations' logits."""
    torch.manual_seed(0)
    guide = Guide(config, 8, STRIDES)
    shapes = [torch.randn(2, 2, *size) * 0.1 for size in SIZES]
    locations = [torch.randn(2, 1, *size) for size in SIZES]
    by_shape, by_location = guide.losses(shapes, locations, some)
    return by_shape, by_location, torch.cat([level.flatten(1) for level in locations], 1)


@pytest.mark.parametrize("inverted", [False, True])
def test_the_loss_of_locations_is_the_sum_over_cells(inverted: bool) -> None:
    some = crowd(9, 0)
    _, found, logits = guide_losses(Guide.Config(side=SIDE, inverted=inverted), some)
    total = torch.zeros(())
    for image in range(2):
        centres, weights = painted(some.boxes[image][some.valid[image]].tolist())
        for centre, weight, logit in zip(chain(*centres), chain(*weights), logits[image], strict=True):
            wanted = bool(centre) != inverted
            p = logit.sigmoid()
            loss = -0.25 * (1 - p) ** 2 * p.log() if wanted else -0.75 * p**2 * (1 - p).log()
            total += weight * loss
    cells = 2 * sum(height * width for height, width in SIZES)
    assert float(found) == pytest.approx(float(total) / (cells / 200), rel=1e-4)


def test_shapes_learn_from_well_placed_cells_and_from_nothing_without_objects() -> None:
    by_shape, _, _ = guide_losses(Guide.Config(side=SIDE), crowd(9, 4))
    assert float(by_shape) > 0
    without, by_location, _ = guide_losses(Guide.Config(side=SIDE), crowd(0, 0))
    assert float(without) == 0
    assert float(by_location) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"around": 0.1}, "no smaller than centre"), ({"shape_loss": {"kind": "l1"}}, "kind must compare boxes")],
)
def test_settings_that_contradict_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(Guide.Config, settings)


@torch.no_grad()
def test_cells_without_an_object_are_not_looked_at_in_any_image() -> None:
    """Each image has cells of its own that are left out; all of them may be."""
    detector = tiny("FasterRCNN-guided").eval()
    assert isinstance(detector, FasterRCNN)
    rpn: Any = detector.rpn
    batch = images()
    raw = rpn(detector.neck(detector.backbone(batch.pixels)), batch.sizes)
    logits, offsets, shapes, locations = raw
    for level in locations:
        level.fill_(-20.0)
    locations[0][0, 0, 5, 7] = locations[1][1, 0, 2, 3] = locations[1][1, 0, 6, 6] = 3.0
    found = rpn.propose((logits, offsets, shapes, locations), batch, training=False)
    assert found.valid.sum(1).tolist() == [1, 2]
    assert torch.equal(found.boxes[0, 1:], torch.zeros_like(found.boxes[0, 1:]))
    assert rpn.propose((logits, offsets, shapes, locations), batch, training=True).valid.sum() > 3
    locations[0][0], locations[1][1] = -20.0, -20.0
    assert not rpn.propose((logits, offsets, shapes, locations), batch, training=False).valid.any()


@torch.no_grad()
def test_retinanet_looks_at_all_classes_of_its_best_cells() -> None:
    detector = tiny(GARetinaNet, head={"threshold": 0.0, "candidates": 2, "pairs": 5, "detections": 50}).eval()
    assert isinstance(detector, GARetinaNet)
    logits = [torch.full((2, 3, 4, 5), -9.0), torch.full((2, 3, 2, 3), -9.0)]
    logits[0][0, 1, 2, 3], logits[0][0, 2, 0, 0], logits[1][1, 0, 1, 1] = 4.0, 2.0, 3.0
    kept = [torch.ones(2, 20, dtype=torch.bool), torch.ones(2, 6, dtype=torch.bool)]
    kept[0][0, 0] = False
    scores, where, used = best_cells([by_cell(level, 3).sigmoid() for level in logits], detector.head.candidates, kept)
    assert scores.shape == (2, 4, 3)
    assert used.all()
    assert where[0, 0] == 13
    assert 0 not in where[0, :2].tolist()
    assert where[1, 2] == 20 + 4
    assert scores[1, 2].argmax() == 0
    detector.guide.config = detector.guide.config.replace(threshold=1.0)
    assert not detector.detect(images()).valid.any()


@pytest.mark.parametrize("form", ["FasterRCNN-guided", "GARetinaNet"])
def test_without_objects_everything_has_a_gradient(form: str) -> None:
    detector = tiny(form).train()
    losses = detector(images(), targets(0, 0))
    torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
    assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)
    assert {"FasterRCNN-guided": "rpn_loss_anchor_loc", "GARetinaNet": "loss_loc"}[form] in losses
