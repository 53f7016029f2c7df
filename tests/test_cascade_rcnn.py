"""Cascade R-CNN: what one stage hands to the next, and how the stages' results are put together."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.counting import count
from detzoo.blocks.assign import MatchConfig, RoISamples, match, sample_rois
from detzoo.blocks.cascade import STAGES, box_heads, refined
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.rpn import RPN
from detzoo.config import ConfigError, validate
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.ops.boxes import MAX_LOG_RATIO
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Images, Targets
from tests.tiny import CANVAS, images, targets, tiny

EVERYTHING = BoxHead.Config(samples=10_000, positives=0.5)


def boxes_of(*rows: tuple[float, float, float, float]) -> Tensor:
    return torch.tensor([rows])


def slow_move(box: list[float], offset: list[float], stds: tuple[float, ...], size: list[int]) -> list[float]:
    """Equations 6 to 9 of arXiv:1311.2524 backwards, cut off at the image, one number after the other."""
    dx, dy, dw, dh = (value * std for value, std in zip(offset, stds, strict=True))
    width, height = box[2] - box[0], box[3] - box[1]
    x, y = (box[0] + box[2]) / 2 + dx * width, (box[1] + box[3]) / 2 + dy * height
    w, h = (
        edge * float(torch.tensor(d).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp())
        for edge, d in ((width, dw), (height, dh))
    )
    corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    return [min(max(value, 0.0), limit) for value, limit in zip(corners, [size[1], size[0]] * 2, strict=True)]


@pytest.mark.parametrize("agnostic", [True, False])
def test_boxes_move_as_their_class_asks(agnostic: bool) -> None:
    """Positives as their object's class, others as their best class; background never counts."""
    config = BoxHead.Config(class_agnostic=agnostic, fc_channels=8, stds=(0.1, 0.1, 0.3, 0.2))
    head = BoxHead(config, 4, classes=3)
    generator = torch.Generator().manual_seed(0)
    boxes = boxes_of((10, 10, 40, 30), (0, 0, 90, 90), (5, 6, 5, 6), (0, 0, 0, 0))
    logits = torch.tensor([[[0.1, 0.7, 0.2, 9.0], [5.0, 1.0, 2.0, 0.0], [0.0, 1.0, 2.0, 9.0], [0.0, 0.0, 0.0, 0.0]]])
    offsets = 2 * torch.randn(1, 4, 1 if agnostic else 3, 4, generator=generator)
    positive = torch.tensor([[True, False, False, False]])
    labels = torch.tensor([[2, 0, 0, 0]])
    samples = RoISamples(boxes, torch.ones_like(positive), positive, labels, labels, ~positive)
    some = Images(torch.zeros(1, 3, 64, 96), torch.tensor([[60, 80]]))
    for given, classes in ((samples, (2, 0, 2, 0)), (None, (1, 0, 2, 0))):
        moved = head.refine((logits, offsets), boxes, some, given)
        for slot, label in enumerate(classes):
            offset = offsets[0, slot, 0 if agnostic else label].tolist()
            wanted = slow_move(boxes[0, slot].tolist(), offset, config.stds, [60, 80])
            torch.testing.assert_close(moved[0, slot], torch.tensor(wanted), atol=1e-4, rtol=1e-5)
        assert not moved[0, 3].any(), "an empty slot stays empty"


def test_objects_themselves_are_no_proposals() -> None:
    """Also where a proposal has an object's very coordinates: it is kept, the object is not."""
    some = targets(2, 0)
    boxes = torch.cat([some.boxes[:, :1], torch.tensor([[[60.0, 60, 90, 90]]]).expand(2, 1, 4)], 1)
    matches = match(boxes, None, some, EVERYTHING.match)
    samples = sample_rois(boxes, matches, some, EVERYTHING.samples, EVERYTHING.positives)
    assert samples.valid.sum(1).tolist() == [4, 2]
    kept = samples.proposed
    assert kept.sum(1).tolist() == [2, 2]
    for image in range(2):
        found = {tuple(box) for box in samples.boxes[image][kept[image]].tolist()}
        assert found == {tuple(box) for box in boxes[image].tolist()}


