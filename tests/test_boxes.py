"""Box arithmetic and pooling against independent implementations."""

from __future__ import annotations

import pytest
import torch
import torchvision.ops as peer

from detzoo.ops.boxes import clip, coverage, decode, encode, pairwise_iou
from detzoo.ops.focal import focal_loss
from detzoo.ops.roi_align import build_atlas, pyramid_levels, roi_align

STDS = (0.1, 0.1, 0.2, 0.2)


def random_boxes(*shape: int, extent: float = 100.0) -> torch.Tensor:
    corner = torch.rand(*shape, 2) * extent
    return torch.cat([corner, corner + 1 + torch.rand(*shape, 2) * extent], -1)


def test_iou_equals_torchvision():
    torch.manual_seed(0)
    a, b = random_boxes(20), random_boxes(30)
    torch.testing.assert_close(pairwise_iou(a, b), peer.box_iou(a, b))


def test_iou_of_empty_boxes_is_zero():
    empty = torch.zeros(2, 4)
    assert pairwise_iou(empty, empty).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_coverage_is_a_share_of_the_box():
    box, region = torch.tensor([0.0, 0, 10, 10]), torch.tensor([5.0, 0, 100, 100])
    assert coverage(box, region).item() == pytest.approx(0.5)


def test_decode_inverts_encode():
    torch.manual_seed(0)
    anchors, boxes = random_boxes(2, 50), random_boxes(2, 50)
    torch.testing.assert_close(decode(anchors, encode(anchors, boxes, STDS), STDS), boxes, atol=1e-3, rtol=1e-4)


def test_encode_stays_finite_in_empty_slots():
    empty = torch.zeros(1, 4)
    assert bool(torch.isfinite(encode(empty, empty, STDS)).all())


def test_decode_bounds_the_change_of_size():
    grown = decode(torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 0, 99, -99]]), (1, 1, 1, 1))[0]
    assert (grown[2] - grown[0]).item() == pytest.approx(10 * 1000 / 16, rel=1e-4)
    assert (grown[3] - grown[1]).item() == pytest.approx(10 * 16 / 1000, rel=1e-4)


def test_clip_uses_each_image_size():
    boxes = torch.tensor([[-5.0, -5, 500, 500]]).expand(2, 1, 4)
    assert clip(boxes, torch.tensor([[30, 40], [50, 60]]))[:, 0].tolist() == [[0, 0, 40, 30], [0, 0, 60, 50]]


