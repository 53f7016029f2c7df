"""A cascade with a box for each class: where its stages put boxes, and how their results become one."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from detzoo.blocks.class_aware_cascade import best_of_stages, placed_by_class
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.suppression import SoftNMS
from detzoo.config import ConfigError, validate
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.types import Images
from tests.tiny import images, targets, tiny

HEAD = BoxHead.Config(fc_channels=8, size=2, stds=(0.1, 0.1, 0.2, 0.2), shrink_bound=False, in_files=True)
SHARES: dict[str, Any] = {"shares": (0.2, 0.3, 0.5), "box_head": {"class_agnostic": False, "in_files": True}}


def test_a_stage_counts_pixels_from_their_corners() -> None:
    """With first and last pixels 10 and 29 in x, 20 and 59 in y: a middle of 19.5, 39.5 and a size of 20, 40."""
    head = BoxHead(HEAD, 4, classes=2)
    offsets = torch.tensor([[[[1.0, -2.0, 0.5, -1.0], [0.0, 0.0, 0.0, 0.0]]]])
    boxes = torch.tensor([[[10.0, 20, 30, 60]]])
    x, y, w, h = 19.5 + 0.1 * 20, 39.5 - 0.2 * 40, 20 * math.exp(0.1), 40 * math.exp(-0.2)
    last = (x - w / 2, y - h / 2, x + w / 2 - 1, y + h / 2 - 1)  # of it, the last two are a pixel's
    wanted = torch.tensor([[last[0], last[1], last[2] + 1, last[3] + 1], [9.5, 19.5, 29.5, 59.5]])
    for scores, best in (((3.0, 1.0, 9.0), 0), ((1.0, 3.0, 9.0), 1)):  # background never counts
        placed, moved = placed_by_class(head, (torch.tensor([[scores]]), offsets), boxes)
        torch.testing.assert_close(placed[0, 0], wanted)
        torch.testing.assert_close(moved[0, 0], wanted[best])


def test_the_mean_of_the_stages_is_the_result() -> None:
    """Three stages, one RoI, two classes, in a picture of half the size."""
    config = HEAD.replace(threshold=0.1, soft_nms=SoftNMS(method="gaussian", min_score=0.1), detections=2)
    heads = [BoxHead(config, 4, classes=2) for _ in range(3)]
    logits = [torch.tensor([[list(row)]]) for row in ((0.0, 1.0, 2.0), (1.0, 0.0, 0.5), (2.0, 1.0, 0.0))]
    offsets = [torch.full((1, 1, 2, 4), 0.1 * number) for number in range(3)]
    offsets[2][0, 0, 1] = 0.5
    given = dict(zip(map(id, heads), zip(logits, offsets, strict=True), strict=True))
    some = Images(torch.zeros(1, 3, 64, 96), torch.tensor([[60, 80]]), torch.tensor([[2.0, 2.0]]))
    boxes, valid = torch.tensor([[[10.0, 12, 40, 44]]]), torch.tensor([[True]])
    found = best_of_stages(heads, lambda head, _: given[id(head)], boxes, valid, some, (0.2, 0.3, 0.5))
    moved, places = boxes, []
    for head in heads:
        placed, moved = placed_by_class(head, given[id(head)], moved)
        places.append(placed[0, 0])
    first, second, third = (one.softmax(-1)[0, 0, :2] for one in logits)
    scores = 0.2 * first + 0.3 * second + 0.5 * third
    wanted = 0.2 * places[0] + 0.3 * places[1] + 0.5 * places[2]
    assert found.labels[0].tolist() == [0, 1]
    torch.testing.assert_close(found.scores[0], scores)
    last = torch.tensor([0.0, 0, 1, 1])
    torch.testing.assert_close(found.boxes[0], ((wanted - last) / 2 + last) * 2)  # with whole pixels at its ends
    nothing = best_of_stages(heads, lambda head, _: given[id(head)], boxes, ~valid, some, (0.2, 0.3, 0.5))
    assert not nothing.valid.any()


def test_it_learns_and_detects() -> None:
    detector = tiny(CascadeRCNN, **SHARES)
    losses = detector.train()(images(), targets(2, 1))
    torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for _, p in detector.trainable() if p.grad is not None)
    with torch.no_grad():
        found = detector.eval().detect(images())
    assert found.boxes.shape == (2, found.scores.shape[1], 4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shares": (0.5, 0.5)}, "2 numbers for 3 stages"),
        ({"box_head": {"class_agnostic": True, "in_files": True}}, "a box for each class"),
        ({"box_head": {"class_agnostic": False}}, "in_files"),
    ],
)
def test_shares_that_do_not_fit(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        validate(CascadeRCNN.Config, SHARES | changes)
