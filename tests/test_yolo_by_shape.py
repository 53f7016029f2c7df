"""YOLOv3 as Darknet and PaddleDetection learn it: which prior answers, what mixtures count, where boxes end."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from detzoo.blocks.class_rows import ClassRows, moved
from detzoo.blocks.drop_block import DropBlock
from detzoo.blocks.layers import BatchNorm2d, follow_batches
from detzoo.blocks.yolo_loss import answers
from detzoo.config import ConfigError, validate
from detzoo.methods.yolov3 import YOLOv3
from detzoo.types import Targets
from tests.tiny import CANVAS, images, targets, tiny

SIZES = [(3, 4), (6, 8), (12, 16)]  # of the maps of the tests' canvas
# two alike in one cell, a wide one there, one that lies elsewhere, and one without width
BOXES = [[40, 40, 52, 54], [41, 40, 53, 54], [30.0, 40, 62, 54], [70, 3, 100, 63], [9, 9, 9, 20]]


def learner(**head: Any) -> YOLOv3:
    found = tiny(YOLOv3, head={"by_shape": {}, **head})
    assert isinstance(found, YOLOv3)
    return found


def pack(shares: list[float] | None = None) -> Targets:
    item: dict[str, Tensor] = {"boxes": torch.tensor(BOXES), "labels": torch.tensor([0, 2, 1, 1, 0])}
    return Targets.pack([item if shares is None else item | {"shares": torch.tensor(shares)}])


def slow_answer(model: YOLOv3, box: list[float]) -> int:
    """The number of the prior of all maps that fits best, in the cell that holds the centre."""
    width, height = box[2] - box[0], box[3] - box[1]
    fits, start = [], 0
    for (rows, columns), step, level in zip(SIZES, model.priors.steps, model.head.priors, strict=True):
        column, row = int((box[0] + box[2]) / 2 // step), int((box[1] + box[3]) / 2 // step)
        for number, (w, h) in enumerate(level):
            common = min(width, w) * min(height, h)
            fits.append((common / (width * height + w * h - common), start + (row * columns + column) * 3 + number))
        start += rows * columns * 3
    return max(fits)[1]


def test_the_best_shape_of_all_maps_answers_and_the_last_object_of_a_prior_is_learned() -> None:
    model = learner()
    found = answers(model.priors, SIZES, pack(), CANVAS, 3)
    assert found.prior[0, :4].tolist() == [slow_answer(model, box) for box in BOXES[:4]]
    assert len(set(found.prior[0, :4].tolist())) == 3
    assert found.counts[0].tolist() == [0, 1, 1, 1, 0, 0, 0, 0]
    assert found.labels[0, 1].tolist() == [True, False, True]  # the classes of both that have its prior
    assert found.labels[0, 3].tolist() == [False, True, False]


def test_what_an_object_of_a_mixture_counts() -> None:
    model = learner().train()
    whole = model(images(1), pack())
    ones, half, none = (model(images(1), pack([1.0, share, 1.0, 1.0, 1.0])) for share in (1.0, 0.5, 0.0))
    for name, value in whole.items():
        torch.testing.assert_close(ones[name], value)
    for name in ("loss_cls", "loss_wh"):
        assert half[name] < whole[name]
    # without a share the one before it has the prior
    assert answers(model.priors, SIZES, pack([0.5, 0, 1, 1, 1]), CANVAS, 3).counts[0, :2].tolist() == [0.5, 0.0]
    assert none["loss_cls"] > 0


def test_the_mean_over_images() -> None:
    model = learner().eval()
    batch, objects = images(2), targets(2, 1)
    both = model(batch, objects)
    each = []
    for index in (0, 1):
        one = dataclasses.replace(batch, pixels=batch.pixels[index : index + 1], sizes=batch.sizes[index : index + 1])
        own = Targets(*(getattr(objects, name)[index : index + 1] for name in ("boxes", "labels", "valid", "ignore")))
        each.append(model(one, own))
    for name, value in both.items():
        torch.testing.assert_close(value, (each[0][name] + each[1][name]) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("legacy", [False, True])
def test_boxes_end_with_the_last_pixel_of_the_file(legacy: bool) -> None:
    model = learner(last_pixel=True, legacy=legacy, threshold=0.0).eval()
    scales = torch.tensor([[2.0, 0.5], [2.0, 0.5]])
    with torch.no_grad():
        found = model.detect(dataclasses.replace(images(), scales=scales))
    for index, (height, width) in enumerate([CANVAS, (80, 100)]):
        boxes = found[index].boxes
        assert len(boxes)
        assert boxes.min() >= 0
        assert boxes[:, 2].max() == (width * 2 - 1) / 2
        assert boxes[:, 3].max() == (height / 2 - 1) * 2


def test_predicted_ious_come_first_and_move_the_scores() -> None:
    model = learner(iou_aware=0.4, joint=True).eval()
    assert model.outputs[0].out_channels == 3 * (5 + 3 + 1)
    flat = torch.zeros(1, 2, 9)
    flat[0, :, 4], flat[0, 1, 8] = 1.0, 3.0
    told = model._objectness(flat)[0]
    p, low, high = (torch.tensor(value).sigmoid() for value in (1.0, 0.0, 3.0))
    torch.testing.assert_close(told, torch.stack([p**0.6 * low**0.4, p**0.6 * high**0.4]))
    # moved to another head, they stay with their anchors
    old, rows = torch.arange(2 * (1 + 7.0)), ClassRows(before=5, apart=True)
    new = moved(torch.full((2 * (1 + 6),), -1.0), old, rows, (1, 2), [(0, 1)])
    assert new is not None
    assert new.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 15]


def test_ious_need_their_lesson() -> None:
    with pytest.raises(ConfigError, match="by_shape"):
        validate(YOLOv3.Head, {"iou_aware": 0.4})


@pytest.mark.parametrize("planes", [False, True])
def test_running_variances_are_those_of_batches(planes: bool) -> None:
    norm = BatchNorm2d(4)
    follow_batches(norm)
    x = torch.randn(2, 4, 3, 5) * 3
    y = norm(x if planes else x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.var((0, 2, 3), correction=0))
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean((0, 2, 3)))
    torch.testing.assert_close(y, BatchNorm2d(4)(x))


def test_drop_block_zeroes_squares_and_keeps_the_sum() -> None:
    torch.manual_seed(0)
    drop, x = DropBlock(DropBlock.Config()), torch.ones(4, 8, 32, 32)
    y = drop(x)
    assert 0.85 < float((y > 0).float().mean()) < 0.95
    torch.testing.assert_close(y.sum(), x.sum())
    # every zero is part of a square of zeros: closing the gaps by one cell and opening them again changes nothing
    gaps = (y == 0).float()
    inside = -torch.nn.functional.max_pool2d(-gaps, 3, 1, 1)
    assert torch.equal(torch.nn.functional.max_pool2d(inside, 3, 1, 1)[..., 2:-2, 2:-2], gaps[..., 2:-2, 2:-2])
    assert drop.eval()(x) is x