@pytest.mark.parametrize("sampling", [0, 2])
def test_roi_align_on_the_atlas_equals_a_loop_over_levels(sampling: int):
    torch.manual_seed(0)
    strides = (4, 8, 16, 32)
    levels = [torch.randn(2, 3, 192 // stride, 256 // stride, requires_grad=True) for stride in strides]
    boxes = random_boxes(2, 40, extent=190.0)
    boxes[0, 0] = torch.tensor([0.0, 0, 256, 192])
    boxes[0, 1] = 0
    boxes[..., 2].clamp_(max=256)
    boxes[..., 3].clamp_(max=192)
    which = pyramid_levels(boxes, 4, finest=20.0)
    assert len(which.unique()) == 4
    pooled = roi_align(build_atlas(levels, strides), boxes, which, 7, sampling).view(2, 40, 3, 7, 7)
    expected = torch.stack(
        [
            torch.stack(
                [
                    peer.roi_align(
                        levels[level][image : image + 1], [box[None]], 7, 1 / strides[level], sampling, aligned=True
                    )[0]
                    for box, level in zip(boxes[image], which[image].tolist(), strict=True)
                ]
            )
            for image in range(2)
        ]
    )
    torch.testing.assert_close(pooled, expected, atol=2e-5, rtol=1e-4)
    weights = torch.randn_like(pooled)
    ours = torch.autograd.grad((pooled * weights).sum(), levels)
    theirs = torch.autograd.grad((expected * weights).sum(), levels)
    for got, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, wanted, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("sampling", [0, 1, 2])
def test_roi_align_on_a_processor_equals_torchvision_with_its_gradient(sampling: int):
    """In float64, with RoIs that leave the canvas, have no area, or are longer than the canvas."""
    torch.manual_seed(0)
    canvas = torch.randn(2, 5, 20, 30, dtype=torch.float64, requires_grad=True)
    boxes = random_boxes(1, 300, extent=40.0)[0].double() - 6.3  # more than are looked at together
    boxes[0] = 4.0
    boxes[1] = torch.tensor([-20.0, -20.0, 60.0, 50.0])
    rois = torch.cat([torch.arange(300, dtype=torch.float64)[:, None] % 2, boxes], 1)
    ours = torch.ops.detzoo.roi_align([canvas], rois, torch.zeros(300, dtype=torch.int64), 7, sampling)
    theirs = peer.roi_align(canvas, rois, 7, 1.0, sampling, aligned=True)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(theirs)
    gradients = [torch.autograd.grad((pooled * weights).sum(), canvas)[0] for pooled in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_roi_align_of_half_precision_is_within_its_rounding(kind: torch.dtype):
    """Sums of many cells are float32: neither a bin's average nor what RoIs add to one cell loses more than a digit."""
    torch.manual_seed(0)
    strides = (4, 8)
    levels = [(torch.rand(2, 6, 96 // stride, 128 // stride) + 1).to(kind).requires_grad_() for stride in strides]
    boxes = random_boxes(2, 200, extent=90.0)
    which = pyramid_levels(boxes, 2, finest=20.0)
    pooled = roi_align(build_atlas(levels, strides), boxes, which, 7)
    assert pooled.dtype == kind
    grad = (torch.rand(pooled.shape) + 1).to(kind)
    ours = torch.autograd.grad(pooled, levels, grad)
    wide = [level.detach().float().requires_grad_() for level in levels]
    exact = roi_align(build_atlas(wide, strides), boxes, which, 7)
    eps = torch.finfo(kind).eps
    torch.testing.assert_close(pooled.float(), exact, rtol=eps, atol=0)
    for got, wanted in zip(ours, torch.autograd.grad(exact, wide, grad.float()), strict=True):
        assert got.dtype == kind
        torch.testing.assert_close(got.float(), wanted, rtol=eps, atol=eps)


def test_roi_align_without_rois():
    canvas = torch.randn(1, 4, 8, 8, requires_grad=True)
    pooled = torch.ops.detzoo.roi_align([canvas], torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64), 7, 0)
    assert pooled.shape == (0, 4, 7, 7)
    assert torch.autograd.grad(pooled.sum(), canvas)[0].abs().sum() == 0


def test_levels_follow_the_scale():
    sides = torch.tensor([10.0, 111.0, 113.0, 225.0, 449.0, 2000.0])
    boxes = torch.stack([torch.zeros(6), torch.zeros(6), sides, sides], 1)
    assert pyramid_levels(boxes, 4).tolist() == [0, 0, 1, 2, 3, 3]


def test_focal_loss_equals_torchvision_with_its_gradient():
    torch.manual_seed(0)
    logits = torch.randn(2, 50, 7, requires_grad=True)
    labels = torch.randint(-1, 8, (2, 50))
    weights = torch.rand(2, 50)
    one_hot = torch.zeros(2, 50, 8).scatter(-1, labels.where(labels >= 0, 7).unsqueeze(-1), 1.0)[..., :7]
    theirs = (peer.sigmoid_focal_loss(logits, one_hot, 0.25, 2.0) * weights.unsqueeze(-1)).sum()
    ours = focal_loss(logits, labels, weights)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(3 * ours, logits), torch.autograd.grad(3 * theirs, logits))


def test_focal_loss_is_finite_for_extreme_logits():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([1]), torch.ones(1))
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(torch.autograd.grad(loss, logits)[0]).all())
