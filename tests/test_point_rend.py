"""PointRend: values at points, which points are learned from, and masks refined one pixel at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.methods.point_rend import PointHead, PointRend, read
from detzoo.ops.mask_windows import MaskWindows
from detzoo.ops.roi_align import sample_masks
from tests.tiny import images, targets, tiny


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_read(plane: Tensor, x: float, y: float) -> float:
    """A plane ``[H, W]`` at x, y in cells, whose middles are at halves; zeros outside."""
    left, top = math.floor(x - 0.5), math.floor(y - 0.5)
    total = 0.0
    for row, high in ((top, top + 1.5 - y), (top + 1, y - 0.5 - top)):
        for column, wide in ((left, left + 1.5 - x), (left + 1, x - 0.5 - left)):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                total += high * wide * float(plane[row, column])
    return total


def test_values_at_points() -> None:
    maps, points = uniform(2, 3, 4, 6), uniform(2, 50, 2, seed=1)
    found = read(maps, points)
    for image, channel, point in ((0, 0, 0), (0, 2, 7), (1, 1, 30), (1, 2, 49)):
        x, y = (points[image, point] * torch.tensor([6, 4])).tolist()
        assert float(found[image, channel, point]) == pytest.approx(slow_read(maps[image, channel], x, y))


def test_masks_at_points_are_the_whole_masks() -> None:
    masks = uniform(2, 3, 20, 30, seed=2) > 0.5
    masks[0, 0, 5:], masks[0, 0, :, 12:], masks[1, 2] = False, False, False  # a window at a corner, and none
    points = uniform(2, 4, 25, 2, seed=3) * torch.tensor([34.0, 24.0]) - 2
    index = torch.tensor([[0, 1, 2, 0], [2, 1, 0, 1]])
    found = sample_masks(MaskWindows.of(masks), points, index)
    assert found.dtype == torch.float64
    for image in range(2):
        for slot in range(4):
            whole = masks[image, index[image, slot]].double()
            wanted = [slow_read(whole, *point) for point in points[image, slot].tolist()]
            torch.testing.assert_close(found[image, slot], torch.tensor(wanted).double())
    assert found.unique().numel() > 50


def test_points_to_learn_from_are_mostly_uncertain_ones() -> None:
    torch.manual_seed(0)
    head = PointHead(PointHead.Config(points=40, oversampling=5.0, uncertain=0.75), 8, 3)
    logits = torch.linspace(-3, 3, 7).expand(6, 7, 7)  # 0 in the middle
    points = head.draw(logits)
    assert points.shape == (6, 40, 2)
    assert bool(((points >= 0) & (points < 1)).all())
    away = (points[..., 0] - 0.5).abs()
    assert float(away[:, :30].max()) < 0.15  # a sixth of the width or so holds 30 of 200
    assert float(away[:, 30:].max()) > 0.3


@torch.no_grad()
def refined(model: PointRend, features: Tensor, box: Tensor, label: int) -> Tensor:
    """A mask of one box of one image, of every class, as the original refines it."""
    config = model.point_head.config
    coarse = model.coarse(features, box.view(1, 1, 4))
    fine = coarse
    for step in range(config.steps):
        fine = F.interpolate(fine, scale_factor=2.0, mode="bilinear", align_corners=False)
        side = fine.shape[-1]
        if config.step_points >= 4 * side * side and step < config.steps - 1:
            continue
        doubt = fine[0, label].abs().flatten().tolist()
        for cell in sorted(range(side * side), key=doubt.__getitem__)[: config.step_points]:
            point = torch.tensor([[[(cell % side + 0.5) / side, (cell // side + 0.5) / side]]]).to(fine)
            seen, guess = model.read_features(features, box.view(1, 1, 4), point), read(coarse, point)
            for name in range(fine.shape[1]):
                decided = model.point_head(seen, guess, torch.tensor([name]))
                fine[0, name, cell // side, cell % side] = decided[0, 0]
    return fine[0, label].sigmoid()


@torch.no_grad()
def test_masks_are_refined_as_one_class_and_point_at_a_time() -> None:
    model = tiny(PointRend, mask_head={"size": 4}, point_head={"steps": 3, "step_points": 40}).double().eval()
    assert isinstance(model, PointRend)
    for parameter in (*model.mask_head.parameters(), *model.point_head.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)
    features = torch.randn(2, 32, 24, 32, dtype=torch.float64)
    boxes = torch.tensor([[[0.0, 0, 128, 96], [10, 20, 60, 50]], [[5, 5, 9, 90], [100, 70, 128, 96]]]).double()
    labels = torch.tensor([[0, 1], [2, 2]])
    crops = model.crops(features, boxes, labels)
    assert crops.shape == (2, 2, 16, 16)
    for image in range(2):
        for slot in range(2):
            wanted = refined(model, features[image : image + 1], boxes[image, slot], int(labels[image, slot]))
            torch.testing.assert_close(crops[image, slot], wanted)


def test_targets_need_masks() -> None:
    model = tiny(PointRend).train()
    without = targets(2, 1)
    with pytest.raises(ValueError, match="the targets have no masks"):
        model(images(), type(without)(without.boxes, without.labels, without.valid, without.ignore))
