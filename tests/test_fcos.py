"""FCOS: which point learns which object, against loops; centerness; what the variants change."""

from __future__ import annotations

import math
import re
from typing import Any, cast

import pytest
import torch
from torch import Tensor

import detzoo
from detzoo.blocks.points import around, cell_centres, centerness, sides
from detzoo.interop.renaming import rename
from detzoo.methods.fcos import FCOS
from detzoo.ops import points as points_ops
from detzoo.ops.points import _plain, smallest_objects
from detzoo.recipes.fcos import BIASES
from detzoo.recipes.settings import Schedule
from detzoo.train.optimizer import make_optimizer
from detzoo.types import Targets
from tests.tiny import CANVAS, images, targets, tiny, total
from tests.triton_interpreter import run_interpreted

STRIDES = (8, 16, 32, 64, 128)
SIZES = [(math.ceil(CANVAS[0] / stride), math.ceil(CANVAS[1] / stride)) for stride in STRIDES]
RANGES = (16.0, 32.0, 48.0, 64.0)


def fcos(**head: Any) -> FCOS:
    return cast(FCOS, tiny(FCOS, head={"ranges": RANGES, **head}))


def slow_centres() -> list[tuple[float, float]]:
    return [
        ((column + 0.5) * stride, (row + 0.5) * stride)
        for (height, width), stride in zip(SIZES, STRIDES, strict=True)
        for row in range(height)
        for column in range(width)
    ]


def slow_slots(boxes: list[list[float]], radius: float | None) -> list[int | None]:
    """Per point the object that it learns, as the paper tells it."""
    levels = [level for level, (height, width) in enumerate(SIZES) for _ in range(height * width)]
    found: list[int | None] = []
    for (x, y), level in zip(slow_centres(), levels, strict=True):
        low, high = (0.0, *RANGES)[level], (*RANGES, math.inf)[level]
        best, smallest = None, math.inf
        for slot, (x1, y1, x2, y2) in enumerate(boxes):
            told = (x - x1, y - y1, x2 - x, y2 - y)
            if min(told) <= 0 or not low <= max(told) <= high:
                continue
            if radius is not None:
                reach = radius * STRIDES[level]
                if abs(x - (x1 + x2) / 2) >= reach or abs(y - (y1 + y2) / 2) >= reach:
                    continue
            if (x2 - x1) * (y2 - y1) < smallest:
                best, smallest = slot, (x2 - x1) * (y2 - y1)
        found.append(best)
    return found


SCENES = {
    "none": [],
    "one": [[10.0, 10.0, 70.0, 60.0]],
    "touching": [[8.0, 8.0, 40.0, 40.0], [40.0, 8.0, 72.0, 40.0], [8.0, 40.0, 72.0, 72.0]],
    "nested and alike": [[0.0, 0.0, 96.0, 96.0], [16.0, 16.0, 56.0, 56.0], [16.0, 16.0, 56.0, 56.0]],
    "between the points": [[5.0, 5.0, 7.0, 7.0]],
    "on the points": [[4.0, 4.0, 36.0, 36.0], [20.0, 20.0, 52.0, 52.0]],
    "beyond the picture": [[-50.0, -50.0, 400.0, 300.0], [60.0, 60.0, 128.0, 96.0]],
}


@pytest.mark.parametrize("radius", [None, 1.5])
@pytest.mark.parametrize("boxes", SCENES.values(), ids=SCENES.keys())
def test_points_learn_the_smallest_fitting_object(boxes: list[list[float]], radius: float | None):
    others = [[30.0, 20.0, 60.0, 90.0]]
    packed = [{"boxes": torch.tensor(some).view(-1, 4), "labels": torch.zeros(len(some))} for some in (boxes, others)]
    check(Targets.pack(packed), [boxes, others], radius)


@pytest.mark.parametrize("radius", [None, 1.5])
def test_more_objects_than_are_compared_at_once(radius: float | None):
    crowd = targets(50, 3)
    lists = [boxes[valid].tolist() for boxes, valid in zip(crowd.boxes, crowd.valid, strict=True)]
    check(crowd, lists, radius)


def check(packed: Targets, lists: list[list[list[float]]], radius: float | None) -> None:
    points = cell_centres(SIZES, STRIDES, torch.device("cpu"))
    slot, positive = fcos(radius=radius)._assign(points, SIZES, packed)
    for image, boxes in enumerate(lists):
        expected = slow_slots(boxes, radius)
        assert positive[image].tolist() == [best is not None for best in expected]
        assert slot[image].tolist() == [best or 0 for best in expected]


KINDS = ("lattice", "scattered", "outside", "far", "broken")


