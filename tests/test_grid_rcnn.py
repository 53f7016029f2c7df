"""Grid R-CNN's head against slow and obvious versions: exchange between points, targets, placing, its loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.blocks.assign import RoISamples
from detzoo.methods.grid_rcnn import GridHead, GridRCNN
from detzoo.ops.roi_align import build_atlas
from tests.tiny import images, targets, tiny

SMALL = GridHead.Config(size=4, channels=3, convs=1, groups=3, samples=100, jitter=0.0)
HALF, WHOLE = 8, 16


def head(**changes: object) -> GridHead:
    torch.manual_seed(0)
    made = GridHead(SMALL.replace(**changes), 8, 1)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def start(point: int, side: int) -> int:
    """The first cell of the whole map that the map of a point covers, along its axis."""
    if point in (0, side - 1):
        return HALF * (point > 0)
    return max(int((point / (side - 1) - 0.25) * WHOLE), 0)


@pytest.mark.parametrize("side", [2, 3, 4])
def test_points_hear_their_neighbours_and_theirs(side: int) -> None:
    made = head(points=side, groups=side)
    x = torch.randn(5, side**2 * 3, 2, 2)
    own = list(x.split(3, 1))

    def told(said: list[Tensor], transitions: torch.nn.ModuleList) -> list[Tensor]:
        result = []
        for point, (value, layers) in enumerate(zip(own, transitions, strict=True)):
            column, row = divmod(point, side)
            beside = [(column - 1, row), (column, row - 1), (column, row + 1), (column + 1, row)]
            beside = [column * side + row for column, row in beside if 0 <= column < side and 0 <= row < side]
            assert len(beside) == len(list(layers.children()))
            for neighbour, layer in zip(beside, layers.children(), strict=True):
                value = value + layer(said[neighbour])
            result.append(value)
        return result

    wanted = torch.cat(told(told(own, made.forder_trans), made.sorder_trans), 1)
    torch.testing.assert_close(made._exchanged(x), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", [2, 3, 4])
def test_maps_mark_the_cells_around_each_point(side: int) -> None:
    made = head(points=side, groups=side, radius=1)
    boxes = torch.tensor([[10.0, 20.0, 50.0, 80.0], [0.0, 0.0, 30.0, 10.0], [5.0, 5.0, 6.0, 60.0]])
    objects = torch.tensor([[13.0, 22.0, 49.0, 90.0], [-90.0, 2.0, 29.0, 11.0], [5.0, 5.0, 6.0, 60.0]])
    found = made._wanted(boxes, objects)
    wanted = torch.zeros(3, side**2, HALF, HALF)
    for roi, (box, object_) in enumerate(zip(boxes.tolist(), objects.tolist(), strict=True)):
        width, height = 2 * (box[2] - box[0]), 2 * (box[3] - box[1])
        left, top = box[0] - width / 4, box[1] - height / 4
        for column in range(side) if min(width, height) > side else ():
            for row in range(side):
                x = object_[0] + (object_[2] - object_[0]) * column / (side - 1)
                y = object_[1] + (object_[3] - object_[1]) * row / (side - 1)
                at = int((x - left) / width * WHOLE), int((y - top) / height * WHOLE)
                for dx, dy in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)):
                    i, j = at[0] + dx - start(column, side), at[1] + dy - start(row, side)
                    if 0 <= i < HALF and 0 <= j < HALF:
                        wanted[roi, column * side + row, j, i] = 1
    assert torch.equal(found, wanted)
    assert found[0].sum() > 0
    assert found[2].sum() == 0  # no wider than the grid


def test_edges_are_the_mean_of_their_points() -> None:
    made = head()
    atlas = build_atlas([torch.randn(2, 8, 24, 32)], (4,))
    boxes = torch.tensor([[[10.0, 20.0, 50.0, 80.0], [3.0, 4.0, 90.0, 60.0]], [[0.0, 0.0, 64.0, 64.0], [0.0] * 4]])
    with torch.no_grad():
        found = made.place(atlas, boxes)
        maps = made(made.extractor(atlas, boxes))[0].sigmoid()
    for roi, (box, points) in enumerate(zip(boxes.flatten(0, 1).tolist(), maps, strict=True)):
        width, height = box[2] - box[0], box[3] - box[1]
        places = []
        for point, cells in enumerate(points):
            j, i = divmod(int(cells.argmax()), HALF)
            x = (i + start(point // 3, 3) + 0.5) / HALF * width + box[0] - width / 2
            y = (j + start(point % 3, 3) + 0.5) / HALF * height + box[1] - height / 2
            places.append((x, y, float(cells.max())))
        edges = []
        for axis, some in ((0, (0, 1, 2)), (1, (0, 3, 6)), (0, (6, 7, 8)), (1, (2, 5, 8))):
            edges.append(sum(places[p][axis] * places[p][2] for p in some) / sum(places[p][2] for p in some))
        torch.testing.assert_close(found.flatten(0, 1)[roi], torch.tensor(edges), atol=1e-3, rtol=1e-4)


def test_the_loss_is_the_mean_over_cells_of_positives() -> None:
    made = head()
    atlas = build_atlas([torch.randn(2, 8, 24, 32)], (4,))
    objects = targets(2, 1)
    boxes = objects.boxes[:, :2] + torch.tensor([2.0, -1.0, 3.0, 2.0])
    positive = torch.tensor([[True, True], [True, False]])
    slot = torch.tensor([[0, 1], [0, 0]])
    samples = RoISamples(boxes, positive, positive, slot, slot, positive)
    loss = made.losses(atlas, samples, objects, 2, images())["loss_grid"]
    total = 0.0
    for image, roi in ((0, 0), (0, 1), (1, 0)):
        box = torch.zeros(2, 1, 4)
        box[image] = boxes[image, roi]
        wanted = made._wanted(boxes[image, roi][None], objects.boxes[image, roi][None])[0]
        for maps in made(made.extractor(atlas, box)[image, None]):
            total += float(F.binary_cross_entropy_with_logits(maps[0], wanted).detach())
    assert float(loss.detach()) == pytest.approx(15 * total / 3, rel=1e-4)


def test_roi_jitter_stays_within_its_amplitude_and_the_image() -> None:
    made = head(jitter=0.15)
    boxes = torch.tensor([[[10.0, 20.0, 50.0, 80.0]], [[0.0, 0.0, 100.0, 80.0]]]).expand(2, 200, 4)
    torch.manual_seed(0)
    moved = made._jittered(boxes, images())
    middle = (moved[0, :, :2] + moved[0, :, 2:]) / 2 - torch.tensor([30.0, 50.0])
    assert bool((middle.abs() <= 0.15 * torch.tensor([40.0, 60.0]) + 1e-4).all())
    edges = moved[0, :, 2:] - moved[0, :, :2]
    assert bool((edges >= 0.85 * torch.tensor([40.0, 60.0]) - 1e-4).all())
    assert float(edges[:, 0].std()) > 1
    assert float(moved[1].min()) >= 0
    assert bool((moved[1] <= torch.tensor([99.0, 79.0]).repeat(2)).all())


def test_boxes_come_from_grids_alone() -> None:
    detector = tiny(GridRCNN)
    assert not [name for name, _ in detector.named_parameters() if "fc_reg" in name]
    assert "loss_bbox" not in detector.train()(images(), targets(2, 1))
