"""What benchmarks compare computes the same thing on both sides."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from benchmarks.assign import LEVELS, STRIDES, of_points, scatter
from benchmarks.peers import METHODS, PEERS, SIZES, Pair, make_pair, our_side
from benchmarks.scenes import make_objects, make_pictures
from detzoo.blocks.anchors import all_cells
from detzoo.blocks.points import cell_centres
from detzoo.ops.boxes import area, pairwise_iou
from detzoo.types import Detections, Images
from tests.tiny import CANVAS


def pair_of(method: str) -> Pair:
    return make_pair(method, size_of(method), depth=18, proposals=50, rois=16)


def size_of(method: str) -> tuple[int, int]:
    return SIZES["ssd"] if method == "ssd" else CANVAS


@pytest.mark.parametrize("method", PEERS)
def test_both_sides_find_and_learn(method: str):
    pair = pair_of(method)
    assert pair.theirs is not None
    size = size_of(method)
    pictures, items = make_pictures(2, size), make_objects(2, size, len(pair.ours.model.classes))
    images = pair.ours.images(pictures)
    for side in pair.sides:
        assert side.predict(pictures)() > 0
        side.detect(images)()
        for losses in (side.learn(pictures, items), side.losses(images, items)):
            total = losses()
            assert total.shape == ()
            assert bool(torch.isfinite(total))
        total.backward()
        assert any(parameter.grad is not None for parameter in side.model.parameters())


@pytest.mark.parametrize("method", [method for method in METHODS if method not in PEERS])
def test_a_method_without_peer_stands_alone(method: str):
    assert [side.who for side in pair_of(method).sides] == ["detzoo"]


def test_weights_of_another_model_are_refused():
    state = pair_of("retinanet").ours.model.state_dict()
    with pytest.raises(ValueError, match="torchvision's retinanet has a parameter that is not known here"):
        our_side("retinanet", {"head.new.weight": torch.zeros(1), **state}, depth=18)


def test_points_learn_the_objects_that_torchvision_gives_them():
    points = cell_centres(LEVELS, STRIDES, torch.device("cpu"))
    ours, theirs = (run() for run in of_points(points, scatter(2, 100)))
    slot, positive = ours
    assert torch.equal(torch.where(positive, slot, -1), torch.stack(theirs))
    assert positive.any(1).all()


@pytest.mark.parametrize("method", ["retinanet", "fcos", "ssd"])
def test_one_stage_heads_are_those_of_torchvision(method: str):
    pair = pair_of(method)
    ours: Any = pair.ours.model.eval()
    theirs: Any = pair.theirs and pair.theirs.model.eval()
    pixels = pair.ours.images(make_pictures(2, size_of(method))).pixels
    with torch.no_grad():
        found = ours.heads(ours.neck(ours.backbone(pixels)))
        wanted = theirs.head(list(theirs.backbone(pixels).values()))
    logits, boxes = all_cells(found[0], wanted["cls_logits"].shape[-1]), all_cells(found[1], 4)
    if method == "ssd":
        logits = logits.roll(1, 2)
    if method == "fcos":
        told = zip(found[1], ours.neck.strides, strict=True)
        boxes = all_cells([level / stride for level, stride in told], 4)
        torch.testing.assert_close(all_cells(found[2], 1), wanted["bbox_ctrness"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits, wanted["cls_logits"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(boxes, wanted["bbox_regression"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["fcos", "ssd"])
def test_one_stage_results_are_those_of_torchvision(method: str):
    pair = pair_of(method)
    assert pair.theirs is not None
    images = pair.ours.images(make_pictures(2, size_of(method)))
    found, theirs = pair.ours.detect(images)(), pair.theirs.detect(images)()
    assert isinstance(found, Detections)
    assert isinstance(theirs, list)
    if method == "fcos":  # of the product, torchvision takes the root
        found = dataclasses.replace(found, scores=found.scores.sqrt())
    _same_results(found, theirs, images.sizes)


@pytest.mark.parametrize("method", ["fcos", "ssd"])
def test_one_stage_losses_are_those_of_torchvision(method: str):
    """FCOS's but for the boxes' loss, which ours weighs by centerness; SSD's where no default boxes tie.

    torchvision's FCOS takes areas that differ by less than 8 pixels for equal: there are no such objects.
    """
    pair = pair_of(method)
    theirs: Any = pair.theirs
    pictures = make_pictures(2, size_of(method))
    items = make_objects(2, size_of(method), len(pair.ours.model.classes))
    if method == "fcos":
        items = [{key: value[_apart(item["boxes"])] for key, value in item.items()} for item in items]
    if method == "ssd":
        model: Any = pair.ours.model
        default = model.anchors([(38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1)])
        sure = [pairwise_iou(item["boxes"], default).amax(1) > 0.51 for item in items]
        items = [{key: value[here] for key, value in item.items()} for item, here in zip(items, sure, strict=True)]
        assert all(len(item["boxes"]) > 5 for item in items)
    found = pair.ours.model(pair.ours.images(pictures), pair.ours.targets(items, size_of(method)))
    wanted = theirs.model([picture / 255 for picture in pictures], theirs.targets(items))
    names = {"loss_cls": "classification"}
    names |= {"loss_centerness": "bbox_ctrness"} if method == "fcos" else {"loss_bbox": "bbox_regression"}
    for ours, their in names.items():
        torch.testing.assert_close(found[ours], wanted[their], rtol=1e-4, atol=0)


@pytest.mark.parametrize("method", [method for method in ("detr",) if method in PEERS])
def test_detr_is_that_of_transformers(method: str):
    """Scores, boxes and losses, with images of two sizes."""
    pair = pair_of(method)
    assert pair.theirs is not None
    for side in pair.sides:
        for module in side.model.modules():
            for name in ("dropout", "attention_dropout", "activation_dropout", "p"):
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)
    full = pair.ours.images(make_pictures(2, CANVAS))
    sizes = torch.tensor([CANVAS, (70, 100)])
    inside = (torch.arange(CANVAS[0]) < sizes[:, :1])[:, :, None] & (torch.arange(CANVAS[1]) < sizes[:, 1:])[:, None]
    images = Images(full.pixels * inside[:, None], sizes)
    found, theirs = pair.ours.detect(images)(), pair.theirs.detect(images)()
    assert isinstance(found, Detections)
    assert isinstance(theirs, list)
    _same_results(found, theirs, sizes)
    items = [{key: value[:9] for key, value in item.items()} for item in make_objects(2, (70, 100), 91)]
    torch.testing.assert_close(
        pair.ours.losses(images, items)(), pair.theirs.losses(images, items)(), rtol=1e-4, atol=0
    )


def _apart(boxes: torch.Tensor) -> torch.Tensor:
    """Indices of boxes whose areas differ by more than 16 pixels."""
    areas, order = area(boxes).sort()
    return order[areas.diff(prepend=areas.new_zeros(1)) > 16]


def _same_results(ours: Detections, theirs: list[dict[str, torch.Tensor]], sizes: torch.Tensor) -> None:
    for image, their in enumerate(theirs):
        order = their["scores"].argsort(descending=True)
        count = len(order)
        assert int(ours.valid[image].sum()) == count
        torch.testing.assert_close(ours.scores[image, :count], their["scores"][order], atol=1e-4, rtol=1e-4)
        height, width = sizes[image].tolist()
        limit = torch.tensor([width, height, width, height])
        # equal but for the order of scores that are nearly equal
        boxes = torch.minimum(their["boxes"][order].clamp(min=0), limit)
        gaps = (ours.boxes[image, :count, None] - boxes).abs().amax(-1)
        assert bool((gaps.amin(1) < 0.05).all())