def crowd_of(kind: str, seed: int) -> tuple[Tensor, Tensor]:
    """Objects ``[2, 60, 4]`` and which slots hold one: ties, sides on points and on the limits of levels, objects
    beyond the picture, and numbers that are none."""
    generator = torch.Generator().manual_seed(seed)
    corner, size = torch.rand(2, 60, 2, generator=generator) * 128, torch.rand(2, 60, 2, generator=generator) * 96
    if kind == "lattice":
        corner, size = (corner / 4).round() * 4, (size / 16).round() * 16 - 16
    if kind == "outside":
        corner, size = corner * 4 - 300, size * 4
    if kind == "far":
        corner, size = (corner - 64) * 10.0 ** (4 * seed), size * 10.0 ** (4 * seed)
    boxes = torch.cat([corner, corner + size], 2)
    if kind == "broken":
        boxes[torch.rand(2, 60, 4, generator=generator) < 0.1] = (math.nan, math.inf, -math.inf, 1e30)[seed]
    return boxes, torch.rand(2, 60, generator=generator) < 0.8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_following_the_pairs_gives_the_bits_of_the_plain_formula(kind: str, seed: int):
    boxes, valid = crowd_of(kind, seed)
    points, flat = cell_centres(SIZES, STRIDES, torch.device("cpu")), [edge for size in SIZES for edge in size]
    for radius in (math.inf, 1.5, 0.3):
        reach = [stride * radius for stride in STRIDES]
        slot, positive = smallest_objects(points, SIZES, boxes, valid, RANGES, reach)
        wanted = _plain(points, flat, boxes, valid, RANGES, reach)
        assert torch.equal(slot, wanted[0])
        assert torch.equal(positive, wanted[1])
        assert positive.any() or kind in ("far", "broken")


INTERPRETED = """
import torch
from detzoo.blocks.points import cell_centres
from detzoo.ops import points, points_triton
from tests.test_fcos import KINDS, RANGES, SIZES, STRIDES, crowd_of
places, flat = cell_centres(SIZES, STRIDES, torch.device("cpu")), [edge for size in SIZES for edge in size]
for seed, kind in enumerate(KINDS):
    boxes, valid = crowd_of(kind, seed % 4)
    reach = [stride * 1.5 for stride in STRIDES]
    objects = boxes[:, :30], valid[:, :30]
    found = points_triton.smallest_objects(places, points._limits(places, flat, RANGES, reach), *objects)
    for ours, wanted in zip(found, points._plain(places, flat, *objects, RANGES, reach), strict=True):
        assert torch.equal(ours, wanted), kind
print("equal")
"""


def test_cuda_kernel_is_the_plain_formula_in_tritons_interpreter():
    run_interpreted(INTERPRETED)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_cuda_is_the_plain_formula_bit_for_bit(kind: str, seed: int):
    boxes, valid = crowd_of(kind, seed)
    points, reach = cell_centres(SIZES, STRIDES, torch.device("cpu")), [stride * 1.5 for stride in STRIDES]
    wanted = smallest_objects(points, SIZES, boxes, valid, RANGES, reach)
    found = smallest_objects(points.cuda(), SIZES, boxes.cuda(), valid.cuda(), RANGES, reach)
    for ours, expected in zip(found, wanted, strict=True):
        assert torch.equal(ours.cpu(), expected)


def test_a_crowd_is_not_compared_with_every_point(monkeypatch: pytest.MonkeyPatch):
    """An object of 12 pixels lies around 4 points of the first level at most, and no other level asks for it."""
    compared: list[int] = []
    learned = points_ops._learned
    monkeypatch.setattr(points_ops, "_learned", lambda *a: (compared.append(len(a[0])), learned(*a))[1])
    corner = torch.rand(1, 2000, 2, generator=torch.Generator().manual_seed(0)) * 128
    boxes, valid = torch.cat([corner, corner + 12], 2), torch.ones(1, 2000, dtype=torch.bool)
    points = cell_centres(SIZES, STRIDES, torch.device("cpu"))
    assert smallest_objects(points, SIZES, boxes, valid, RANGES, [math.inf] * len(STRIDES))[1].any()
    assert sum(compared) <= 4 * 2000


def test_ignored_regions_teach_nothing():
    box = torch.tensor([[10.0, 10.0, 70.0, 60.0]])
    packed = Targets.pack([{"boxes": box, "labels": torch.zeros(1), "ignore": torch.ones(1)}])
    points = cell_centres(SIZES, STRIDES, torch.device("cpu"))
    assert not fcos()._assign(points, SIZES, packed)[1].any()


def test_centres_are_by_level_row_and_column():
    assert cell_centres(SIZES, STRIDES, torch.device("cpu")).tolist() == [list(point) for point in slow_centres()]
    assert cell_centres([(1, 2)], [4], torch.device("cpu"), offset=0.0).tolist() == [[0.0, 0.0], [4.0, 0.0]]


