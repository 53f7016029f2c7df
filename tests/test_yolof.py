"""YOLOF: which anchors learn which objects, against loops; the losses of those; scores and boxes."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch

from detzoo.blocks.uniform_match import UniformMatch, uniform_match
from detzoo.methods.yolof import STDS, YOLOF
from detzoo.ops.boxes import decode, giou, pairwise_iou, to_centres
from detzoo.ops.focal import focal_loss, joint_logits
from detzoo.types import Targets
from tests.tiny import CANVAS, images, targets, tiny

SIZES = [(CANVAS[0] // 32, CANVAS[1] // 32)]

Box = list[float]


def yolof(**head: Any) -> YOLOF:
    return cast(YOLOF, tiny(YOLOF, head=head))


def slow_match(
    config: UniformMatch, anchors: torch.Tensor, boxes: torch.Tensor, objects: torch.Tensor
) -> tuple[list[int | None], list[int | None], list[tuple[int, int]]]:
    """Per anchor the object whose class it learns; -1 per anchor that is left out; pairs of boxes and objects."""
    owner: list[int | None] = [None] * len(anchors)
    overlaps = pairwise_iou(anchors, objects)
    # of equally near ones those that `topk` takes
    most = min(config.nearest, len(anchors))
    far = [torch.cdist(to_centres(objects), to_centres(each), p=1.0) for each in (boxes, anchors)]
    lists = [[row.topk(most, largest=False).indices.tolist() for row in each] for each in far]
    pairs = []
    out = [-1 if len(objects) and float(row.max()) > config.negative else None for row in pairwise_iou(boxes, objects)]
    for rank in range(min(config.nearest, len(anchors))):
        for each in lists:
            for slot, order in enumerate(each):
                anchor = order[rank]
                fits = float(overlaps[anchor, slot]) >= config.positive
                owner[anchor], out[anchor] = (slot, None) if fits else (None, -1)
                pairs += [(anchor, slot)] if fits else []
    return owner, out, pairs


def objects_of(packed: Targets, image: int) -> torch.Tensor:
    return packed.boxes[image][packed.valid[image]]


SCENES: dict[str, list[Box]] = {
    "none": [],
    "one": [[10.3, 11.1, 71.2, 60.7]],
    "alike, and equally near": [[16.0, 16.0, 48.0, 48.0], [16.0, 16.0, 48.0, 48.0], [0.0, 0.0, 64.0, 64.0]],
    "tiny and huge": [[5.1, 5.2, 7.3, 7.9], [-50.3, -51.7, 400.9, 301.3], [0.0, 0.0, 128.0, 96.0]],
    "far away": [[1000.0, 1000.0, 1050.0, 1040.0]],
}


@pytest.mark.parametrize("nearest", [1, 4, 100])
@pytest.mark.parametrize("boxes", SCENES.values(), ids=SCENES.keys())
def test_objects_are_learned_by_equally_many(boxes: list[Box], nearest: int):
    crowd, detector = objects_of(targets(40), 0), yolof()
    packed = Targets.pack(
        [{"boxes": some, "labels": torch.zeros(len(some))} for some in (torch.tensor(boxes).view(-1, 4), crowd)]
    )
    anchors = detector.anchors(SIZES)
    generator = torch.Generator().manual_seed(3)
    told = decode(anchors, torch.randn(2, len(anchors), 4, generator=generator) * 0.3, STDS, farthest=32.0)
    told[1, :9] = crowd[:9] + 0.25  # some are found already
    config = UniformMatch(nearest=nearest)
    found = uniform_match(config, config.known, anchors, told, packed)
    for image in range(2):
        owner, out, pairs = slow_match(config, anchors, told[image], objects_of(packed, image))
        assert found.positive[image].tolist() == [slot is not None for slot in owner]
        assert found.slot[image].tolist() == [slot or 0 for slot in owner]
        left_out = ~(found.positive | found.negative)[image]
        assert left_out.tolist() == [one == -1 for one in out]
        used = found.used[image].nonzero()[:, 0]
        assert sorted(zip(found.pairs[image][found.used[image]].tolist(), used.tolist(), strict=True)) == sorted(pairs)


def test_losses_are_those_of_the_pairs():
    """The same sums over the pairs alone, as loops would take them."""
    detector, batch, packed = yolof(), images(), targets(3, 2)
    with torch.no_grad():
        losses = detector(batch, packed)
        (logits,), (offsets,) = detector.heads(detector.neck(detector.backbone(batch.pixels)))
    anchors = detector.anchors(SIZES)
    of_boxes, of_classes, count = 0.0, 0.0, 0
    for image in range(2):
        told = decode(anchors, offsets[image].permute(1, 2, 0).reshape(-1, 4), STDS, farthest=32.0)
        scores = logits[image].permute(1, 2, 0).reshape(-1, 3)
        objects = objects_of(packed, image)
        owner, out, pairs = slow_match(detector.head.match, anchors, told, objects)
        of_boxes += sum(1 - float(giou(told[anchor], objects[slot])) for anchor, slot in pairs)
        labels = torch.tensor([3 if slot is None else int(packed.labels[image, slot]) for slot in owner])
        of_classes += float(focal_loss(scores, labels, torch.tensor([float(one is None) for one in out]), 0.25, 2.0))
        count += max(sum(slot is not None for slot in owner), 1)
    assert count > 10
    assert float(losses["loss_bbox"]) == pytest.approx(of_boxes / count, rel=1e-4)
    assert float(losses["loss_cls"]) == pytest.approx(of_classes / count, rel=1e-4)


def test_a_score_is_a_product():
    a = torch.tensor([[-3.0, 0.5, 200.0], [-200.0, 200.0, -200.0]], dtype=torch.float64)
    b = torch.tensor([[1.5, -0.25, 2.0], [0.0, 200.0, -200.0]], dtype=torch.float64)
    joint = joint_logits(a, b)
    assert torch.allclose(joint.sigmoid(), a.sigmoid() * b.sigmoid(), rtol=1e-12, atol=0.0)
    assert joint.isfinite().all()
    assert joint_logits(a.bfloat16(), b.bfloat16()).dtype == torch.float32


def test_centres_move_no_farther_than_told():
    anchors = torch.tensor([[0.0, 0.0, 64.0, 64.0], [0.0, 0.0, 8.0, 8.0]])
    moves = torch.tensor([[2.0, -0.25, 0.0, -6.0], [2.0, -6.0, 6.0, 0.0]])
    boxes = decode(anchors, moves, STDS, farthest=32.0)
    expected = torch.tensor(
        [[64.0, 16.0, 64.0, 64 * math.exp(-6)], [20.0, -28.0, 8 * 1000 / 16, 8.0]],
    )
    assert torch.allclose(to_centres(boxes), expected, atol=1e-4)


def test_a_loss_of_offsets_is_refused():
    with pytest.raises(ValueError, match="must compare boxes"):
        yolof(box_loss={"kind": "l1"})
