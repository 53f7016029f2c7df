"""YOLOv3: assignment and losses against one prior at a time, boxes and back, odd objects and sizes, Darknet-53."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import detzoo
from detzoo.backbones.darknet import Darknet
from detzoo.blocks.anchors import by_cell
from detzoo.config import ConfigError, validate
from detzoo.methods.yolov3 import YOLOv3
from detzoo.necks.yolo import YOLONeck
from detzoo.ops.boxes import pairwise_iou
from detzoo.types import Images, Targets
from tests.tiny import CANVAS, CLASSES, images, targets, tiny

SIZES = [(3, 4), (6, 8), (12, 16)]  # of the maps of the tests' canvas


def yolo(**head: Any) -> YOLOv3:
    found = tiny(YOLOv3, head=head)
    assert isinstance(found, YOLOv3)
    return found


def pack(*boxes: list[list[float]]) -> Targets:
    return Targets.pack(
        [{"boxes": torch.tensor(some).reshape(-1, 4), "labels": torch.arange(len(some)) % 3} for some in boxes]
    )


def slow_assignment(model: YOLOv3, objects: torch.Tensor) -> list[int]:
    """Object of each prior, -1 for background and -2 for priors that learn nothing."""
    priors = model.priors(SIZES)
    if not len(objects):
        return [-1] * len(priors)
    overlaps = pairwise_iou(priors, objects)
    answering = []
    for (height, width), step in zip(SIZES, (32, 16, 8), strict=True):
        cells = {(int(y // step), int(x // step)) for x, y in ((objects[:, :2] + objects[:, 2:]) / 2).tolist()}
        answering += [(row, column) in cells for row in range(height) for column in range(width) for _ in range(3)]
    found = [-1 if max(row) <= 0.5 else -2 for row in overlaps.tolist()]
    for prior, row in enumerate(overlaps.tolist()):
        if answering[prior] and max(row) > 0.5:
            found[prior] = row.index(max(row))
    for number in range(len(objects)):
        column = [value if here else -1.0 for value, here in zip(overlaps[:, number].tolist(), answering, strict=True)]
        if max(column) > 0:
            for prior, value in enumerate(column):
                if value == max(column):
                    found[prior] = number
    return found


def slow_losses(model: YOLOv3, batch: Images, truth: Targets) -> dict[str, float]:
    maps = model.maps(model.neck(model.backbone(batch.pixels)))
    flat = torch.cat([by_cell(level, 5 + len(CLASSES)) for level in maps], 1).detach()
    priors = model.priors(SIZES)
    steps = [step for (height, width), step in zip(SIZES, (32, 16, 8), strict=True) for _ in range(height * width * 3)]
    total: dict[str, float] = dict.fromkeys(("loss_cls", "loss_conf", "loss_xy", "loss_wh"), 0.0)

    def cross(logit: torch.Tensor, wanted: float) -> float:
        return float(F.binary_cross_entropy_with_logits(logit, torch.tensor(wanted)))

    for image in range(len(batch.pixels)):
        objects = truth.boxes[image][truth.valid[image]]
        for prior, number in enumerate(slow_assignment(model, objects)):
            row = flat[image, prior]
            if number > -2:
                total["loss_conf"] += cross(row[4], float(number >= 0))
            if number < 0:
                continue
            box, own, step = objects[number], priors[prior], steps[prior]
            for axis in (0, 1):
                # an object of another cell that overlaps this prior by more than half lies at this cell's border
                cell = math.floor(float(own[axis] + own[axis + 2]) / 2 / step)
                place = float(box[axis] + box[axis + 2]) / 2 / step - cell
                total["loss_xy"] += 2 * cross(row[axis], min(max(place, 1e-6), 1 - 1e-6))
                size = math.log((box[axis + 2] - box[axis]) / (own[axis + 2] - own[axis]))
                total["loss_wh"] += 2 * (float(row[2 + axis]) - size) ** 2
            label = int(truth.labels[image, number])
            total["loss_cls"] += sum(cross(row[5 + k], float(k == label)) for k in range(len(CLASSES)))
    return total


CASES = {
    "none": pack([], []),
    "random": targets(5, 1),
    "crowded": targets(30, 12),
    "the same cell and touching": pack(
        [[10.0, 10, 30, 30], [12, 12, 28, 28], [30, 10, 50, 30]], [[0, 0, 64, 64], [64, 0, 128, 64]]
    ),
    "larger than the picture": pack([[-100.0, -100, 300, 200]], [[0, 0, 128, 96]]),
    # the left and right half of the prior 116 x 90 of the cell at 48, 48; a centre on the border of cells
    "exactly half": pack([[-10.0, 3, 48, 93], [48, 3, 106, 93]], [[16, 16, 48, 48]]),
}


@pytest.mark.parametrize("case", CASES)
def test_assignment_and_losses_equal_one_prior_at_a_time(case: str) -> None:
    model, truth = yolo().eval(), CASES[case]
    learned = model._assign(SIZES, truth)
    codes = torch.where(learned.positive, learned.slot, torch.where(learned.negative, -1, -2))
    for image in range(2):
        assert codes[image].tolist() == slow_assignment(model, truth.boxes[image][truth.valid[image]])
    losses = model(images(), truth)
    for name, wanted in slow_losses(model, images(), truth).items():
        assert losses[name].item() == pytest.approx(wanted, rel=1e-4, abs=1e-4), name


def test_an_overlap_of_exactly_half_is_background() -> None:
    model = yolo()
    prior = model.priors(SIZES)[(1 * 4 + 1) * 3]
    x1, y1, x2, y2 = prior.tolist()
    middle = (x1 + x2) / 2
    # another prior fits better
    half = pack([[middle - (x2 - x1) / 4, y1, middle + (x2 - x1) / 4, y2]], [])
    learned = model._assign(SIZES, half)
    assert bool(learned.negative[0, (1 * 4 + 1) * 3])
    assert int(learned.positive[0].sum()) >= 1


def test_a_centre_on_the_last_border_stays_on_the_canvas() -> None:
    edge = pack([[128.0, 96, 128, 96], [120, 90, 136, 102]], [])
    losses = yolo().eval()(images(), edge)
    assert all(bool(torch.isfinite(value)) for value in losses.values())


def test_decoding_undoes_encoding() -> None:
    model = yolo()
    index = torch.tensor([[0, 40, 200, 700]])
    boxes = model.priors(SIZES)[index[0]][None] + torch.tensor([1.0, -2.0, 3.0, 1.0])
    place, size = model._encode(index, SIZES, boxes)
    moves = torch.cat([place.logit(), size], -1)
    torch.testing.assert_close(model._decode(index, SIZES, moves), boxes, rtol=1e-4, atol=1e-2)


def test_boxes_stay_finite() -> None:
    boxes = yolo()._decode(torch.tensor([[0]]), SIZES, torch.tensor([[[0.0, 0.0, 500.0, 500.0]]]))
    assert bool(torch.isfinite(boxes).all())


def test_clipping_changes_what_is_shown_and_leaves_out_what_cannot_be() -> None:
    found = {}
    for clip in (True, False):
        model = yolo(clip=clip, threshold=0.0, objectness=0.0, detections=1000).eval()
        with torch.no_grad():
            found[clip] = model.detect(images())
    limit = images().sizes[:, [1, 0, 1, 0]].unsqueeze(1)
    assert bool((found[False].boxes < 0).any())
    assert bool((found[True].boxes >= 0).all() and (found[True].boxes <= limit).all())
    # without padding every box is centred on the image, so that suppression has the same boxes
    whole, cut = found[False][0], found[True][0]
    torch.testing.assert_close(torch.minimum(whole.boxes.clamp(min=0), limit[0]), cut.boxes)
    # boxes in the padding are not there to suppress others
    boxes = found[True][1].boxes
    assert bool((boxes[:, 2:] > boxes[:, :2]).all())


def test_scores_are_object_times_class() -> None:
    model = yolo(threshold=0.0, objectness=0.0).eval()
    with torch.no_grad():
        raw = model.maps(model.neck(model.backbone(images().pixels)))
        flat = torch.cat([by_cell(level, 5 + len(CLASSES)) for level in raw], 1).sigmoid()
        best = (flat[..., 4:5] * flat[..., 5:]).flatten(1).max(1).values
        torch.testing.assert_close(model.detect(images()).scores[:, 0], best)


@pytest.mark.parametrize("size", [(33, 65), (96, 100)])
def test_canvases_that_do_not_divide(size: tuple[int, int]) -> None:
    model = yolo(threshold=0.0, objectness=0.0).eval()
    batch = Images(torch.zeros(1, 3, *size), torch.tensor([size]))
    with torch.no_grad():
        assert model.detect(batch).valid.any()
    losses = model(batch, pack([[3.0, 3, 30, 20]]))
    assert all(bool(torch.isfinite(value)) for value in losses.values())


def test_darknet_is_that_of_the_paper() -> None:
    with torch.device("meta"):
        model = Darknet()
        levels = model(torch.zeros(1, 3, 256, 256))
    convs = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert len(convs) == 52  # and the classifier that is left out
    assert [tuple(level.shape[1:]) for level in levels] == [(256, 32, 32), (512, 16, 16), (1024, 8, 8)]
    assert (model.channels, model.strides) == ((256, 512, 1024), (8, 16, 32))


def test_darknet_freezes_and_keeps_statistics() -> None:
    config = Darknet.Config(blocks=(1, 1, 1), width=4, out_stages=(2, 3), frozen_stages=1)
    model = Darknet(config).train()
    moving = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.partition(".")[0] for name in moving} == {"conv_res_block2", "conv_res_block3"}
    assert not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    free = Darknet(config.replace(norm_eval=False)).train()
    training = {
        name.partition(".")[0] for name, m in free.named_modules() if isinstance(m, nn.BatchNorm2d) and m.training
    }
    assert training == {"conv_res_block2", "conv_res_block3"}
    assert [tuple(level.shape) for level in model(torch.zeros(1, 3, 33, 40))] == [(1, 16, 9, 10), (1, 32, 5, 5)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out_stages": (3, 2)}, "out_stages must rise"),
        ({"out_stages": (3, 6)}, "out_stages must lie in 1 to 5"),
        ({"frozen_stages": 6}, "but there are 5 stages"),
    ],
)
def test_darknet_settings_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(Darknet.Config, changes)


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit 3 backbone maps"):
        YOLONeck(YOLONeck.Config(out_channels=(8, 8)), (8, 16, 32), (8, 16, 32))
    with pytest.raises(ValueError, match=r"head\.priors is for 1 maps, but there are 3"), torch.device("meta"):
        YOLOv3(YOLOv3.Config(head=YOLOv3.Head(priors=(((10, 10),),))), CLASSES)


def test_first_objectness_is_eight_per_map() -> None:
    model = yolo()
    for output, stride in zip(model.outputs, (32, 16, 8), strict=True):
        bias = output.get_parameter("bias").view(3, -1)
        torch.testing.assert_close(bias[:, 4].sigmoid(), torch.full((3,), 8 / (608 / stride) ** 2))


def test_published_parameters() -> None:
    with torch.device("meta"):
        model = detzoo.build("yolov3_d53_mstrain-608_273e_coco")
    assert sum(parameter.numel() for parameter in model.parameters()) == 61_949_149
    assert CANVAS == (96, 128)
