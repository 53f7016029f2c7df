"""FreeAnchor's losses against loops over objects, anchors and classes."""

from __future__ import annotations

import math
from typing import cast

import pytest
import torch

from detzoo.blocks.free_anchor import FreeAnchor, bag_losses
from detzoo.blocks.losses import BoxLoss
from detzoo.methods.retinanet import RetinaNet
from detzoo.ops.boxes import decode, encode, pairwise_iou
from detzoo.types import Targets
from tests.tiny import targets, tiny, total

STDS = (0.1, 0.1, 0.2, 0.2)
L1 = BoxLoss(weight=0.3)


def scene(counts: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Targets]:
    """Logits, offsets, anchors and objects; some anchors find an object well."""
    objects = targets(*counts)
    generator = torch.Generator().manual_seed(0)
    anchors = torch.rand(30, 2, generator=generator).repeat(1, 2) * 60
    anchors[:, 2:] += 20
    moves = torch.randn(len(counts), 30, 4, generator=generator)
    for image, count in enumerate(counts):
        for slot in range(count):
            near = encode(anchors[slot : slot + 3], objects.boxes[image, slot], STDS)
            moves[image, slot : slot + 3] = near + 0.2 * moves[image, slot : slot + 3]
    return torch.randn(len(counts), 30, 3, generator=generator), moves, anchors, objects


def slow(
    config: FreeAnchor, logits: torch.Tensor, moves: torch.Tensor, anchors: torch.Tensor, objects: Targets
) -> tuple[float, float]:
    positive = negative = 0.0
    for image in range(len(logits)):
        scores, found = logits[image].sigmoid(), decode(anchors, moves[image], STDS)
        fit = [[0.0] * 3 for _ in anchors]
        for slot in objects.valid[image].nonzero().flatten().tolist():
            box, label = objects.boxes[image, slot], int(objects.labels[image, slot])
            overlaps = pairwise_iou(box[None], found)[0].tolist()
            room = max(max(overlaps) - config.overlap, 1e-12)
            for at, overlap in enumerate(overlaps):
                fit[at][label] = max(fit[at][label], min(max((overlap - config.overlap) / room, 0.0), 1.0))
            bag = pairwise_iou(box[None], anchors)[0].argsort(descending=True)[: config.size].tolist()
            likely = []
            for at in bag:
                gap = (moves[image, at] - encode(anchors[at], box, STDS)).abs().sum()
                likely.append(float(scores[at, label]) * math.exp(-L1.weight * float(gap)))
            weights = [1 / (1 - one) for one in likely]
            positive -= math.log(sum(w * one for w, one in zip(weights, likely, strict=True)) / sum(weights))
        for at, row in enumerate(fit):
            for label, one in enumerate(row):
                p = float(scores[at, label]) * (1 - one)
                negative -= p**config.gamma * math.log(1 - p)
    count = max(int(objects.valid.sum()), 1)
    return config.alpha * positive / count, (1 - config.alpha) * negative / count / config.size


@pytest.mark.parametrize("counts", [(4, 2), (20, 1), (0, 3), (0, 0)])
def test_losses_are_those_of_loops(counts: tuple[int, ...]) -> None:
    logits, moves, anchors, objects = scene(counts)
    config = FreeAnchor(size=7, overlap=0.5, alpha=0.4, gamma=1.5)
    found = bag_losses(config, L1, logits, moves, anchors, STDS, objects)
    positive, negative = slow(config, logits, moves, anchors, objects)
    assert float(found["positive_bag_loss"]) == pytest.approx(positive, rel=1e-4)
    assert float(found["negative_bag_loss"]) == pytest.approx(negative, rel=1e-4)


def test_certain_and_hopeless_anchors_have_finite_losses_and_gradients() -> None:
    logits, moves, anchors, objects = scene((3, 1))
    logits, moves = (logits * 100).requires_grad_(), (moves * 100).requires_grad_()
    losses = bag_losses(FreeAnchor(), L1, logits, moves, anchors, STDS, objects)
    total(losses).backward()
    for tensor in (*losses.values(), cast(torch.Tensor, logits.grad), cast(torch.Tensor, moves.grad)):
        assert tensor.isfinite().all()


def test_ways_to_learn_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="free_anchor and ghm_c are ways to learn"):
        RetinaNet.Head.model_validate({"free_anchor": {}, "ghm_c": {}})
    with pytest.raises(ValueError, match="free_anchor compares offsets"):
        tiny("RetinaNet-free-anchor", head={"box_loss": {"kind": "giou"}})