def test_distances_tell_the_box():
    points, boxes = torch.rand(7, 2) * 50, torch.rand(2, 7, 4) * 90
    torch.testing.assert_close(around(points, sides(points, boxes)), boxes)
    assert sides(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 1.0, 9.0, 6.0])).tolist() == [2.0, 3.0, 6.0, 2.0]


def test_centerness_is_one_in_the_middle_and_falls_to_the_sides():
    distances = torch.tensor(
        [[[5.0, 2.0, 5.0, 2.0], [1.0, 4.0, 4.0, 4.0], [1.0, 1.0, 4.0, 9.0], [-3.0, 1.0, 0.0, 0.0]]]
    )
    positive = torch.tensor([[True, True, True, False]])
    torch.testing.assert_close(centerness(distances, positive), torch.tensor([[1.0, 0.5, 1 / 6, 0.0]]))


@pytest.mark.parametrize("radius", [None, 1.5])
def test_losses_are_those_of_the_chosen_points(radius: float | None):
    """The same sums over the positives alone, as a loop over points would take them."""
    detector = fcos(radius=radius)
    batch, objects = images(), targets(3, 2)
    with torch.no_grad():
        losses = detector(batch, objects)
        _, distances, centerness = detector.heads(detector.neck(detector.backbone(batch.pixels)))
    points = slow_centres()
    box_sum, centre_sum, weight_sum, count = 0.0, 0.0, 0.0, 0
    for image in range(2):
        told = torch.cat([level[image].flatten(1).T for level in distances]).tolist()
        centre = torch.cat([level[image].flatten() for level in centerness]).double().sigmoid().tolist()
        boxes = objects.boxes[image][objects.valid[image]].tolist()
        for index, slot in enumerate(slow_slots(boxes, radius)):
            if slot is None:
                continue
            (x, y), (x1, y1, x2, y2) = points[index], boxes[slot]
            sides_of = (x - x1, y - y1, x2 - x, y2 - y)
            weight = math.sqrt(min(sides_of[::2]) / max(sides_of[::2]) * min(sides_of[1::2]) / max(sides_of[1::2]))
            left, top, right, bottom = (min(a, b) for a, b in zip(told[index], sides_of, strict=True))
            common = (left + right) * (top + bottom)
            mine = (told[index][0] + told[index][2]) * (told[index][1] + told[index][3])
            overlap = common / (mine + (x2 - x1) * (y2 - y1) - common)
            box_sum -= weight * math.log(max(overlap, 1e-6))
            centre_sum -= weight * math.log(centre[index]) + (1 - weight) * math.log(1 - centre[index])
            weight_sum, count = weight_sum + weight, count + 1
    assert float(losses["loss_bbox"]) == pytest.approx(box_sum / weight_sum, rel=1e-4)
    assert float(losses["loss_centerness"]) == pytest.approx(centre_sum / count, rel=1e-4)
    assert float(losses["loss_cls"]) > 0


def test_distances_are_strides_through_a_relu():
    detector, pixels = fcos(in_strides=True), images().pixels
    with torch.no_grad():
        detector.reg.get_parameter("bias").copy_(torch.tensor([1.0, -1.0, 2.0, 0.0]))
        detector.reg.weight.zero_()
        detector.scales[1].fill_(3.0)
        distances = detector.heads(detector.neck(detector.backbone(pixels)))[1]
    assert distances[0][0, :, 0, 0].tolist() == [8.0, 0.0, 16.0, 0.0]
    assert distances[1][0, :, 0, 0].tolist() == [48.0, 0.0, 96.0, 0.0]


@pytest.mark.parametrize("on_reg", [False, True])
def test_centerness_is_told_by_either_tower(on_reg: bool):
    detector = fcos(centerness_on_reg=on_reg).train()
    detector.heads(detector.neck(detector.backbone(images().pixels)))[2][0].sum().backward()
    told_by, other = (detector.reg_convs, detector.cls_convs) if on_reg else (detector.cls_convs, detector.reg_convs)
    assert all(parameter.grad is not None for parameter in told_by.parameters())
    assert all(parameter.grad is None for parameter in other.parameters())


def test_a_score_is_class_times_centerness():
    detector = fcos(threshold=0.0).eval()
    with torch.no_grad():
        detector.centerness.weight.zero_()
        detector.centerness.get_parameter("bias").fill_(20.0)
        certain = detector.detect(images())
        detector.centerness.get_parameter("bias").zero_()
        halved = detector.detect(images())
    torch.testing.assert_close(halved.scores * 2, certain.scores)
    assert bool((halved.labels == certain.labels).all())


