"""CornerNet against slow and obvious versions of its steps."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detzoo.backbones.hourglass import Hourglass
from detzoo.blocks.corners import CornerTargets, centred, corner_targets
from detzoo.blocks.heatmaps import bell_radius, draw_bells, find_peaks
from detzoo.config import ConfigError, validate
from detzoo.data.resize import canvas_size, resize
from detzoo.detector import Input
from detzoo.methods.cornernet import CornerMaps, CornerNet
from detzoo.ops.corner_pool import Direction, corner_pool
from detzoo.ops.focal import heat_focal_loss
from detzoo.types import Images, Targets
from tests.slow_boxes import slow_iou
from tests.tiny import CANVAS, CLASSES, images, targets, tiny


def corner_net(**changes: Any) -> CornerNet:
    model = tiny(CornerNet, **changes)
    assert isinstance(model, CornerNet)
    return model


def objects(*items: tuple[list[list[float]], list[int]]) -> Targets:
    """Boxes and labels of each image."""
    rows = [{"boxes": torch.tensor(b).reshape(-1, 4), "labels": torch.tensor(n, dtype=torch.int64)} for b, n in items]
    return Targets.pack(rows)


def wanted(model: CornerNet, given: Targets, canvas: tuple[int, int] = CANVAS) -> tuple[CornerTargets, CornerTargets]:
    count = len(given.boxes)
    cells = torch.Size((count, len(CLASSES), canvas[0] // 4, canvas[1] // 4))
    return corner_targets(given, torch.Size((count, 3, *canvas)), cells, model.head.overlap)


# corner pooling


@pytest.mark.parametrize("direction", ["top", "left", "bottom", "right"])
def test_corner_pool_looks_along_one_direction(direction: Direction) -> None:
    x = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pooled = corner_pool(x, direction)
    for row in range(5):
        for column in range(7):
            seen = {
                "top": x[:, :, row:, column],
                "bottom": x[:, :, : row + 1, column],
                "left": x[:, :, row, column:],
                "right": x[:, :, row, : column + 1],
            }[direction]
            assert torch.equal(pooled[:, :, row, column], seen.amax(-1))
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda value: corner_pool(value, direction), x)


def test_corner_pool_is_exported() -> None:
    class Module(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return corner_pool(x, "top") + corner_pool(x, "right")

    x = torch.randn(2, 3, 5, 7)
    program = torch.export.export(Module(), (x,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
    more = torch.randn(4, 3, 5, 7)
    torch.testing.assert_close(program.module()(more), Module()(more))


@pytest.mark.parametrize("direction", ["top", "left", "bottom", "right"])
def test_corner_pool_is_exported_for_any_size(direction: Direction) -> None:
    class Module(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return corner_pool(x, direction)

    sides = {2: torch.export.Dim("rows", min=2, max=4096), 3: torch.export.Dim("columns", min=2, max=4096)}
    graph = torch.export.export(Module(), (torch.randn(2, 3, 5, 7),), dynamic_shapes=(sides,)).module()
    for height, width in ((5, 7), (2, 2), (300, 9), (4, 129)):
        x = torch.randn(2, 3, height, width)
        assert torch.equal(graph(x), corner_pool(x, direction))


# bells


def slow_radius(width: int, height: int) -> int:
    """The largest whole number of cells by which both corners may move with an IoU of 0.3."""
    area, radius = width * height, 0
    while area:
        r = radius + 1
        inside, shifted = (width - 2 * r) * (height - 2 * r), (width - r) * (height - r)
        ious = [
            Fraction(inside if 2 * r < min(width, height) else 0, area),
            Fraction(shifted if r < min(width, height) else 0, 2 * area - shifted),
            Fraction(area, (width + 2 * r) * (height + 2 * r)),
        ]
        if min(ious) < Fraction(3, 10):
            return radius
        radius = r
    return 0


def test_bell_radius_keeps_the_overlap() -> None:
    sizes = [(width, height) for width in range(0, 130, 3) for height in range(0, 130, 4)]
    found = bell_radius(torch.tensor(sizes), 0.3)
    assert found.tolist() == [slow_radius(*size) for size in sizes]


def test_bells_are_drawn_around_corners() -> None:
    generator = np.random.default_rng(0)
    count, (classes, height, width) = (2, 21), (3, 9, 12)
    x, y = generator.integers(0, width, count), generator.integers(0, height, count)
    radius, labels = generator.integers(0, 5, count), generator.integers(0, classes, count)
    valid = generator.random(count) < 0.7
    slow = np.zeros((2, classes, height, width))
    for n, g in np.ndindex(count):
        sigma = (2 * radius[n, g] + 1) / 6
        for row, column in np.ndindex(height, width):
            down, right = row - y[n, g], column - x[n, g]
            if valid[n, g] and max(abs(down), abs(right)) <= radius[n, g]:
                value = math.exp(-(down**2 + right**2) / (2 * sigma**2))
                slow[n, labels[n, g], row, column] = max(slow[n, labels[n, g], row, column], value)
    columns, rows, radii, kinds, there = (torch.from_numpy(part) for part in (x, y, radius, labels, valid))
    heat = draw_bells(columns.float(), rows.float(), radii, kinds, there, (classes, height, width))
    np.testing.assert_allclose(heat.numpy(), slow, atol=1e-6)
    assert np.array_equal(heat.numpy() == 1, slow == 1)


def test_heat_focal_loss_is_equation_1() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, generator=generator).mul(4).requires_grad_()
    heat = torch.rand(2, 3, 8, 8, generator=generator)
    heat[0, 0, 0, :3] = 1
    p = logits.double().sigmoid()
    each = torch.where(heat == 1, (1 - p) ** 2 * p.log(), (1 - heat.double()) ** 4 * p**2 * (1 - p).log())
    (slow,) = torch.autograd.grad(-each.sum(), logits)
    loss = heat_focal_loss(logits, heat)
    (fast,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == pytest.approx(-float(each.detach().sum()), rel=1e-5)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-4)


def test_heat_focal_loss_of_sure_cells_is_finite() -> None:
    logits = torch.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    loss = heat_focal_loss(logits, torch.tensor([1.0, 1.0, 0.0, 0.0]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2e4)
    assert logits.grad is not None
    assert logits.grad.tolist() == pytest.approx([0, -1, 1, 0])


# targets


def test_targets_of_one_object() -> None:
    first, second = wanted(corner_net(), objects(([[10.0, 21.0, 50.0, 63.0]], [2])))
    width = CANVAS[1] // 4
    assert first.cells[0, 0] == 5 * width + 2
    assert second.cells[0, 0] == 15 * width + 12
    assert first.offset[0, 0].tolist() == [0.5, 0.25]
    assert second.offset[0, 0].tolist() == [0.5, 0.75]
    for corners in (first, second):
        assert (corners.heat == 1).flatten(1).nonzero().tolist() == [[0, int(2 * 24 * width + corners.cells[0, 0])]]
        assert corners.last.sum() == 1


def test_of_objects_with_one_corner_the_last_counts() -> None:
    given = objects(([[8.0, 8.0, 40.0, 40.0], [9.0, 9.0, 60.0, 60.0], [8.0, 8.0, 30.0, 90.0]], [0, 1, 0]), ([], []))
    first, second = wanted(corner_net(), given)
    assert first.last[0].tolist() == [False, False, True, False]
    assert second.last[0].tolist() == [True, True, True, False]
    assert int((first.heat == 1).sum()) == 2, "one per class and cell"
    assert not first.last[1].any()
    assert not first.heat[1].any()


def test_corners_at_the_border_stay_on_the_map() -> None:
    height, width = CANVAS
    given = objects(([[0.0, 0.0, width, height], [-20.0, -20.0, width + 50.0, height + 50.0]], [0, 1]))
    clipped = Targets(given.boxes.clamp(min=0), given.labels, given.valid, given.ignore)
    first, second = wanted(corner_net(), clipped)
    assert first.cells[0, :2].tolist() == [0, 0]
    assert second.cells[0, :2].tolist() == [24 * 32 - 1] * 2
    assert second.offset[0, 0].tolist() == [1.0, 1.0]
    losses = corner_net().train()(images(1), clipped)
    assert all(bool(torch.isfinite(value)) for value in losses.values())


# losses


def test_losses_are_those_of_a_loop_over_images_and_objects() -> None:
    model = corner_net().eval()
    batch, given = images(3), targets(4, 1, 0)
    with torch.no_grad():
        losses = model(batch, given)
        kinds = model.heads(model.backbone(batch.pixels))
    corners = wanted(model, given)
    expected = dict.fromkeys(losses, 0.0)
    for level in range(2):
        for maps, kind in zip(kinds, corners, strict=True):
            keypoints = max(int((kind.heat == 1).sum()), 1)
            heat = heat_focal_loss(maps[level].heat, kind.heat)
            expected["det_loss"] += float(heat) / keypoints / 2
            places = {}
            for n, g in given.valid.nonzero().tolist():
                places[n, int(kind.cells[n, g])] = kind.offset[n, g]
            for (n, cell), offset in places.items():
                gap = (maps[level].offset[n].flatten(1)[:, cell] - offset).abs()
                loss = torch.where(gap < 1, gap**2 / 2, gap - 0.5).sum()
                expected["off_loss"] += float(loss) / len(places) / 2
        for n in range(3):
            tags = []
            for g in given.valid[n].nonzero().flatten().tolist():
                tags.append(
                    [
                        float(maps[level].embedding[n].flatten()[kind.cells[n, g]])
                        for maps, kind in zip(kinds, corners, strict=True)
                    ]
                )
            means = [sum(pair) / 2 for pair in tags]
            pairs = [(i, k) for i in range(len(tags)) for k in range(len(tags)) if i != k]
            for pair, mean in zip(tags, means, strict=True):
                expected["pull_loss"] += 0.1 * sum((tag - mean) ** 2 for tag in pair) / len(tags)
            for i, k in pairs:
                expected["push_loss"] += 0.1 * max(0.0, 1 - abs(means[i] - means[k])) / len(pairs)
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(value, rel=1e-4), name
    assert losses["push_loss"] > 0


# results


def slow_corners(maps: CornerMaps, image: int, count: int) -> list[tuple[float, int, float, float, float]]:
    """Score, label, x and y in pixels and embedding of an image's best local maxima."""
    heat = maps.heat[image].sigmoid()
    classes, height, width = heat.shape
    found = []
    for label, row, column in np.ndindex(classes, height, width):
        around = heat[label, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        if heat[label, row, column] == around.max():
            x, y = (maps.offset[image, :, row, column] + torch.tensor([column, row])).tolist()
            tag = float(maps.embedding[image, 0, row, column])
            found.append((float(heat[label, row, column]), label, x * 4, y * 4, tag))
    return sorted(found, reverse=True)[:count]


def test_detections_are_those_of_a_loop_over_pairs() -> None:
    model = corner_net(head={"distance": 0.2, "corners": 40, "pairs": 100}).eval()
    with torch.no_grad():
        for kind in (model.top_left, model.bottom_right):
            kind[-1].get_parameter("heat.1.conv.weight").mul_(20)  # scores far apart
    batch = Images(images(2).pixels, torch.tensor([CANVAS] * 2))
    with torch.no_grad():
        found = model.detect(batch)
        kinds = model.heads(model.backbone(batch.pixels))
    for image in range(2):
        firsts, seconds = (slow_corners(maps[-1], image, model.head.corners) for maps in kinds)
        pairs = []
        for score, label, x1, y1, tag in firsts:
            for other, kind, x2, y2, mark in seconds:
                box = [max(value, 0.0) for value in (x1, y1, x2, y2)]
                if label == kind and abs(tag - mark) <= 0.2 and box[2] > box[0] and box[3] > box[1]:
                    pairs.append([(score + other) / 2, label, box])
        pairs = sorted(pairs, key=lambda pair: -pair[0])[: model.head.pairs]
        results = []
        while pairs and len(results) < model.head.detections:
            best = max(pairs, key=lambda pair: pair[0])
            pairs.remove(best)
            if best[0] < model.head.threshold:
                break
            results.append(best)
            for pair in pairs:
                if pair[1] == best[1]:
                    pair[0] *= math.exp(-(slow_iou(pair[2], best[2]) ** 2) / 0.5)
        ours = found[image]
        assert len(results) > 3
        assert ours.labels.tolist() == [label for _, label, _ in results]
        torch.testing.assert_close(ours.scores, torch.tensor([score for score, _, _ in results]), atol=1e-5, rtol=1e-4)
        limit = torch.tensor([CANVAS[1], CANVAS[0]] * 2)
        boxes = torch.minimum(torch.tensor([box for _, _, box in results]), limit)
        torch.testing.assert_close(ours.boxes, boxes, atol=1e-3, rtol=1e-4)


def test_peaks_are_local_maxima() -> None:
    logits = torch.full((1, 2, 4, 5), -4.0)
    logits[0, 1, 2, 3], logits[0, 1, 2, 2], logits[0, 0, 0, 0] = 3.0, 2.0, 1.0
    peaks = find_peaks(logits, 2)
    assert peaks.labels.tolist() == [[1, 0]]
    assert peaks.cells.tolist() == [[2 * 5 + 3, 0]]
    assert find_peaks(logits, 1000).scores.shape == (1, 40)


def test_an_image_is_seen_in_the_middle_of_the_canvas() -> None:
    pixels = torch.zeros(2, 3, 7, 9)
    pixels[0, :, :4, :5] = torch.arange(1.0, 61.0).view(3, 4, 5)
    pixels[1] = 1.0
    moved, shift = centred(Images(pixels, torch.tensor([[4, 5], [7, 9]])))
    assert shift.tolist() == [[2, 1], [0, 0]]
    assert torch.equal(moved[0, :, 1:5, 2:7], pixels[0, :, :4, :5])
    assert moved[0].sum() == pixels[0].sum()
    assert torch.equal(moved[1], pixels[1])


def test_boxes_are_in_pixels_of_the_image_not_of_the_middle() -> None:
    model = corner_net().eval()
    whole = images(1)
    small = torch.zeros_like(whole.pixels)
    small[:, :, :48, :64] = whole.pixels[:, :, :48, :64]
    middle = torch.zeros_like(small)
    middle[:, :, 24:72, 32:96] = small[:, :, :48, :64]
    with torch.no_grad():
        ours = model.detect(Images(small, torch.tensor([[48, 64]])))[0]
        theirs = model.detect(Images(middle, torch.tensor([CANVAS])))[0]
    best = theirs.boxes[0] - torch.tensor([32.0, 24.0, 32.0, 24.0])
    inside = (ours.boxes <= torch.tensor([64.0, 48.0, 64.0, 48.0])).all()
    assert inside
    torch.testing.assert_close(ours.boxes[0], best.clamp(min=0).minimum(torch.tensor([64.0, 48.0] * 2)))


# input and backbone


@pytest.mark.parametrize(("edge", "canvas"), [(1, 127), (127, 127), (128, 255), (511, 511), (512, 639), (640, 767)])
def test_the_canvas_is_one_less_than_a_multiple_of_128(edge: int, canvas: int) -> None:
    assert canvas_size(torch.tensor([[edge, 100], [5, 128]]), CornerNet.Config().input) == (canvas, 255)
    assert canvas == edge | 127


def test_pictures_keep_their_size() -> None:
    image = np.zeros((30, 50, 3), dtype=np.uint8)
    pixels, factors = resize(image, Input(resize=False))
    assert pixels.shape == (3, 30, 50)
    assert factors == (1.0, 1.0)
    found = corner_net().predict([image, image[:20]], threshold=0.0)
    assert all((one.boxes <= torch.tensor([50.0, 30.0, 50.0, 30.0])).all() for one in found)


def test_hourglass_of_odd_sizes() -> None:
    backbone = Hourglass(Hourglass.Config(stacks=3, widths=(16, 16, 24, 24), blocks=(1, 1, 2, 2), out_channels=8))
    assert (backbone.channels, backbone.strides) == ((8, 8, 8), (4, 4, 4))
    assert [level.shape for level in backbone(torch.zeros(2, 3, 127, 95))] == [(2, 8, 32, 24)] * 3
    assert [level.shape for level in backbone(torch.zeros(2, 3, 100, 90))] == [(2, 8, 25, 23)] * 3


def test_hourglass_104_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        backbone = Hourglass()
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 187_700_352


def test_hourglass_settings_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="as many entries"):
        validate(Hourglass.Config, {"widths": (8, 8), "blocks": (1,)})
