"""AutoAssign: its losses against loops over objects, cells and classes; crowds; the priors' gradients."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from detzoo.blocks.points import around
from detzoo.methods.auto_assign import AutoAssign
from detzoo.ops import soft_positives
from detzoo.ops.boxes import giou, iou
from detzoo.types import Targets
from tests.tiny import CANVAS, images, targets, tiny, total

STRIDES = (8, 16, 32, 64, 128)
EPS = 1e-12


def auto_assign(**head: Any) -> AutoAssign:
    """One whose classes have learned something of their middles."""
    detector = cast(AutoAssign, tiny(AutoAssign, head=head)).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        detector.center_prior.mean.add_(0.3 * torch.randn(3, 2, generator=generator))
        detector.center_prior.sigma.add_(torch.rand(3, 2, generator=generator))
        detector.object.weight *= 10
        detector.cls.weight *= 10
    return detector


def cells_of() -> list[tuple[float, float, int]]:
    """Of each cell x, y and stride."""
    return [
        (float(column * stride), float(row * stride), stride)
        for stride in STRIDES
        for row in range(math.ceil(CANVAS[0] / stride))
        for column in range(math.ceil(CANVAS[1] / stride))
    ]


def slow(detector: AutoAssign, told: tuple[list[Tensor], ...], packed: Targets) -> dict[str, float]:
    """The three losses, pair by pair."""
    cells, head = cells_of(), detector.head
    missed = background = spread = total = 0.0
    for image in range(len(packed.boxes)):
        logits, distances, objects = (torch.cat([one[image].flatten(1).T for one in part]) for part in told)
        joint = logits.sigmoid() * objects.sigmoid()
        boxes = torch.tensor(
            [(x - a, y - b, x + c, y + d) for (x, y, _), (a, b, c, d) in zip(cells, distances.tolist(), strict=True)]
        ).double()
        real = packed.boxes[image][packed.valid[image]].double()
        best = [max([0.0, *(float(iou(box, one)) for one in real)]) for box in boxes]
        keep = torch.ones_like(joint)
        priors = 0.0
        for slot, (x1, y1, x2, y2) in enumerate(real.tolist()):
            label = int(packed.labels[image, slot])
            mean, sigma = detector.center_prior.mean[label].tolist(), detector.center_prior.sigma[label].tolist()
            near = [at for at, (x, y, _) in enumerate(cells) if x1 < x < x2 and y1 < y < y2]
            if not near:
                continue
            weights, likely = [], []
            for at in near:
                x, y, stride = cells[at]
                dx = ((x - (x1 + x2) / 2) / stride - mean[0]) / sigma[0]
                dy = ((y - (y1 + y2) / 2) / stride - mean[1]) / sigma[1]
                prior = math.exp(-(dx * dx + dy * dy) / 2)
                far = head.box_loss.weight * (1 - float(giou(boxes[at], real[slot])))
                likely.append(float(joint[at, label]) * math.exp(-far))
                weights.append(prior * math.exp(3 * likely[-1]))
                priors += prior
            missed -= math.log(sum(w * p for w, p in zip(weights, likely, strict=True)) / sum(weights))
            good = [1 / (1 - best[at]) for at in near]
            for at, value in zip(near, good, strict=True):
                keep[at, label] = 1 - (value - min(good) + EPS) / (max(good) - min(good) + EPS)
        p = joint * keep
        background -= float((p.square() * (1 - p).log()).sum())
        total += priors
        spread += len(real) / priors if priors else 0.0
    return {
        "loss_pos": 0.25 * missed / max(int(packed.valid.sum()), 1),
        "loss_neg": 0.75 * background / max(total, 1.0),
        "loss_center": 0.75 * spread / len(packed.boxes),
    }


@pytest.mark.parametrize("counts", [(0, 0), (3, 0), (2, 20)], ids=str)
def test_losses_are_those_of_loops(counts: tuple[int, ...]):
    detector, batch, packed = auto_assign(), images(), targets(*counts)
    packed.boxes[:, 1:2] = torch.tensor([33.0, 34.0, 37.0, 38.0]) * packed.valid[:, 1:2, None]  # no cell lies in it
    batch = type(batch)(batch.pixels.double(), batch.sizes)
    losses = detector(batch, packed)
    with torch.no_grad():
        told = detector.heads(detector.neck(detector.backbone(batch.pixels)))
        wanted = slow(detector, told, packed)
    for name, value in wanted.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-5), name
    total(losses).backward()
    for name, parameter in detector.trainable():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    moved = bool(cast(Tensor, detector.center_prior.sigma.grad).abs().sum() > 0)
    assert moved == any(counts)


def test_every_device_sums_the_same():
    """What CUDA compares, cell by cell, gives the sums, ranges and gradients that the CPU finds by pairs."""
    detector, packed = auto_assign(), targets(2, 20)
    cells = detector._cells([(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)], torch.device("cpu"))
    generator = torch.Generator().manual_seed(7)
    logits = torch.randn(2, len(cells.places), 3, generator=generator, dtype=torch.float64)
    moves = torch.rand(2, len(cells.places), 4, generator=generator, dtype=torch.float64) * 30
    boxes = around(cells.places[:, :2], moves)
    told: Any = [logits, boxes, detector.center_prior.mean.detach(), detector.center_prior.sigma.detach()]
    given: Any = (*cells, packed.boxes, packed.labels, packed.valid)
    compared = soft_positives._compared_sums(*told, *given, *detector.fit)
    torch.testing.assert_close(torch.ops.detzoo.sums_inside(*told, *given, *detector.fit), compared)
    assert compared.any()
    grads: list[Any] = [
        kind(torch.ones_like(compared), *told, *given, *detector.fit)
        for kind in (torch.ops.detzoo.sums_inside_backward, soft_positives._compared_sums_backward)
    ]
    torch.testing.assert_close(*grads)
    good = torch.rand(2, len(cells.places), generator=generator)
    ranges = torch.ops.detzoo.range_inside(good, *given, 3)
    torch.testing.assert_close(ranges, soft_positives._compared_range(good, *given, classes=3))


def test_a_loss_of_offsets_is_refused():
    with pytest.raises(ValueError, match="must compare boxes"):
        auto_assign(box_loss={"kind": "l1"})