def test_a_bias_beside_the_norm():
    def biases(detector: FCOS) -> set[str]:
        return {name for name, _ in detector.named_parameters() if re.match(r"(cls|reg)_convs.*conv\.bias", name)}

    assert biases(fcos()) == set()
    assert biases(fcos(bias=True)) == {"cls_convs.0.conv.bias", "reg_convs.0.conv.bias"}


def test_the_last_convolution_of_each_tower_may_be_deformed():
    """A fresh one is not yet, as published weights name it, and it learns where to look."""
    detector = fcos(convs=2, bias=True, deform={"version": 2}).train()
    shifts = {name for name, _ in detector.named_parameters() if "conv_offset" in name}
    towers = ("cls_convs", "reg_convs")
    assert shifts == {f"{tower}.1.conv.conv_offset.{part}" for tower in towers for part in ("weight", "bias")}
    assert rename("bbox_head.cls_convs.3.conv.conv_offset.bias", FCOS.published_names) == (
        "cls_convs.3.conv.conv_offset.bias"
    )
    assert not any(detector.get_parameter(name).any() for name in shifts)
    losses = detector(images(), targets(3, 1))
    total(losses).backward()
    for name in shifts:
        gradient = detector.get_parameter(name).grad
        assert gradient is not None
        assert bool(gradient.any())


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"5 levels meet at one fewer head\.ranges"):
        tiny(FCOS, head={"ranges": (64.0,)})
    with pytest.raises(ValueError, match=r"head\.box_loss\n.*must compare boxes.*'l1'"):
        tiny(FCOS, head={"box_loss": {"kind": "l1"}})


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("bbox_head.conv_cls.weight", "cls.weight"),
        ("bbox_head.fcos_reg.bias", "reg.bias"),
        ("bbox_head.conv_centerness.bias", "centerness.bias"),
        ("bbox_head.reg_convs.2.gn.weight", "reg_convs.2.gn.weight"),
        ("bbox_head.scales.4.scale", "scales.4"),
    ],
)
def test_published_names(published: str, ours: str):
    assert rename(published, FCOS.published_names) == ours


def grouped(detector: FCOS, schedule: Schedule) -> dict[tuple[float, float], set[str]]:
    """Names of what learns at which scale of the rate, with which decay."""
    detector.requires_grad_(True)  # also what is frozen in the published model
    names = {parameter: name for name, parameter in detector.named_parameters()}
    optimizer, unused = make_optimizer(detector, schedule, 0.01)
    assert unused == []
    groups = optimizer.param_groups
    return {(group["lr_scale"], group["weight_decay"]): {names[one] for one in group["params"]} for group in groups}


def test_biases_learn_faster_and_do_not_decay():
    detector = cast(FCOS, detzoo.build("fcos_r50_caffe_fpn_gn-head_1x_coco"))
    kinds = grouped(detector, Schedule(weight_decay=1e-4, groups=BIASES))
    plain, norms, biases = kinds[1.0, 1e-4], kinds[1.0, 0.0], kinds[2.0, 0.0]
    assert {"cls_convs.3.gn.bias", "backbone.layer2.0.downsample.1.bias", "backbone.layer4.2.bn3.bias"} <= norms
    assert {"cls.bias", "centerness.bias", "neck.fpn_convs.3.conv.bias"} <= biases
    assert {"cls.weight", "cls_convs.0.gn.weight", "scales.0"} <= plain
    assert not [name for name in plain if name.endswith("bias")]


def test_shifts_have_no_such_biases():
    name = "fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_dcn_1x_coco"
    kinds = grouped(cast(FCOS, detzoo.build(name)), detzoo.find(name).schedule)
    assert {"cls_convs.3.conv.conv_offset.bias", "backbone.layer4.2.conv2.conv_offset.bias"} <= kinds[1.0, 1e-4]
    assert "cls_convs.3.conv.bias" in kinds[2.0, 0.0]


def largest_gradient(detector: FCOS) -> Tensor:
    return torch.stack([p.grad.abs().max() for p in detector.parameters() if p.grad is not None]).max()


@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "ciou"])
def test_objects_larger_than_the_picture_can_be_learned(kind: str):
    detector = fcos(box_loss={"kind": kind}).train()
    box = torch.tensor([[-300.0, -200.0, 700.0, 900.0]])
    packed = Targets.pack([{"boxes": box, "labels": torch.zeros(1)}, {"boxes": box, "labels": torch.ones(1)}])
    losses = detector(images(), packed)
    total(losses).backward()
    assert bool(torch.isfinite(largest_gradient(detector)))
    assert bool(losses["loss_bbox"] > 0)
