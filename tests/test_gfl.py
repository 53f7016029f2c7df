"""GFL: losses of scores and distributions against loops over cells; boxes are means of distributions."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.blocks.distribution_head import distribution_loss
from detzoo.blocks.points import per_cell
from detzoo.interop.renaming import rename
from detzoo.methods.gfl import GFL
from detzoo.ops.boxes import giou, iou
from detzoo.ops.focal import quality_focal_loss, varifocal_loss
from tests.tiny import CANVAS, images, targets, tiny

STRIDES = (8, 16, 32, 64, 128)
SIZES = [(math.ceil(CANVAS[0] / stride), math.ceil(CANVAS[1] / stride)) for stride in STRIDES]


def gfl(**head: Any) -> GFL:
    return cast(GFL, tiny(GFL, head=head))


def scores() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits of four classes, labels of which some are the background's, qualities, and what each class is to score."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 50, 4, dtype=torch.float64, generator=generator) * 3
    labels = torch.randint(5, (2, 50), generator=generator)
    quality = torch.rand(2, 50, dtype=torch.float64, generator=generator)
    wanted = torch.zeros(2, 50, 5, dtype=torch.float64).scatter(-1, labels.unsqueeze(-1), quality.unsqueeze(-1))
    return logits.requires_grad_(), labels, quality, wanted[..., :4]


@pytest.mark.parametrize("beta", [1.5, 2.0])
def test_quality_focal_loss_is_that_of_all_classes(beta: float):
    logits, labels, quality, wanted = scores()
    plain = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    plain = (plain * (wanted - logits.sigmoid()).abs().pow(beta)).sum()
    check(quality_focal_loss(logits, labels, quality, beta), plain, logits)


@pytest.mark.parametrize("weighted", [True, False])
def test_varifocal_loss_is_that_of_all_classes(weighted: bool):
    logits, labels, quality, wanted = scores()
    plain = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    positive = wanted if weighted else torch.ones_like(wanted)
    plain = (plain * torch.where(wanted > 0, positive, 0.7 * logits.sigmoid().pow(1.5))).sum()
    check(varifocal_loss(logits, labels, quality, 0.7, 1.5, weighted), plain, logits)


def check(loss: Tensor, plain: Tensor, logits: Tensor) -> None:
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(*(torch.autograd.grad(one, logits)[0] for one in (loss, plain)))


def test_two_distances_share_what_lies_between_them():
    distances = torch.randn(3, 4, 6, dtype=torch.float64)
    wanted = torch.tensor([[0.0, 0.25, 3.0, 4.9], [1.5, 2.75, 0.1, 4.0], [1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    weights = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    expected = 0.0
    for cell in range(2):
        for side in range(4):
            shares, place = distances[cell, side].softmax(-1).tolist(), float(wanted[cell, side])
            below = math.floor(place)
            near = (below + 1 - place) * math.log(shares[below]) + (place - below) * math.log(shares[below + 1])
            expected -= near / 4 * float(weights[cell])
    assert float(distribution_loss(distances, wanted, weights)) == pytest.approx(expected)


def test_losses_are_those_of_the_chosen_cells():
    detector = gfl()
    batch, objects = images(), targets(3, 2)
    with torch.no_grad():
        losses = detector(batch, objects)
        told = detector.head(detector.neck(detector.backbone(batch.pixels)))
    slot, positive = detector.head.assign(detector.head.anchors(SIZES), SIZES, objects)
    strides = per_cell(SIZES, STRIDES, torch.device("cpu"))
    box_sum = distance_sum = weight_sum = 0.0
    quality = torch.zeros(positive.shape)
    for image, cell in positive.nonzero().tolist():
        logits = torch.cat([level[image].flatten(1).T for level in told.logits])[cell]
        distances = torch.cat([level[image].flatten(1).T for level in told.distances])[cell].view(4, 17)
        stride, weight = float(strides[cell]), float(logits.sigmoid().max())
        level = STRIDES.index(int(stride))
        row, column = divmod(cell - sum(h * w for h, w in SIZES[:level]), SIZES[level][1])
        x, y, box = column * stride, row * stride, objects.boxes[image, slot[image, cell]]
        sides = [stride * sum(p * d for d, p in enumerate(side)) for side in distances.softmax(-1).tolist()]
        mine = torch.tensor([x - sides[0], y - sides[1], x + sides[2], y + sides[3]])
        quality[image, cell] = iou(mine, box)
        box_sum += weight * float(1 - giou(mine, box))
        wanted = torch.stack([x - box[0], y - box[1], box[2] - x, box[3] - y]) / stride
        distance_sum += float(distribution_loss(distances, wanted.clamp(0, 15.9), torch.tensor(weight)))
        weight_sum += weight
    assert int(positive.sum()) > 5
    flat = torch.cat([level.flatten(2).transpose(1, 2) for level in told.logits], 1)
    labels = torch.where(positive, objects.labels.gather(1, slot), 3)
    expected = quality_focal_loss(flat, labels, quality) / positive.sum()
    assert float(losses["loss_cls"]) == pytest.approx(float(expected), rel=1e-4)
    assert float(losses["loss_bbox"]) == pytest.approx(2 * box_sum / max(weight_sum, 1), rel=1e-4)
    assert float(losses["loss_dfl"]) == pytest.approx(0.25 * distance_sum / max(weight_sum, 1), rel=1e-4)


def test_objects_beyond_the_farthest_distance_are_learned_as_far_as_it_goes():
    detector = gfl(farthest=2)
    losses = detector(images(), targets(3, 2))
    assert all(bool(value.isfinite()) for value in losses.values())


def test_a_certain_distance_is_the_box():
    detector = gfl(threshold=0.0, farthest=4).eval()
    with torch.no_grad():
        detector.head.reg.weight.zero_()
        detector.head.reg.get_parameter("bias").copy_(torch.tensor([0.0, 0.0, 50.0, 0.0, 0.0]).repeat(4))
        found = detector.detect(images())
    # two strides from a cell's corner to each side, cut off at the picture's borders
    edges = found.boxes[found.valid]
    inside = (edges[:, :2] > 0).all(1) & (edges[:, 2] < 100) & (edges[:, 3] < 80)
    widths = (edges[:, 2] - edges[:, 0])[inside]
    assert len(widths)
    assert {round(width) for width in widths.tolist()} <= {4 * stride for stride in STRIDES}


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("bbox_head.gfl_cls.bias", "head.cls.bias"),
        ("bbox_head.reg_convs.2.gn.weight", "head.reg_convs.2.gn.weight"),
        ("bbox_head.scales.4.scale", "head.scales.4"),
    ],
)
def test_published_names(published: str, ours: str):
    assert rename(published, GFL.published_names) == ours


def test_losses_of_offsets_are_refused():
    with pytest.raises(ValueError, match="must compare boxes"):
        gfl(box_loss={"kind": "l1"})
