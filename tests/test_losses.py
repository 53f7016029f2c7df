"""Box losses against torchvision's and against hand-made numbers."""

from __future__ import annotations

import pytest
import torch
import torchvision.ops as peer

from detzoo.blocks.losses import BoxLoss, box_loss, class_loss

KINDS = ("l1", "smooth_l1", "iou", "giou", "diou", "ciou", "bounded_iou")


def pairs(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    corner = torch.rand(count, 2) * 20
    a = torch.cat([corner, corner + 5 + torch.rand(count, 2) * 30], 1)
    return a, a + torch.randn(count, 4)


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
