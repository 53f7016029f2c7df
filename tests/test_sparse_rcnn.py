"""Sparse R-CNN's dynamic convolution, matching and losses against a slow reading of the paper, and its detections."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

import detzoo
from detzoo.methods.sparse_rcnn import DynamicConv, DynamicHead, SparseRCNN
from detzoo.ops.boxes import giou
from detzoo.types import Images, Targets
from tests.tiny import images, targets, tiny


def small() -> SparseRCNN:
    found = tiny("SparseRCNN")
    assert isinstance(found, SparseRCNN)
    return found


def test_a_proposal_brings_the_weights_of_its_convolutions():
    torch.manual_seed(0)
    conv = DynamicConv(width=6, hidden=4, size=3).double()
    features, pooled = torch.randn(5, 6).double(), torch.randn(5, 6, 3, 3).double()
    found = conv(features, pooled)
    for feature, roi, row in zip(features, pooled, found, strict=True):
        weights = conv.dynamic_layer(feature)
        x = F.conv2d(roi[None], weights[:24].view(6, 4).t()[..., None, None])
        x = conv.norm_in(x.movedim(1, -1)).relu().movedim(-1, 1)
        x = F.conv2d(x, weights[24:].view(4, 6).t()[..., None, None])
        x = conv.norm_out(x.movedim(1, -1)).relu()
        torch.testing.assert_close(row, conv.fc_norm(conv.fc_layer(x.flatten())).relu())


def focal(logit: float, positive: bool) -> float:
    p = 1 / (1 + math.exp(-logit))
    return -0.25 * (1 - p) ** 2 * math.log(p) if positive else -0.75 * p**2 * math.log(1 - p)


def slow_losses(logits: Tensor, boxes: Tensor, batch: Images, wanted: Targets) -> dict[str, float]:
    """Losses by name from logits ``[N, S, Q, C]`` and boxes ``[N, S, Q, 4]``: one image and stage at a time."""
    losses: dict[str, float] = {}
    for stage in range(logits.shape[1]):
        classes = apart = unlike = 0.0
        count = 0
        for image, (height, width) in enumerate(batch.sizes.tolist()):
            scale = torch.tensor([width, height, width, height])
            keep = wanted.valid[image]
            objects, labels = wanted.boxes[image][keep], wanted.labels[image][keep].tolist()
            scores, here = logits[image, stage].tolist(), boxes[image, stage]
            gaps = [[float(((box - one) / scale).abs().sum()) for one in objects] for box in here]
            overlaps = [[float(giou(box, one)) for one in objects] for box in here]
            cost = [
                [
                    2 * (focal(row[label], True) - focal(row[label], False)) + 5 * gap - 2 * overlap
                    for label, gap, overlap in zip(labels, of_gaps, of_overlaps, strict=True)
                ]
                for row, of_gaps, of_overlaps in zip(scores, gaps, overlaps, strict=True)
            ]
            pairs = dict(zip(*(part.tolist() for part in linear_sum_assignment(cost)), strict=True)) if labels else {}
            for query, row in enumerate(scores):
                slot = pairs.get(query)
                label = -1 if slot is None else labels[slot]
                classes += sum(focal(logit, index == label) for index, logit in enumerate(row))
                apart += 0.0 if slot is None else gaps[query][slot]
                unlike += 0.0 if slot is None else 1 - overlaps[query][slot]
            count += len(pairs)
        terms = {"loss_cls": 2 * classes, "loss_bbox": 5 * apart, "loss_iou": 2 * unlike}
        losses |= {f"s{stage}.{name}": term / max(count, 1) for name, term in terms.items()}
    return losses


@pytest.mark.parametrize("counts", [(3, 2), (4, 0), (0, 0)], ids=["some", "one empty", "none"])
def test_losses_are_those_of_the_paper(counts: tuple[int, int]):
    model, batch, wanted = small(), images(), targets(*counts)
    with torch.no_grad():
        found = model(batch, wanted)
        logits, boxes = model.refined(model.neck(model.backbone(batch.pixels)), batch)
    expected = slow_losses(logits, boxes, batch, wanted)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_stages_start_from_the_boxes_of_the_one_before_but_teach_it_by_features_alone():
    model, batch, wanted = small(), images(), targets(3, 1)
    losses = model(batch, wanted)
    first = model.stages[0]
    assert isinstance(first, DynamicHead)
    losses["s1.loss_bbox"].backward()
    for teacher, taught in ((first.fc_reg.weight, False), (model.boxes.weight, False), (first.ffn_norm.weight, True)):
        assert teacher.grad is not None
        assert bool(teacher.grad.any()) == taught
    # yet the second stage looks where the first one moved the boxes
    features = model.neck(model.backbone(batch.pixels))
    before = model.refined(features, batch)[0]
    with torch.no_grad():
        first.fc_reg.bias.sub_(1.0)
    after = model.refined(features, batch)[0]
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_proposals_cover_the_image_at_first():
    model, batch = small(), images(3)
    boxes, features = model.proposals(batch)
    assert boxes.shape == (3, 100, 4)
    assert features.shape == (3, 100, 64)
    for of_image, (height, width) in zip(boxes, batch.sizes.tolist(), strict=True):
        assert torch.equal(of_image, torch.tensor([0.0, 0, width, height]).expand(100, 4))


def test_detections_are_the_best_scores_whosever_box_they_are_of():
    model, batch = small().eval(), images()
    with torch.no_grad():
        logits, boxes = model.refined(model.neck(model.backbone(batch.pixels)), batch)
        found = model.detect(batch)
    for image, (height, width) in enumerate(batch.sizes.tolist()):
        rows = [
            (float(score), label, query)
            for query, row in enumerate(logits[image, -1].sigmoid())
            for label, score in enumerate(row)
        ]
        rows.sort(reverse=True)
        for slot, (score, label, query) in enumerate(rows[:10]):
            assert float(found.scores[image, slot]) == pytest.approx(score)
            assert int(found.labels[image, slot]) == label
            inside = boxes[image, -1, query].clamp(min=0).minimum(torch.tensor([width, height, width, height]))
            torch.testing.assert_close(found.boxes[image, slot], inside)
        assert len({query for _, _, query in rows[:100]}) < 100


def test_more_objects_than_proposals_are_learned():
    model, batch = small(), images(1)
    box = torch.tensor([[8.0, 8.0, 60.0, 60.0]]).repeat(150, 1)
    losses = model(batch, Targets.pack([{"boxes": box, "labels": torch.zeros(150, dtype=torch.int64)}]))
    assert all(bool(value.isfinite()) for value in losses.values())


def test_the_published_rows_have_100_and_300_proposals():
    counts = {}
    for name in detzoo.names("sparse_rcnn*coco"):
        model = detzoo.find(name).model
        assert isinstance(model, SparseRCNN.Config)
        counts[name] = (model.queries, model.detections)
    assert set(counts.values()) == {(100, 100), (300, 300)}
    assert sorted(name for name, count in counts.items() if count[0] == 300) == [
        f"sparse_rcnn_r{depth}_fpn_300_proposals_crop_mstrain_480-800_3x_coco" for depth in (101, 50)
    ]
