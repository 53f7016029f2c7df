"""VarifocalNet: stars read the points of boxes, first and refined boxes against loops over cells."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from detzoo.interop.renaming import rename
from detzoo.methods.vfnet import StarConv, VFNet
from detzoo.ops.boxes import giou, iou
from detzoo.ops.focal import varifocal_loss
from tests.tiny import CANVAS, images, targets, tiny

STRIDES = (8, 16, 32, 64, 128)
SIZES = [(math.ceil(CANVAS[0] / stride), math.ceil(CANVAS[1] / stride)) for stride in STRIDES]


def vfnet(**head: Any) -> VFNet:
    return cast(VFNet, tiny(VFNet, head=head))


def read(x: Tensor, row: float, column: float) -> Tensor:
    """Channels at a place between cells, bilinearly; zeros outside."""
    total = torch.zeros(x.shape[0], dtype=x.dtype)
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < x.shape[1] and 0 <= j < x.shape[2]:
                total += x[:, i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return total


def test_a_star_reads_corners_middles_of_sides_and_its_cell():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, generator=generator)
    sides = torch.rand(1, 4, 5, 6, dtype=torch.float64, generator=generator) * 3
    star = StarConv(2).double()
    found = star(x, sides)
    for row in range(5):
        for column in range(6):
            left, top, right, bottom = sides[0, :, row, column].tolist()
            total = torch.zeros(2, dtype=torch.float64)
            for i, down in enumerate((-top, 0.0, bottom)):
                for j, across in enumerate((-left, 0.0, right)):
                    total += star.weight[:, :, i, j] @ read(x[0], row + down, column + across)
            torch.testing.assert_close(found[0, :, row, column], total.clamp(min=0))


def test_losses_are_those_of_the_chosen_cells():
    detector = vfnet()
    batch, objects = images(), targets(3, 2)
    with torch.no_grad():
        losses = detector(batch, objects)
        logits, refined, first = detector.heads(detector.neck(detector.backbone(batch.pixels)))
    slot, positive = detector.assign(detector.anchors(SIZES), SIZES, objects)
    quality = torch.zeros(positive.shape)
    for name, levels, weight in (("bbox", first, 1.5), ("bbox_rf", refined, 2.0)):
        box_sum = iou_sum = 0.0
        for image, cell in positive.nonzero().tolist():
            level = next(n for n in range(5) if cell < sum(h * w for h, w in SIZES[: n + 1]))
            row, column = divmod(cell - sum(h * w for h, w in SIZES[:level]), SIZES[level][1])
            x, y = column * STRIDES[level], row * STRIDES[level]
            left, top, right, bottom = levels[level][image, :, row, column].tolist()
            mine = torch.tensor([x - left, y - top, x + right, y + bottom])
            box = objects.boxes[image, slot[image, cell]]
            overlap = max(float(iou(mine, box)), 1e-6)
            box_sum, iou_sum = box_sum + overlap * float(1 - giou(mine, box)), iou_sum + overlap
            quality[image, cell] = overlap
        assert float(losses[f"loss_{name}"]) == pytest.approx(weight * box_sum / max(iou_sum, 1), rel=1e-4)
    assert int(positive.sum()) > 5
    flat = torch.cat([level.flatten(2).transpose(1, 2) for level in logits], 1)
    labels = torch.where(positive, objects.labels.gather(1, slot), 3)
    expected = varifocal_loss(flat, labels, quality) / positive.sum()
    assert float(losses["loss_cls"]) == pytest.approx(float(expected), rel=1e-4)


def test_first_boxes_learn_a_share_from_their_stars():
    """Through scores, that is; a refined box is a multiple of a first one that does not move with it."""
    grads = []
    for share in (0.0, 0.1, 0.2):
        detector = vfnet(star_gradient=share).double()
        pixels = images().pixels.double()
        logits, _, _ = detector.heads(detector.neck(detector.backbone(pixels)))
        torch.stack([level.square().sum() for level in logits]).sum().backward()
        grads.append(detector.reg.weight.grad)
    assert grads[0] is not None
    assert grads[1] is not None
    assert not grads[0].any()
    assert grads[1].any()
    torch.testing.assert_close(grads[1] * 2, grads[2])


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("bbox_head.vfnet_cls.bias", "cls.bias"),
        ("bbox_head.vfnet_cls_dconv.weight", "cls_dconv.weight"),
        ("bbox_head.vfnet_reg_conv.gn.weight", "reg_conv.gn.weight"),
        ("bbox_head.reg_convs.2.conv.conv_offset.weight", "reg_convs.2.conv.conv_offset.weight"),
        ("bbox_head.scales_refine.4.scale", "scales_refine.4"),
    ],
)
def test_published_names(published: str, ours: str):
    assert rename(published, VFNet.published_names) == ours


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="must compare boxes"):
        vfnet(refined_loss={"kind": "l1"})
    with pytest.raises(ValueError, match="a number for each of 5 levels"):
        vfnet(reach=(64.0, 128.0))
