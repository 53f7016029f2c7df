"""DETR's matching and losses against an image-by-image reading of the paper; padding; compiled and exported."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

import detzoo
from detzoo.blocks.set_prediction import image_scale, likelihood_costs, match
from detzoo.blocks.transformer import TransformerConfig
from detzoo.interop.renaming import rename
from detzoo.methods.detr import DETR, _cells
from detzoo.ops.boxes import from_centres, giou, to_centres
from detzoo.types import Images, Targets
from tests.tiny import CLASSES, compiles, images, targets


def small(**changes: Any) -> DETR:
    part = TransformerConfig(layers=3, heads=2, hidden=32, dropout=0.0)
    config = DETR.Config().replace(encoder=part, decoder=part, queries=7)
    torch.manual_seed(0)
    settings = {"backbone": config.backbone.replace(depth=18), "neck": config.neck.replace(out_channels=32), **changes}
    return DETR(config.replace(**settings), CLASSES)


def slow_losses(model: DETR, logits: Tensor, boxes: Tensor, batch: Images, wanted: Targets) -> dict[str, float]:
    """Losses by name from logits ``[N, L, Q, C + 1]`` and boxes ``[N, L, Q, 4]``: one image and layer at a time."""
    layers, weights = logits.shape[1], model.settings.losses
    losses = {}
    for layer in range(layers):
        entropy = apart = unlike = share = 0.0
        count = 0
        for image in range(len(logits)):
            height, width = batch.sizes[image].tolist()
            scale = torch.tensor([width, height, width, height])
            keep = wanted.valid[image]
            objects, labels = wanted.boxes[image][keep], wanted.labels[image][keep]
            probable = logits[image, layer].softmax(-1)
            here = boxes[image, layer]
            cost = np.zeros((len(here), len(objects)))
            for query, column in np.ndindex(*cost.shape):
                target = to_centres(objects[column]) / scale
                cost[query, column] = (
                    -float(probable[query, labels[column]])
                    + 5 * float((here[query] - target).abs().sum())
                    - 2 * float(giou(from_centres(here[query]) * scale, objects[column]))
                )
            pairs = dict(zip(*(part.tolist() for part in linear_sum_assignment(cost)), strict=True))
            for query in range(len(here)):
                column = pairs.get(query)
                label = len(CLASSES) if column is None else int(labels[column])
                portion = 0.1 if column is None else 1.0
                entropy += portion * -math.log(float(probable[query, label]))
                share += portion
                if column is not None:
                    apart += float((here[query] - to_centres(objects[column]) / scale).abs().sum())
                    unlike += 1 - float(giou(from_centres(here[query]) * scale, objects[column]))
            count += len(pairs)
        prefix = "" if layer == layers - 1 else f"d{layer}."
        losses[f"{prefix}loss_cls"] = weights.cls * entropy / max(share, 1)
        losses[f"{prefix}loss_bbox"] = weights.box * apart / max(count, 1)
        losses[f"{prefix}loss_iou"] = weights.iou * unlike / max(count, 1)
    return losses


@pytest.mark.parametrize("counts", [(3, 2), (5, 0), (0, 0), (12, 1)], ids=["some", "one empty", "none", "crowded"])
def test_losses_are_those_of_the_paper(counts: tuple[int, int]):
    model, batch, wanted = small(), images(), targets(*counts)
    nn.init.normal_(model.reg.weight, std=1.0)  # boxes apart from each other
    with torch.no_grad():
        found = model(batch, wanted)
        logits, boxes = model.heads(model.states(model.neck(model.backbone(batch.pixels)), batch))
        expected = slow_losses(model, logits, boxes, batch, wanted)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_without_objects_every_query_learns_background():
    model, batch = small(), images()
    found = model(batch, targets(0, 0))
    logits, _ = model.heads(model.states(model.neck(model.backbone(batch.pixels)), batch))
    background = torch.full(logits.shape[:-1], len(CLASSES)).flatten()
    # 14 queries of weight 0.1 are 1.4
    expected = F.cross_entropy(logits.flatten(0, 2), background, reduction="none").view(2, 3, 7)[:, -1].mean()
    torch.testing.assert_close(found["loss_cls"], expected)
    assert found["loss_bbox"] == found["loss_iou"] == 0


def test_an_object_larger_than_the_picture_is_learned():
    box = torch.tensor([[-40.0, -30.0, 400.0, 300.0]])
    wanted = Targets.pack([{"boxes": box, "labels": torch.tensor([1])}] * 2)
    losses = small()(images(), wanted)
    assert all(bool(torch.isfinite(value)) for value in losses.values())
    assert losses["loss_bbox"] > 0


def test_objects_that_coincide_teach_two_queries():
    model, batch = small(), images(1)
    box = torch.tensor([[8.0, 8.0, 60.0, 60.0]])
    wanted = Targets.pack([{"boxes": box.repeat(2, 1), "labels": torch.tensor([1, 1])}])
    logits, boxes = model.heads(model.states(model.neck(model.backbone(batch.pixels)), batch))
    costs = likelihood_costs(logits, wanted.labels)
    slots = match(costs, boxes, wanted, image_scale(batch), model.settings.costs)
    assert [sorted(row.tolist())[-3:] for row in slots[0]] == [[-1, 0, 1]] * 3


def test_ignored_regions_teach_nothing():
    model, batch = small(), images(1)
    boxes = torch.tensor([[8.0, 8.0, 60.0, 60.0], [20.0, 20.0, 90.0, 80.0]])
    item = {"boxes": boxes, "labels": torch.tensor([1, 2])}
    some = model(batch, Targets.pack([{**item, "ignore": torch.tensor([False, True])}]))
    alone = model(batch, Targets.pack([{key: value[:1] for key, value in item.items()}]))
    torch.testing.assert_close(some, alone)


@pytest.mark.parametrize(("pixels", "cells"), [(96, 3), (100, 4), (333, 11), (801, 26)])
def test_a_cell_belongs_to_the_image_that_its_first_pixel_belongs_to(pixels: int, cells: int):
    for size in {1, 31, 32, 33, pixels // 2, pixels - 1, pixels}:
        starts = [index * pixels // cells for index in range(cells)]
        assert _cells(torch.tensor([[size]]), pixels, cells)[0].tolist() == [start < size for start in starts]


def test_padding_changes_nothing():
    """The same map on a larger canvas, whatever is in the added cells."""
    model = small().eval()
    feature = torch.randn(1, 32, 3, 4)
    size = torch.tensor([[96, 128]])
    padded = 10 * torch.randn(1, 32, 5, 6)
    padded[:, :, :3, :4] = feature
    with torch.no_grad():
        alone = model.states([feature], Images(torch.zeros(1, 3, 96, 128), size))
        found = model.states([padded], Images(torch.zeros(1, 3, 160, 192), size))
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)


def test_detections_are_the_best_queries_with_their_likeliest_class():
    model, batch = small(detections=4).eval(), images()
    with torch.no_grad():
        logits, boxes = model.heads(model.states(model.neck(model.backbone(batch.pixels)), batch)[:, -1])
        found = model.detect(batch)
    assert found.boxes.shape == (2, 4, 4)
    for image, (height, width) in enumerate(batch.sizes.tolist()):
        rows = []
        for row, box in zip(logits[image].softmax(-1), boxes[image].tolist(), strict=True):
            x, y, w, h = box
            corners = [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]
            inside = [min(max(edge, 0.0), (width, height)[index % 2]) for index, edge in enumerate(corners)]
            rows.append((float(row[:-1].max()), int(row[:-1].argmax()), inside))
        rows.sort(reverse=True)
        for slot, (score, label, box) in enumerate(rows[:4]):
            assert float(found.scores[image, slot]) == pytest.approx(score)
            assert int(found.labels[image, slot]) == label
            assert found.boxes[image, slot].tolist() == pytest.approx(box, abs=1e-3)


def test_more_detections_than_queries_are_not_asked_for():
    assert small(detections=50).eval().detect(images()).boxes.shape == (2, 7, 4)


NAMES = {
    "neck.convs.0.conv.bias": ("neck.convs.0.conv.bias", "bbox_head.input_proj.bias"),
    "queries.weight": ("query_embedding.weight", "bbox_head.query_embedding.weight"),
    "cls.weight": ("bbox_head.fc_cls.weight",),
    "reg.bias": ("bbox_head.fc_reg.bias",),
    "reg_ffn.layers.0.0.weight": ("bbox_head.reg_ffn.layers.0.0.weight",),
    "encoder.layers.3.self_attn.in_proj_weight": (
        "encoder.layers.3.self_attn.attn.in_proj_weight",
        "bbox_head.transformer.encoder.layers.3.attentions.0.attn.in_proj_weight",
        "bbox_head.transformer.encoder.layers.3.self_attn.attn.in_proj_weight",
    ),
    "decoder.layers.5.cross_attn.out_proj.bias": (
        "decoder.layers.5.cross_attn.attn.out_proj.bias",
        "bbox_head.transformer.decoder.layers.5.attentions.1.attn.out_proj.bias",
        "bbox_head.transformer.decoder.layers.5.multihead_attn.attn.out_proj.bias",
    ),
    "decoder.layers.0.ffn.layers.1.weight": (
        "decoder.layers.0.ffn.layers.1.weight",
        "bbox_head.transformer.decoder.layers.0.ffns.0.layers.1.weight",
        "bbox_head.transformer.decoder.layers.0.ffn.layers.1.weight",
    ),
    "decoder.layers.1.norms.2.weight": (
        "decoder.layers.1.norms.2.weight",
        "bbox_head.transformer.decoder.layers.1.norms.2.weight",
    ),
    "decoder.post_norm.weight": (
        "decoder.post_norm.weight",
        "bbox_head.transformer.decoder.post_norm.weight",
        "bbox_head.transformer.decoder.norm.weight",
    ),
}


@pytest.mark.parametrize("ours", NAMES)
def test_three_generations_of_names_are_known(ours: str):
    assert [rename(name, DETR.published_names) for name in NAMES[ours]] == [ours] * len(NAMES[ours])


def test_the_backbone_learns_slowly():
    recipe = detzoo.find("detr_r50_8x2_150e_coco")
    with torch.device("meta"):
        detector = detzoo.build(recipe)
    (group,) = recipe.schedule.groups
    slow = {name for name, _ in detector.trainable() if re.search(group.pattern, name)}
    assert slow == {
        f"backbone.{name}" for name, p in detector.get_submodule("backbone").named_parameters() if p.requires_grad
    }
    assert group.lr_scale == 0.1
    assert recipe.data.sizes[0] == (480, 1333)
    assert recipe.data.sizes[-1] == (800, 1333)
    assert len(recipe.data.sizes) == 11


class OnTensors(nn.Module):
    """`DETR.detect` from tensors to tensors, as a compiler takes it."""

    def __init__(self, model: DETR) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.model.detect(Images(pixels, sizes))
        return found.boxes, found.scores, found.labels


def test_it_is_exported_with_any_batch():
    model = OnTensors(small().eval())
    two = images()
    batch = torch.export.Dim("batch", min=1, max=16)
    with torch.no_grad():
        shapes = {"pixels": {0: batch}, "sizes": {0: batch}}
        program = torch.export.export(model, (two.pixels, two.sizes), dynamic_shapes=shapes).module()
        three = images(3)
        for found, expected in zip(program(three.pixels, three.sizes), model(three.pixels, three.sizes), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_it_is_compiled_in_one_piece():
    model = OnTensors(small().eval())
    batch = images()
    with torch.no_grad():
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        for found, expected in zip(compiled(*_tensors(batch)), model(*_tensors(batch)), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@compiles
def test_a_training_step_is_compiled_in_one_piece():
    model, batch, wanted = small(), images(), targets(3, 1)
    expected = model(batch, wanted)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(batch, wanted), expected, atol=1e-4, rtol=1e-4)


def _tensors(batch: Images) -> tuple[Tensor, Tensor]:
    return batch.pixels, batch.sizes
