"""Cascade RPN: where the adaptive convolution reads, which cells learn first, and what its second stage starts from."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detzoo.blocks.cascade_rpn import CascadeRPN
from detzoo.blocks.losses import BoxLoss, box_losses
from detzoo.ops.boxes import decode, encode
from detzoo.types import Targets
from tests.tiny import images, targets, tiny

SIZES, STRIDES = ((12, 16), (6, 8), (3, 4)), (4, 8, 16)
IMAGES = torch.tensor([[48.0, 64.0], [40.0, 56.0]])


def network(**settings: Any) -> CascadeRPN:
    torch.manual_seed(0)
    return CascadeRPN.Config(channels=6, side=2.0, **settings).build((4, 4, 4), STRIDES)


def features() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 4, *size, generator=generator) for size in SIZES]


def read(plane: Tensor, x: float, y: float) -> Tensor:
    """Channels of ``plane [C, H, W]`` at a place in cells, bilinear, zero outside."""
    total = torch.zeros(len(plane))
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < plane.shape[1] and 0 <= column < plane.shape[2]:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * plane[:, row, column]
    return total


@torch.no_grad()
def test_the_adaptive_convolution_reads_nine_places_of_each_box() -> None:
    """The middle and the edges of the box that the first stage made, which is inside of the image."""
    rpn = network()
    rpn.first_reg.weight.normal_(std=0.3)
    rpn.cls.weight.fill_(1.0)
    logits, _, first, boxes = rpn(features(), IMAGES)
    assert (boxes[1, :, 2] <= 56).all()
    assert (boxes[1, :, 3] <= 40).all()
    starts = [0, *torch.tensor([height * width for height, width in SIZES]).cumsum(0).tolist()]
    for level, row, column, image in ((0, 5, 7, 0), (0, 0, 15, 1), (1, 3, 2, 1), (2, 1, 1, 0)):
        hidden = rpn.first_conv(features()[level])[image].relu()
        assert torch.allclose(first[level][image], rpn.first_reg(hidden[None])[0], atol=1e-6)
        x1, y1, x2, y2 = (boxes[image, starts[level] + row * SIZES[level][1] + column] / STRIDES[level]).tolist()
        total = torch.zeros(6)
        for across in range(3):
            for down in range(3):
                found = read(hidden, x1 + (x2 - x1) * across / 2, y1 + (y2 - y1) * down / 2)
                total += rpn.conv.weight[:, :, down, across] @ found
        assert float(logits[level][image, 0, row, column]) == pytest.approx(float(total.relu().sum()), abs=1e-5)


def crowd(*counts: int) -> Targets:
    generator = torch.Generator().manual_seed(2)
    items = []
    for count in counts:
        corner = torch.rand(count, 2, generator=generator) * 50
        size = 3 * 12 ** torch.rand(count, 2, generator=generator)
        labels = torch.zeros(count, dtype=torch.int64)
        items.append({"boxes": torch.cat([corner, corner + size], 1), "labels": labels})
    return Targets.pack(items)


def learned(boxes: list[list[float]]) -> list[int]:
    """The object that each cell of all levels learns, object by object in words; -1: none."""
    held = [[-1] * (height * width) for height, width in SIZES]
    barred: set[tuple[int, int]] = set()
    for slot, (x1, y1, x2, y2) in enumerate(boxes):
        size = math.log2(math.sqrt((x2 - x1) * (y2 - y1)) / (2.0 * STRIDES[0]))
        own = min(max(math.floor(size + 0.5), 0), 2)
        for level, (height, width) in enumerate(SIZES):
            for cell in range(height * width):
                inside = {}
                for share in (0.5, 0.2):
                    edge, places = (1 - share) / 2, ((cell % width, x1, x2, width), (cell // width, y1, y2, height))
                    inside[share] = all(
                        min(max(round(((1 - edge) * low + edge * high) / STRIDES[level]), 0), most)
                        <= place
                        <= min(max(round((edge * low + (1 - edge) * high) / STRIDES[level]), 0), most)
                        for place, low, high, most in places
                    )
                if level == own and inside[0.5]:
                    held[level][cell] = slot if inside[0.2] else -1
                elif abs(level - own) == 1 and inside[0.5]:
                    barred.add((level, cell))
    return [-1 if (level, cell) in barred else slot for level in range(3) for cell, slot in enumerate(held[level])]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["linear_iou", "l1"])
def test_the_first_stage_learns_in_the_middle_of_objects(kind: Any) -> None:
    rpn = network(first_loss=BoxLoss(kind=kind, weight=3.0), first_stds=(0.2, 0.2, 0.4, 0.4))
    raw, some = rpn(features(), IMAGES), crowd(14, 9)
    anchors, total, cells = rpn.anchors(SIZES), 0.0, 0
    for image in range(2):
        objects = some.boxes[image][some.valid[image]]
        slots = torch.tensor(learned(objects.tolist()))
        moves = torch.cat([level[image].flatten(1).T for level in raw[2]])
        where = (slots >= 0).nonzero().squeeze(1)
        assert len(where) > 1
        wanted, predicted, cells = objects[slots[where]], moves[where], cells + len(slots)
        stds = rpn.config.first_stds
        if kind == "l1":
            wanted = encode(anchors[where], wanted, stds)
        else:
            predicted = decode(anchors[where], predicted, stds)
        total += float(box_losses(predicted, wanted, BoxLoss(kind=kind)).sum()) * 3
    found = rpn.losses(raw, some)["s0.loss_rpn_reg"]
    assert float(found) == pytest.approx(total / (cells / 200), rel=1e-4)


def test_the_second_stage_starts_from_boxes_that_it_does_not_move() -> None:
    """Its losses reach the first stage through the features, not through the boxes."""
    rpn = network(class_weight=0.5)
    maps = features()
    raw = rpn(maps, IMAGES)
    assert not raw[3].requires_grad
    assert torch.equal(raw[3], rpn(maps, IMAGES)[3])
    losses = rpn.losses(raw, crowd(5, 2))
    (losses["s1.loss_rpn_cls"] + losses["s1.loss_rpn_reg"]).backward()
    assert rpn.first_reg.weight.grad is None
    assert rpn.first_conv.weight.grad is not None
    found = []
    for weight in (0.5, 1.0):
        rpn.config = rpn.config.replace(class_weight=weight)
        torch.manual_seed(3)
        found.append(rpn.losses(raw, crowd(5, 0))["s1.loss_rpn_cls"].detach())
    torch.testing.assert_close(found[1], 2 * found[0])


def test_without_objects_everything_has_a_gradient() -> None:
    detector = tiny("FasterRCNN-cascade-rpn").train()
    losses = detector(images(), targets(0, 0))
    assert {"s0.loss_rpn_reg", "s1.loss_rpn_cls", "s1.loss_rpn_reg"} <= losses.keys()
    torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
    assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)