@pytest.mark.parametrize("kind", [CascadeRCNN, CascadeMaskRCNN])
def test_stages_learn_from_what_the_one_before_moved(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every RoI but the objects, moved; and the objects again. Nothing is lost, and nothing comes twice."""
    seen: list[tuple[Tensor, Tensor, MatchConfig]] = []

    original = BoxHead.sample

    def spy(head: BoxHead, atlas: Atlas, boxes: Tensor, valid: Tensor, targets: Targets) -> RoISamples:
        seen.append((boxes, valid, head.config.match))
        return original(head, atlas, boxes, valid, targets)

    monkeypatch.setattr(BoxHead, "sample", spy)
    detector = tiny(kind, box_head={"samples": 10_000, "positives": 0.5, "fc_channels": 16}).train()
    detector(images(), targets(3, 0))
    assert [match.positive for _, _, match in seen] == [0.5, 0.6, 0.7]
    assert len({tuple(valid.sum(1).tolist()) for _, valid, _ in seen}) == 1
    first, second = seen[0][0], seen[1][0]
    assert not second.requires_grad
    assert not torch.equal(first[0, 0], second[0, 0])


def test_launches_do_not_grow_with_the_batch_and_the_host_never_waits() -> None:
    """Deformable convolution and three stages with masks, a training step and a prediction."""
    detector = tiny(CascadeMaskRCNN, backbone={"depth": 18, "deform": {"version": 2}})

    def step(some: Images, objects: Targets) -> None:
        losses = detector.train()(some, objects)
        torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
        detector.zero_grad()

    def predict(some: Images, objects: Targets) -> None:
        with torch.no_grad():
            detector.eval().detect(some)

    for work in (step, predict):
        counts = []
        for batch in (1, 3):
            run = functools.partial(work, images(batch), targets(*[2] * batch))
            run()  # what happens once only is not counted
            counts.append(count(run))
        assert counts[0].launches == counts[1].launches
        assert not counts[1].syncs


def test_stage_losses_are_weighted() -> None:
    plain = {"box_head": {"samples": 10_000, "positives": 0.5, "fc_channels": 16}, "backbone": {"depth": 18}}
    weighted = tiny(CascadeRCNN, **plain)
    even: Any = tiny(CascadeRCNN, **plain)
    even.stages = tuple(stage.replace(weight=1.0) for stage in STAGES)
    ours, theirs = (one.train()(images(), targets(2, 1)) for one in (weighted, even))
    for number, stage in enumerate(STAGES):
        for part in ("loss_cls", "loss_bbox"):
            name = f"s{number}.{part}"
            torch.testing.assert_close(ours[name], theirs[name] * stage.weight)
        assert ours[f"s{number}.acc"] == theirs[f"s{number}.acc"]


def test_scores_are_averaged_and_the_last_boxes_count() -> None:
    torch.manual_seed(0)
    heads = box_heads(BoxHead.Config(fc_channels=8, size=2, class_agnostic=True), STAGES, 4, classes=3, levels=2)
    for head in heads:
        torch.nn.init.normal_(head.get_parameter("fc_reg.weight"), std=0.5)
    some = images()
    features = [torch.randn(2, 4, CANVAS[0] // stride, CANVAS[1] // stride) for stride in (4, 8)]
    atlas = build_atlas(features, (4, 8))
    start = torch.tensor([[[8.0, 8, 60, 50], [0, 0, 30, 90], [0, 0, 0, 0]]]).expand(2, 3, 4)
    (logits, offsets), boxes = refined(heads, lambda head, moved: head(atlas, moved), start, some)
    raw = [heads[0](atlas, start)]
    second = heads[0].refine(raw[0], start, some)
    raw.append(heads[1](atlas, second))
    third = heads[1].refine(raw[1], second, some)
    raw.append(heads[2](atlas, third))
    torch.testing.assert_close(boxes, third)
    torch.testing.assert_close(logits, (raw[0][0] + raw[1][0] + raw[2][0]) / 3)
    torch.testing.assert_close(offsets, raw[2][1])


def test_masks_are_averaged() -> None:
    detector = tiny(CascadeMaskRCNN, box_head={"threshold": 0.0, "fc_channels": 16, "detections": 4}).eval()
    assert isinstance(detector, CascadeMaskRCNN)
    atlas = build_atlas([torch.randn(1, 32, 24, 32), torch.randn(1, 32, 12, 16)], (4, 8))
    boxes, labels = boxes_of((0, 0, 50, 60), (20, 20, 30, 90)), torch.tensor([[1, 2]])
    with torch.no_grad():
        each = [head(atlas, boxes, labels).sigmoid() for head in detector.mask_heads]
        got = detector.crops(atlas, boxes, labels)
        assert detector.detect(images())[0].masks is not None
    torch.testing.assert_close(got, sum(each[1:], each[0]) / 3)


def test_masks_are_asked_for() -> None:
    without = targets(1, 1)
    with pytest.raises(ValueError, match=r"data\.masks=true"):
        tiny(CascadeMaskRCNN)(images(), Targets(without.boxes, without.labels, without.valid, without.ignore))


def test_one_stage_is_enough_and_none_is_not() -> None:
    single = {"method": "cascade_rcnn", "stages": [STAGES[0].model_dump()]}
    assert len(validate(CascadeRCNN.Config, single).stages) == 1
    with pytest.raises(ConfigError, match="stages"):
        validate(CascadeRCNN.Config, {"stages": []})


@pytest.mark.parametrize("case", ["touching", "larger than the picture", "without area"])
def test_awkward_objects(case: str) -> None:
    boxes = {
        "touching": torch.tensor([[10.0, 10, 40, 40], [40, 10, 70, 40], [10, 10, 40, 40]]),
        "larger than the picture": torch.tensor([[-50.0, -50, 400, 400]]),
        "without area": torch.tensor([[20.0, 20, 20, 60]]),
    }[case]
    masks = torch.ones(len(boxes), *CANVAS, dtype=torch.bool)
    item = {"boxes": boxes, "labels": torch.zeros(len(boxes), dtype=torch.int64), "masks": masks}
    detector = tiny(CascadeMaskRCNN).train()
    losses = detector(images(), Targets.pack([item, item]))
    assert all(bool(torch.isfinite(value)) for value in losses.values())
    torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for _, p in detector.trainable() if p.grad is not None)


def test_anchors_beyond_the_border_learn_nothing() -> None:
    """The same objects with and without a border: only anchors inside the image count, whatever the canvas."""
    torch.manual_seed(0)
    sizes = torch.tensor([[48, 40]])
    logits = [torch.randn(1, 3, 12, 16, requires_grad=True)]
    offsets = [torch.randn(1, 12, 12, 16)]
    config = RPN.Config(channels=4, border=2.0, samples=10_000)
    rpn = RPN(config, [4], [4])
    some = Targets.pack([{"boxes": torch.tensor([[8.0, 8, 38, 40]]), "labels": torch.tensor([0])}])
    rpn.losses((logits, offsets), some, sizes)["loss_rpn_cls"].backward()
    assert logits[0].grad is not None
    learned = logits[0].grad.permute(0, 2, 3, 1).flatten() != 0
    anchors = rpn.anchors([(12, 16)])
    for anchor, used in zip(anchors.tolist(), learned.tolist(), strict=True):
        inside = anchor[0] >= -2 and anchor[1] >= -2 and anchor[2] < 42 and anchor[3] < 50
        assert inside or not used
    assert learned.any()
    with pytest.raises(AssertionError, match="sizes"):
        rpn.losses((logits, offsets), some)
