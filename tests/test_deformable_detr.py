"""Deformable DETR: where its layers look, what refinement and two stages do, its losses one by one, padding."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

import detzoo
from detzoo.blocks.deform_transformer import DeformTransformerConfig
from detzoo.blocks.set_prediction import focal_costs
from detzoo.methods.deformable_detr import DeformableDETR
from detzoo.ops.boxes import from_centres, giou, to_centres
from detzoo.ops.focal import focal_losses
from detzoo.train.heads import load_matching
from detzoo.types import Images, Targets
from tests.tiny import CLASSES, images, targets


def small(**changes: Any) -> DeformableDETR:
    part = DeformTransformerConfig(layers=2, heads=2, hidden=32, dropout=0.0)
    config = DeformableDETR.Config().replace(encoder=part, decoder=part, queries=7, detections=9)
    torch.manual_seed(0)
    neck, backbone = config.neck.replace(out_channels=32, norm=None), config.backbone.replace(depth=18)
    return DeformableDETR(config.replace(backbone=backbone, neck=neck, **changes), CLASSES)


def moving(model: DeformableDETR) -> DeformableDETR:
    """With heads that say something, as trained ones do."""
    for name, part in model.named_modules():
        if isinstance(part, nn.Linear) and re.match(r"cls\.\d+$|reg\.\d+\.4$", name):
            nn.init.normal_(part.weight, std=0.3)
    return model


def said(model: DeformableDETR, batch: Images) -> Any:
    return model.heads(model.neck(model.backbone(batch.pixels)), batch)


def test_a_fresh_model_looks_around_and_moves_nothing() -> None:
    model = small(refine=True).eval()
    attention = model.encoder.get_submodule("layers.0.self_attn")
    ways = attention.sampling_offsets.bias.view(2, 4, 4, 2)  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    assert torch.allclose(ways[0, :, 2], torch.tensor([3.0, 0.0]), atol=1e-6)
    assert torch.allclose(ways[1, :, 0], torch.tensor([-1.0, 0.0]), atol=1e-6)
    with torch.no_grad():
        boxes = said(model, images())[0].boxes
        begin = model.reference_points_fc(model.queries.weight[:, :32]).sigmoid()
    assert torch.allclose(boxes[:, :, :, :2], begin.expand(2, 2, -1, -1), atol=1e-5)
    small_size = torch.tensor(-2.0).sigmoid()
    assert torch.allclose(boxes[..., 2:], small_size.expand_as(boxes[..., 2:]), atol=1e-5)


def test_only_refined_layers_go_on_from_the_one_before() -> None:
    for refine in (False, True):
        model = moving(small(refine=refine)).eval()
        assert len({id(head) for head in model.cls}) == (2 if refine else 1)
        last: Any = model.reg[1]
        nn.init.zeros_(last[-1].weight)
        nn.init.zeros_(last[-1].bias)
        with torch.no_grad():
            boxes = said(model, images())[0].boxes
        if refine:
            assert torch.allclose(boxes[:, 1], boxes[:, 0], atol=1e-5)
        else:
            begin = model.reference_points_fc(model.queries.weight[:, :32]).sigmoid()
            assert torch.allclose(boxes[:, 1, :, :2], begin.expand(2, -1, -1), atol=1e-5)


def test_two_stages_begin_at_the_best_cells() -> None:
    model = small(refine=True, two_stage=True).eval()
    nn.init.normal_(model.cls[-1].weight, std=1.0)  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        decoded, cells = said(model, images())
    # fresh heads move nothing: proposals are squares around the middles of cells, twice as large on the next level
    assert cells.boxes.shape == (2, 1, 12 * 16 + 6 * 8 + 3 * 4 + 2 * 2, 4)
    assert torch.allclose(cells.boxes[0, 0, 17], torch.tensor([1.5 / 16, 1.5 / 12, 0.05, 0.05]), atol=1e-5)
    assert torch.allclose(cells.boxes[0, 0, 12 * 16], torch.tensor([0.5 / 8, 0.5 / 6, 0.1, 0.1]), atol=1e-5)
    # 80 rows of 96: the image's ten rows of cells, of which the middle of the last is at 9.5 / 10
    assert torch.allclose(cells.boxes[1, 0, 9 * 16, 1], torch.tensor(0.95), atol=1e-5)
    assert torch.equal(cells.boxes[1, 0, 10 * 16], torch.ones(4))  # a cell beyond the image
    best = cells.logits[:, 0, :, 0].topk(7, dim=1).indices
    for image in range(2):
        assert torch.allclose(decoded.boxes[image, -1], cells.boxes[image, 0, best[image]], atol=1e-4)


def test_costs_of_classes_are_what_the_focal_loss_changes_by() -> None:
    logits, labels = torch.randn(2, 3, 5, 4, dtype=torch.float64), torch.tensor([[0, 3], [2, 2]])
    found = focal_costs(logits, labels)
    for image, layer, query, slot in np.ndindex(2, 3, 5, 2):
        one = logits[image, layer, query, labels[image, slot]].view(1, 1)
        here, none = (focal_losses(one, torch.tensor([label]), torch.ones(1)) for label in (0, 1))
        assert float(found[image, layer, query, slot]) == pytest.approx(float(here - none))


def slow_losses(said: Any, batch: Images, wanted: Targets) -> tuple[float, float, float]:
    """Of one layer: one image and query at a time."""
    logits, boxes = said.logits[:, -1], said.boxes[:, -1]
    classes = apart = unlike = 0.0
    count = 0
    for image in range(len(logits)):
        height, width = batch.sizes[image].tolist()
        scale = torch.tensor([width, height, width, height])
        keep = wanted.valid[image]
        objects, labels = wanted.boxes[image][keep], wanted.labels[image][keep]
        parts, pixels = to_centres(objects) / scale, from_centres(boxes[image]) * scale
        of_classes = focal_costs(logits[image][None, None], labels[None])[0, 0]
        cost = 2 * of_classes + 5 * torch.cdist(boxes[image], parts, p=1) - 2 * giou(pixels[:, None], objects)
        pairs = dict(zip(*(part.tolist() for part in linear_sum_assignment(cost.numpy())), strict=True))
        for query in range(len(pixels)):
            slot = pairs.get(query)
            label = len(CLASSES) if slot is None else int(labels[slot])
            classes += float(focal_losses(logits[image, query], torch.tensor(label), torch.tensor(1.0)))
            if slot is not None:
                apart += float((boxes[image, query] - parts[slot]).abs().sum())
                unlike += 1 - float(giou(pixels[query], objects[slot]))
        count += len(pairs)
    return 2 * classes / max(count, 1), 5 * apart / max(count, 1), 2 * unlike / max(count, 1)


@pytest.mark.parametrize("counts", [(3, 2), (0, 0), (9, 1)], ids=["some", "none", "crowded"])
def test_losses_are_those_of_the_matching(counts: tuple[int, int]) -> None:
    model, batch, wanted = moving(small(refine=True, two_stage=True)), images(), targets(*counts)
    with torch.no_grad():
        found = model(batch, wanted)
        decoded, cells = said(model, batch)
    any_object = Targets.pack(
        [
            {"boxes": boxes[valid], "labels": torch.zeros(int(valid.sum()), dtype=torch.int64)}
            for boxes, valid in zip(wanted.boxes, wanted.valid, strict=True)
        ]
    )
    for prefix, one, objects in (("", decoded, wanted), ("enc_", cells, any_object)):
        names = [f"{prefix}loss_{kind}" for kind in ("cls", "bbox", "iou")]
        assert [float(found[name]) for name in names] == pytest.approx(slow_losses(one, batch, objects), rel=1e-4)
    assert len(found) == 9


def test_padding_changes_nothing() -> None:
    """The same maps on a larger canvas, whatever is in the added cells."""
    model = moving(small(refine=True, two_stage=True)).eval()
    shapes, size = [(12, 16), (6, 8), (3, 4), (2, 2)], torch.tensor([[96, 128]])
    features = [torch.randn(1, 32, *shape) for shape in shapes]
    padded = [10 * torch.randn(1, 32, 2 * height, 2 * width) for height, width in shapes]
    for one, other in zip(padded, features, strict=True):
        one[:, :, : other.shape[2], : other.shape[3]] = other
    with torch.no_grad():
        alone, _ = model.heads(features, Images(torch.zeros(1, 3, 96, 128), size))
        found, _ = model.heads(padded, Images(torch.zeros(1, 3, 192, 256), size))
    torch.testing.assert_close(found, alone, atol=1e-4, rtol=1e-4)


def test_detections_are_the_best_pairs_of_query_and_class() -> None:
    model, batch = moving(small()).eval(), images()
    with torch.no_grad():
        logits, boxes = (part[:, -1] for part in said(model, batch)[0])
        found = model.detect(batch)
    scores, index = logits[1].sigmoid().flatten().sort(descending=True)
    torch.testing.assert_close(found.scores[1], scores[:9])
    assert found.labels[1].tolist() == (index[:9] % 3).tolist()
    wanted = from_centres(boxes[1][index[:9] // 3]) * torch.tensor([100.0, 80.0, 100.0, 80.0])
    torch.testing.assert_close(found.boxes[1], wanted.clamp(min=0).minimum(torch.tensor([100.0, 80.0, 100.0, 80.0])))


def test_what_says_where_to_look_learns_slowly() -> None:
    recipe = detzoo.find("deformable_detr_r50_16x2_50e_coco")
    with torch.device("meta"):
        names = [name for name, _ in detzoo.build(recipe).trainable()]
    slow = {name for name in names for group in recipe.schedule.groups if re.search(group.pattern, name)}
    assert {name.rpartition(".")[0] for name in slow if not name.startswith("backbone.")} == {
        "reference_points_fc",
        *(f"encoder.layers.{index}.self_attn.sampling_offsets" for index in range(6)),
        *(f"decoder.layers.{index}.cross_attn.sampling_offsets" for index in range(6)),
    }
    assert math.prod(group.lr_scale for group in recipe.schedule.groups) == pytest.approx(1e-3)


def test_what_the_encoder_says_of_any_object_goes_along_with_other_classes() -> None:
    source, other = small(refine=True, two_stage=True), small(refine=True, two_stage=True)
    classes = tuple(reversed(CLASSES))
    load_matching(other, source.state_dict(), classes, CLASSES)
    first, last = source.cls[0].get_parameter("weight"), source.cls[-1].get_parameter("weight")
    assert torch.equal(other.cls[0].get_parameter("weight"), first.flip(0))
    assert torch.equal(other.cls[-1].get_parameter("weight"), last)
