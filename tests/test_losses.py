"""Box losses against torchvision's, against one written out for one pair of boxes, and against hand-made numbers."""

from __future__ import annotations

import math

import pytest
import torch
import torchvision.ops as peer

from detzoo.blocks.losses import BoxLoss, box_loss, class_loss

KINDS = ("l1", "smooth_l1", "balanced_l1", "iou", "linear_iou", "giou", "diou", "ciou", "bounded_iou")


def pairs(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    corner = torch.rand(count, 2) * 20
    a = torch.cat([corner, corner + 5 + torch.rand(count, 2) * 30], 1)
    return a, a + torch.randn(count, 4)


def slow(kind: str, a: list[float], b: list[float], beta: float) -> float:
    """The loss of one pair, term by term as the papers print it."""
    if kind.endswith("l1"):
        gaps = [abs(p - q) for p, q in zip(a, b, strict=True)]
        if kind == "l1":
            return sum(gaps)
        if kind == "smooth_l1":
            return sum(gap**2 / (2 * beta) if gap < beta else gap - beta / 2 for gap in gaps)
        alpha, gamma = 0.5, 1.5
        grow = math.exp(gamma / alpha) - 1
        return sum(
            alpha / grow * (grow * gap + 1) * math.log(grow * gap / beta + 1) - alpha * gap
            if gap < beta
            else gamma * gap + gamma / grow - alpha * beta
            for gap in gaps
        )
    wa, ha, wb, hb = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    if kind == "bounded_iou":
        few = 1e-3  # added to every denominator when the published weights were trained
        bounds = [max((s - 2 * abs(d)) / (s + 2 * abs(d) + few), 0) for s, d in ((wb, dx), (hb, dy))]
        bounds += [min(p / (q + few), q / (p + few)) for p, q in ((wa, wb), (ha, hb))]
        return slow("smooth_l1", [1 - bound for bound in bounds], [0.0] * 4, beta)
    common = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = wa * ha + wb * hb - common
    if kind == "iou":
        return -math.log(max(common / union, 1e-6))
    if kind == "linear_iou":
        return 1 - max(common / union, 1e-6)
    width, height = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    if kind == "giou":
        return 1 - common / union + (width * height - union) / (width * height)
    loss = 1 - common / union + (dx**2 + dy**2) / (width**2 + height**2)
    if kind == "ciou" and common / union > 0.5:
        aspect = 4 / math.pi**2 * (math.atan(wb / hb) - math.atan(wa / ha)) ** 2
        loss += aspect**2 / (1 - common / union + aspect)
    return loss


@pytest.mark.parametrize("beta", [1.0, 0.2])
@pytest.mark.parametrize("far", [0.3, 1.0, 15.0], ids=["near", "around", "far"])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_formula_of_each_pair(kind: str, far: float, beta: float):
    a, b = pairs(12)
    b = a + (b - a) * far
    b[:, 2:] = torch.maximum(b[:, 2:], b[:, :2] + 1)
    weights = torch.arange(12.0)
    ours = box_loss(a, b, weights, BoxLoss.model_validate({"kind": kind, "beta": beta, "weight": 2.0}))
    wanted = [slow(kind, *pair, beta) for pair in zip(a.tolist(), b.tolist(), strict=True)]
    assert ours.item() == pytest.approx(
        2 * sum(w * one for w, one in zip(weights.tolist(), wanted, strict=True)), rel=1e-3
    )


def test_balanced_l1_gradient_is_that_of_the_paper():
    gap = torch.tensor([[0.0, 0.1, 0.5, 3.0]]).requires_grad_()
    loss = box_loss(gap, torch.zeros(1, 4), torch.ones(1), BoxLoss(kind="balanced_l1"))
    (gradient,) = torch.autograd.grad(loss, gap)
    b = math.exp(3) - 1
    torch.testing.assert_close(
        gradient, torch.tensor([[0.0, 0.5 * math.log(0.1 * b + 1), 0.5 * math.log(0.5 * b + 1), 1.5]])
    )


@pytest.mark.parametrize(
    ("kind", "oracle"), [("giou", peer.generalized_box_iou_loss), ("diou", peer.distance_box_iou_loss)]
)
def test_equals_torchvision(kind: str, oracle: object):
    a, b = pairs()
    ours = box_loss(a, b, torch.ones(len(a)), BoxLoss.model_validate({"kind": kind}))
    torch.testing.assert_close(ours, oracle(a, b, reduction="sum"))  # type: ignore[operator]


def test_complete_iou_equals_torchvision_above_half_overlap():
    a, b = pairs()
    near = peer.box_iou(a, b).diagonal() > 0.5
    assert int(near.sum()) > 20
    ours = box_loss(a[near], b[near], torch.ones(int(near.sum())), BoxLoss(kind="ciou"))
    torch.testing.assert_close(ours, peer.complete_box_iou_loss(a[near], b[near], reduction="sum"))


def test_iou_loss_is_minus_log_overlap():
    loss = box_loss(
        torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 0, 10, 5]]), torch.ones(1), BoxLoss(kind="iou")
    )
    assert loss.item() == pytest.approx(-torch.tensor(0.5).log().item())


def test_bounded_iou_of_a_shifted_box():
    # dx = 1 of width 10: bound (10 - 2) / (10 + 2); the other three terms vanish up to the method's epsilon
    loss = box_loss(
        torch.tensor([[1.0, 0, 11, 10]]),
        torch.tensor([[0.0, 0, 10, 10]]),
        torch.ones(1),
        BoxLoss(kind="bounded_iou", beta=0.2),
    )
    assert loss.item() == pytest.approx((1 - 8 / 12) - 0.1, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_unused_slots_give_neither_loss_nor_gradient(kind: str):
    a, b = pairs(3)
    a[1], b[1] = 0.0, 0.0
    a[2] = torch.tensor([float("inf"), 0, 0, 0])
    a.requires_grad_()
    loss = box_loss(a, b, torch.tensor([1.0, 0, 0]), BoxLoss.model_validate({"kind": kind, "weight": 2.0}))
    alone = box_loss(a[:1], b[:1], torch.ones(1), BoxLoss.model_validate({"kind": kind}))
    torch.testing.assert_close(loss, 2 * alone)
    loss.backward()
    assert a.grad is not None
    assert bool((a.grad[1:] == 0).all())
    assert bool(torch.isfinite(a.grad).all())


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_lowers_the_loss(kind: str):
    a, b = pairs()
    settings = BoxLoss.model_validate({"kind": kind})
    moved = a.clone().requires_grad_()
    before = box_loss(moved, b, torch.ones(len(a)), settings)
    (gradient,) = torch.autograd.grad(before, moved)
    after = box_loss(moved - 1e-3 * gradient, b, torch.ones(len(a)), settings)
    assert after < before


def test_class_loss_weights_each_slot():
    logits = torch.randn(2, 3, 5)
    labels = torch.randint(5, (2, 3))
    weights = torch.tensor([[1.0, 0, 2], [0, 0, 0]])
    each = -logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(class_loss(logits, labels, weights), (each * weights).sum())
