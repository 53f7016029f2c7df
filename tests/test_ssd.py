"""SSD: default boxes as published, losses against one box at a time, maps of any size, weights of either layout."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

import detzoo
from detzoo.backbones.vgg import VGG
from detzoo.blocks.anchors import ShapedAnchors
from detzoo.config import ConfigError, validate
from detzoo.methods.ssd import SSD, STDS
from detzoo.necks.ssd import L2Norm, SSDNeck
from detzoo.ops.boxes import encode, pairwise_iou
from detzoo.types import Images, Targets
from tests.tiny import CANVAS, CLASSES, images, targets, tiny


def ssd(**head: Any) -> SSD:
    found = tiny(SSD, head=head)
    assert isinstance(found, SSD)
    return found


def map_sizes(name: str) -> list[tuple[int, ...]]:
    """Of the maps that a published model makes of its own input."""
    with torch.device("meta"):
        model = detzoo.build(name)
        short = model.config.input.short
        found = model.get_submodule("neck")(model.get_submodule("backbone")(torch.zeros(1, 3, short, short)))
    return [tuple(level.shape[1:]) for level in found]


def test_published_models_have_the_papers_maps_and_boxes() -> None:
    assert map_sizes("ssd300_coco") == [
        *((512, 38, 38), (1024, 19, 19), (512, 10, 10), (256, 5, 5), (256, 3, 3), (256, 1, 1)),
    ]
    assert map_sizes("ssd512_coco") == [
        *((512, 64, 64), (1024, 32, 32), (512, 16, 16), (256, 8, 8), (256, 4, 4), (256, 2, 2), (256, 1, 1)),
    ]
    for name, count in (("ssd300_coco", 8732), ("ssd512_coco", 24564)):
        settings = detzoo.find(name).model
        assert isinstance(settings, SSD.Config)
        assert settings.head.steps is not None
        anchors = ShapedAnchors(settings.head.shapes(), settings.head.steps)
        assert len(anchors([size[1:] for size in map_sizes(name)])) == count


def test_default_boxes_of_a_cell() -> None:
    """Two squares, then each ratio lying and standing, all but the second of one area (section 2.2)."""
    shapes = torch.tensor(SSD.Head().shapes()[1])
    assert len(shapes) == 6
    torch.testing.assert_close(shapes.prod(1).sqrt(), torch.tensor([45.0, (45 * 99) ** 0.5, 45, 45, 45, 45]))
    torch.testing.assert_close(shapes[:, 1] / shapes[:, 0], torch.tensor([1.0, 1, 1 / 2, 2, 1 / 3, 3]))
    boxes = ssd(sizes=(20, 30, 40, 50, 60, 70, 80)).anchors([(2, 3), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1)])
    # row 1, column 2 of the first map, its first box
    assert boxes[(1 * 3 + 2) * 4].tolist() == [10.0, 2.0, 30.0, 22.0]
    assert boxes[-4].tolist() == [115.0, 115.0, 185.0, 185.0]


def slow_losses(model: SSD, batch: Images, truth: Targets) -> dict[str, float]:
    """Image by image and box by box, from the description of the training in section 2.2 of the paper."""
    logits, offsets = model.heads(model.neck(model.backbone(batch.pixels)))
    default = model.anchors([level.shape[-2:] for level in logits])
    total = {"loss_cls": 0.0, "loss_bbox": 0.0}
    positives = 0
    for image in range(len(batch.pixels)):
        # a cell's boxes one after the other, each with its classes
        rows = torch.cat([level[image].flatten(1).t().reshape(-1, len(CLASSES) + 1) for level in logits])
        moves = torch.cat([level[image].flatten(1).t().reshape(-1, 4) for level in offsets])
        objects = truth.boxes[image][truth.valid[image]]
        labels = truth.labels[image][truth.valid[image]]
        owner = [-1] * len(default)
        if len(objects):
            overlaps = pairwise_iou(default, objects)
            for box, row in enumerate(overlaps.tolist()):
                if max(row) >= 0.5:
                    owner[box] = row.index(max(row))
            for number in range(len(objects)):
                column = overlaps[:, number].tolist()
                if max(column) > 0:
                    owner[column.index(max(column))] = number
        background = []
        for box, number in enumerate(owner):
            loss = -rows[box].log_softmax(0)
            if number < 0:
                background.append(float(loss[-1].detach()))
            else:
                total["loss_cls"] += float(loss[labels[number]].detach())
                goal = encode(default[box], objects[number], STDS)
                total["loss_bbox"] += float(F.smooth_l1_loss(moves[box], goal, reduction="sum").detach())
        found = len(default) - len(background)
        total["loss_cls"] += sum(sorted(background, reverse=True)[: 3 * found])
        positives += max(found, 1)
    return {name: value / positives for name, value in total.items()}


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (4, 30)], ids=["none", "one", "many"])
def test_losses_equal_one_box_at_a_time(counts: tuple[int, ...]) -> None:
    model, batch, truth = ssd().eval(), images(), targets(*counts)
    losses = model(batch, truth)
    for name, wanted in slow_losses(model, batch, truth).items():
        assert losses[name].item() == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_hard_background_is_bounded_by_what_there_is() -> None:
    """More asked for than there are boxes: all of them are learned from, once."""
    model, batch, truth = ssd(hard=1e6).eval(), images(), targets(2, 2)
    logits, _ = model.heads(model.neck(model.backbone(batch.pixels)))
    boxes = sum(level[0].numel() // (len(CLASSES) + 1) for level in logits)
    for parameter in model.cls.parameters():
        parameter.data.zero_()
    loss = model(batch, truth)["loss_cls"].item()
    positives = round(2 * boxes * torch.log(torch.tensor(4.0)).item() / loss)
    assert loss == pytest.approx(2 * boxes * torch.log(torch.tensor(4.0)).item() / positives, rel=1e-4)
    assert 4 <= positives < 2 * boxes


@pytest.mark.parametrize(
    "boxes",
    [
        [[10.0, 10.0, 50.0, 50.0], [50.0, 10.0, 90.0, 50.0]],
        [[10.0, 10.0, 50.0, 50.0], [10.0, 10.0, 50.0, 50.0]],
        [[-200.0, -200.0, 400.0, 400.0]],
        [[20.0, 20.0, 20.0, 20.0]],
    ],
    ids=["touching", "the same place", "larger than the picture", "a point"],
)
def test_odd_objects_give_finite_losses(boxes: list[list[float]]) -> None:
    item = {"boxes": torch.tensor(boxes), "labels": torch.arange(len(boxes))}
    model, truth = ssd().eval(), Targets.pack([item, item])
    losses = model(images(), truth)
    assert all(bool(torch.isfinite(value)) for value in losses.values())
    wanted = slow_losses(model, images(), truth)
    assert losses["loss_cls"].item() == pytest.approx(wanted["loss_cls"], rel=1e-4)


@pytest.mark.parametrize("size", [(96, 128), (32, 32), (75, 331)])
def test_every_canvas_works(size: tuple[int, int]) -> None:
    model = ssd(threshold=0.0).eval()
    generator = torch.Generator().manual_seed(0)
    batch = Images(torch.randn(1, 3, *size, generator=generator), torch.tensor([size]))
    with torch.no_grad():
        levels, _ = model.heads(model.neck(model.backbone(batch.pixels)))
        assert model.detect(batch).valid.any()
    assert len(levels) == 6
    assert min(min(level.shape[-2:]) for level in levels) >= 1


def test_weights_of_both_published_layouts_load() -> None:
    """Until MMDetection 2.14 the neck's layers were the backbone's, as those of the published files are."""
    model = ssd()
    new, old = {}, {}
    for name, value in model.state_dict().items():
        value = torch.randn_like(value)
        part, _, rest = name.partition(".")
        if part in ("cls", "reg"):
            number, _, leaf = rest.partition(".")
            new[f"bbox_head.{part}_convs.{number}.0.{leaf}"] = old[f"bbox_head.{part}_convs.{number}.{leaf}"] = value
        elif name.startswith("neck.extra_layers."):
            _, _, level, conv, _, leaf = name.split(".")
            new[name] = old[f"backbone.extra.{2 * int(level) + int(conv)}.{leaf}"] = value
        else:
            new[name] = old[name.replace("neck.l2_norm", "backbone.l2_norm")] = value
    for weights in (new, old):
        model = ssd()
        model.load_published(weights)
        for published, value in weights.items():
            assert any(torch.equal(value, mine) for mine in model.state_dict().values()), published
    assert torch.equal(model.get_parameter("neck.extra_layers.1.0.conv.weight"), old["backbone.extra.2.weight"])


@pytest.mark.parametrize(("depth", "letter"), [(11, "A"), (13, "B"), (16, "D"), (19, "E")])
def test_vgg_equals_torchvision(depth: int, letter: str) -> None:
    torch.manual_seed(0)
    theirs = make_layers(cfgs[letter])
    ours = VGG(VGG.Config.model_validate({"depth": depth})).eval()
    shared = {f"features.{name}": value for name, value in theirs.state_dict().items()}
    assert ours.load_state_dict(shared, strict=False).unexpected_keys == []
    x = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        fine, coarse = ours(x)
        pools = [index for index, layer in enumerate(theirs) if isinstance(layer, torch.nn.MaxPool2d)]
        torch.testing.assert_close(fine, theirs[: pools[3]](x), rtol=1e-4, atol=1e-5)
    assert (fine.shape[1], coarse.shape[1]) == ours.channels
    assert coarse.shape[-2:] == (2, 3)


def test_vgg_rounds_sizes_up() -> None:
    small = VGG(VGG.Config(depth=11, channels=(2, 2, 2, 2, 2), last_channels=2))
    assert [tuple(level.shape[-2:]) for level in small(torch.zeros(1, 3, 33, 300))] == [(5, 38), (3, 19)]


def test_l2_norm_scales_cells_to_its_weight_and_takes_zeros() -> None:
    norm = L2Norm(4, 20.0)
    x = torch.randn(2, 4, 3, 3)
    x[0, :, 1, 1] = 0.0
    x.requires_grad_()
    y = norm(x)
    lengths = y.norm(dim=1)
    assert lengths[0, 1, 1] == 0
    torch.testing.assert_close(lengths[1], torch.full((3, 3), 20.0))
    y.sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="one entry more than there are maps"):
        validate(SSD.Head, {"sizes": (10, 20, 30)})
    with pytest.raises(ConfigError, match="one entry per extra map"):
        validate(SSDNeck.Config, {"steps": (2, 2)})
    with pytest.raises(ValueError, match=r"head\.ratios is for 6 maps, but there are 4"):
        SSD(SSD.Config(neck=SSDNeck.Config(out_channels=(8, 8), steps=(2, 2), paddings=(1, 1))), CLASSES)


def test_steps_default_to_strides() -> None:
    model = ssd(steps=None)
    assert model.anchors.steps == (8, 16, 32, 64, 64, 64)
    assert isinstance(model(images(), targets(1, 1))["loss_cls"], Tensor)
    assert CANVAS == (96, 128)


def test_cells_may_share_any_canvas_evenly() -> None:
    model = ssd(spread=True, inside=True, mean_last=True, first_mean=False)
    assert model.anchors.per_cell == (3, 6, 6, 6, 4, 4)
    logits = [torch.zeros(1, 1, *size) for size in ((2, 4), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1))]
    batch = Images(torch.zeros(1, 3, 90, 100), torch.tensor([[90, 100]]))
    boxes = model._default(logits, batch)
    half = model.head.sizes[0] / 2
    assert boxes[3].tolist() == [37.5 - half, 22.5 - half, 37.5 + half, 22.5 + half]  # the first of the second cell
    assert boxes.amin() == 0
    assert boxes[:, 2:].amax(0).tolist() == [100, 90]
    second, (size, larger) = model.head.shapes()[1], model.head.sizes[1:3]
    assert second[0] == (size, size)
    assert second[-1] == pytest.approx((math.sqrt(size * larger),) * 2)


def test_dense_squares_tile_their_cells() -> None:
    """FaceBoxes: four times four of 32 pixels in a cell of 8, two times two of 64, one of 128."""
    head = validate(SSD.Head, {"squares": [[32, 64, 128], [256]], "densities": [[4, 2, 1], [1]], "steps": [8, 16]})
    anchors = ShapedAnchors(head.shapes(), (8, 16), shifts=head.shifts((8, 16)))
    assert anchors.per_cell == (21, 1)
    boxes = anchors([(1, 1), (1, 1)])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert centres[:5].tolist() == [[1, 1], [3, 1], [5, 1], [7, 1], [1, 3]]
    assert centres[16:].tolist() == [[2, 2], [6, 2], [2, 6], [6, 6], [4, 4], [8, 8]]
    assert (boxes[:, 2] - boxes[:, 0]).tolist() == [32] * 16 + [64] * 4 + [128, 256]
    with pytest.raises(ConfigError, match="one entry for each"):
        validate(SSD.Head, {"squares": [[32, 64]], "densities": [[4]]})


def test_an_image_without_positives_may_learn_background() -> None:
    objects = targets(2, 0)
    usual, alone = (ssd(alone=part).train()(images(), objects) for part in (None, 0.5))
    assert alone["loss_cls"] > usual["loss_cls"]
    assert alone["loss_bbox"] > usual["loss_bbox"]  # of fewer that count
