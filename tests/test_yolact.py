"""YOLACT: suppression and losses against loops, and masks against whole ones that are resized."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.blocks.class_rows import moved
from detzoo.evaluate.inference import in_original_pixels
from detzoo.methods.yolact import YOLACT, Prototypes
from detzoo.ops import mask_maps
from detzoo.ops.fast_nms import fast_nms
from detzoo.ops.mask_maps import at_size
from detzoo.ops.mask_windows import MaskWindows
from detzoo.ops.rle import encode_crops, encode_dense
from detzoo.types import Targets
from tests.slow_boxes import slow_iou
from tests.tiny import CANVAS, images, targets, tiny


def yolact(**changes: Any) -> YOLACT:
    return cast(YOLACT, tiny(YOLACT, **changes))


@pytest.mark.parametrize(("best", "limit"), [(100, 200), (12, 9)])
def test_fast_suppression_is_that_of_loops(best: int, limit: int):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, 25, 2, generator=generator) * 30
    boxes = torch.cat([corners, corners + 5 + 20 * torch.rand(2, 25, 2, generator=generator)], 2)
    scores = torch.rand(2, 25, 3, generator=generator)
    found = fast_nms(boxes, scores, least=0.3, overlap=0.4, best=best, limit=limit)
    for image, (places, chances) in enumerate(zip(boxes.tolist(), scores.tolist(), strict=True)):
        expected = []
        for label in range(3):
            ranked = sorted(range(25), key=lambda box: -chances[box][label])[:best]
            for place, box in enumerate(ranked):
                before = [slow_iou(places[box], places[one]) for one in ranked[:place]]
                if chances[box][label] > 0.3 and max(before, default=0) <= 0.4:
                    expected.append((chances[box][label], box, label))
        expected = sorted(expected, reverse=True)[:limit]
        used = found.used[image]
        kept = zip(
            found.scores[image][used].tolist(),
            found.box[image][used].tolist(),
            found.labels[image][used].tolist(),
            strict=True,
        )
        assert list(kept) == expected
        assert not found.scores[image][~used].any()


def test_a_box_that_falls_still_suppresses():
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [4.0, 0.0, 14.0, 10.0], [8.0, 0.0, 18.0, 10.0]]])
    found = fast_nms(boxes, torch.tensor([[[0.9], [0.8], [0.7]]]), least=0.1, overlap=0.4, best=3, limit=3)
    assert found.used.tolist() == [[True, False, False]]


@pytest.mark.parametrize("size", [(24, 32), (23, 31), (96, 128), (7, 150)])
def test_masks_at_another_size_are_whole_ones_resized(size: tuple[int, int]):
    crowd = targets(9, 0).masks
    assert crowd is not None
    noise = MaskWindows.of(torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(3)) > 0.4)
    for masks in (crowd, noise):
        wanted = F.interpolate(masks.dense().float(), size, mode="bilinear") > 0.5
        assert torch.equal(at_size(masks, size), wanted)
        places = masks.bits, masks.starts.flatten(), masks.windows.flatten(0, 1)
        assert torch.equal(mask_maps._at_size_elsewhere(*places, *masks.canvas, *size).view_as(wanted), wanted)


def slow_mask_loss(detector: YOLACT, objects: Targets) -> float:
    """The loss of the masks, one positive at a time."""
    batch = images()
    with torch.no_grad():
        features = detector.neck(detector.backbone(batch.pixels))
        logits, _, coefficients = detector.heads(features)
        maps = detector.mask_head.protonet(features[0])
    anchors = detector.anchors([level.shape[-2:] for level in logits]).tolist()
    assert objects.masks is not None
    total, count = 0.0, 0
    for image, (height, width) in enumerate(batch.sizes.tolist()):
        boxes = objects.boxes[image][objects.valid[image]].tolist()
        whole = F.interpolate(objects.masks[image].dense()[None].float(), maps.shape[2:], mode="bilinear")[0] > 0.5
        weights = torch.cat([level[image].permute(1, 2, 0).reshape(-1, maps.shape[1]) for level in coefficients])
        overlaps = [[slow_iou(anchor, box) for box in boxes] for anchor in anchors]
        learned = {index: max(range(len(boxes)), key=row.__getitem__) for index, row in enumerate(overlaps) if boxes}
        learned = {index: slot for index, slot in learned.items() if overlaps[index][slot] >= 0.5}
        for slot in range(len(boxes)):
            learned[max(range(len(anchors)), key=lambda index: overlaps[index][slot])] = slot
        for index, slot in learned.items():
            x1, y1, x2, y2 = boxes[slot]
            error, (_, high, wide) = 0.0, maps[image].shape
            for row in range(high):
                for column in range(wide):
                    inside = x1 / width * wide - 1 <= column < x2 / width * wide + 1
                    inside &= y1 / height * high - 1 <= row < y2 / height * high + 1
                    chance = float(torch.sigmoid(weights[index] @ maps[image, :, row, column])) if inside else 0.0
                    right = chance if whole[slot, row, column] else 1 - chance
                    error += -max(math.log(right), -100.0) if right > 0 else 100.0
            total += error / (high * wide) / ((x2 - x1) / width * (y2 - y1) / height)
            count += 1
    assert count > 3
    return 6.125 * total / count


def test_losses_of_masks_are_those_taken_one_by_one():
    detector, objects = yolact(), targets(1, 1)
    with torch.no_grad():
        losses = detector(images(), objects)
    assert float(losses["loss_mask"]) == pytest.approx(slow_mask_loss(detector, objects), rel=1e-4)


def test_the_semantic_loss_is_that_of_each_class_everywhere():
    """The map of a class is one channel before its number, as published; an image without objects teaches nothing."""
    detector, objects = yolact(), targets(4, 0)
    assert objects.masks is not None
    assert detector.mask_head.segm_conv is not None
    with torch.no_grad():
        features = detector.neck(detector.backbone(images().pixels))
        found = detector.mask_head.segm_conv(features[0])
        losses = detector(images(), objects)
    shown = F.interpolate(objects.masks[0].dense()[None].float(), found.shape[2:], mode="bilinear")[0] > 0.5
    wanted = torch.zeros_like(found[0])
    for label, mask in zip(objects.labels[0].tolist(), shown, strict=True):
        wanted[label - 1][mask] = 1
    loss = F.binary_cross_entropy_with_logits(found[0], wanted, reduction="sum") / found[:, 0].numel()
    assert float(losses["loss_segm"]) == pytest.approx(float(loss), rel=1e-5)


def test_the_background_is_learned_whole_where_nothing_else_is():
    detector = yolact()
    with torch.no_grad():
        logits = detector.heads(detector.neck(detector.backbone(images(1).pixels)))[0]
        losses = detector(images(1), targets(0))
    flat = torch.cat([level.permute(0, 2, 3, 1).reshape(-1, 4) for level in logits])
    wanted = F.cross_entropy(flat, torch.full((len(flat),), 3), reduction="sum")
    assert float(losses["loss_cls"]) == pytest.approx(float(wanted), rel=1e-5)


def test_only_some_positives_learn_their_mask():
    few, all_of_them = yolact(mask_head={"most": 2}), yolact()
    assert float(few(images(), targets(3, 3))["loss_mask"].detach()) > 0
    with torch.no_grad():
        for detector in (few, all_of_them):
            detector.coefficients.weight.zero_()  # every mask is a half everywhere
    one, other = (float(detector(images(1), targets(1))["loss_mask"].detach()) for detector in (few, all_of_them))
    assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("fills", [True, False])
def test_masks_are_cut_and_resized_as_whole_maps_would_be(fills: bool):
    """In the network's input, in the file and as run lengths: what a map that spans the picture gives, box by box."""
    detector = yolact(head={"threshold": 0.0}, input={"keep_ratio": not fills}).eval()
    assert detector.fills is fills
    batch = images()
    with torch.no_grad():
        found = detector.detect(batch)
        maps = detector.mask_head.protonet(detector.neck(detector.backbone(batch.pixels))[0])
    assert found.crops is not None
    assert found.masks is not None
    high, wide = maps.shape[2:]
    for image, size in enumerate(batch.sizes.tolist()):
        one = found[image]
        assert one.crops is not None
        assert len(one) > 3
        whole = one.crops[:, 1:-1, 1:-1]
        assert whole.shape[1:] == (high, wide)
        span = size if fills else CANVAS
        for box, cells in zip(one.boxes.tolist(), whole, strict=True):
            rows, columns = cells.any(1).nonzero().flatten(), cells.any(0).nonzero().flatten()
            assert rows[0] >= box[1] / span[0] * high - 1
            assert rows[-1] < box[3] / span[0] * high + 1
            assert columns[0] >= box[0] / span[1] * wide - 1
            assert columns[-1] < box[2] / span[1] * wide + 1
        shown = (F.interpolate(whole[None], tuple(span), mode="bilinear")[0] > one.mask_threshold)[
            :, : size[0], : size[1]
        ]
        masks = one.masks
        assert masks is not None
        assert torch.equal(masks[:, : size[0], : size[1]], shown)
        if fills:
            larger = in_original_pixels(one, size, (3 * size[0] + 1, 2 * size[1]))
            assert larger.canvas is not None
            assert larger.crops is not None
            shown = F.interpolate(whole[None], larger.canvas, mode="bilinear")[0] > one.mask_threshold
            assert larger.masks is not None
            assert float((larger.masks ^ shown).float().mean()) < 1e-4
            encoded = encode_crops(larger.crops, larger.mask_boxes, larger.canvas, larger.mask_threshold)
            assert encoded == encode_dense(larger.masks)


def test_a_pixel_that_no_prototype_speaks_for_is_outside():
    detector = yolact(head={"threshold": 0.0}).eval()
    with torch.no_grad():
        for layer in detector.mask_head.protonet:
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.zero_()
        masks = detector.detect(images(1)).masks
    assert masks is not None
    assert not masks.any()


def test_views_of_a_picture_are_merged():
    detector = yolact(head={"threshold": 0.0}, input={"short": 96, "long": 128, "keep_ratio": False, "multiple": 1})
    pixels = torch.randint(256, (80, 100, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(4)).numpy()
    (alone,) = detector.predict([pixels], threshold=0.0)
    for views in ("flip", "0.5,1"):
        (merged,) = detector.predict([pixels], threshold=0.0, tta=views)
        assert merged.masks.shape == (len(merged), 80, 100)
    (same,) = detector.predict([pixels], threshold=0.0, tta="1")
    assert (same.masks == alone.masks).all()


def test_the_semantic_layer_moves_with_the_names_of_the_classes():
    """Its row of a class is the one before: classes a, b, c lie in rows 2, 0, 1."""
    old = torch.tensor([1.0, 2.0, 0.0])  # of b, c, a
    rows = Prototypes.class_rows["segm_conv"]
    taken = moved(torch.full((2,), -1.0), old, rows, (2, 3), [(0, 2)])  # a detector of c and of another
    assert cast(Tensor, taken).tolist() == [-1.0, 2.0]


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one number for each level"):
        yolact(head={"sizes": (8.0, 16.0)})
    with pytest.raises(ValueError, match=r"head\.sizes is for 1 levels"):
        yolact(head={"sizes": (8.0,), "steps": (8.0,)})
    with pytest.raises(ValueError, match="must compare offsets"):
        yolact(head={"box_loss": {"kind": "giou"}})
    with pytest.raises(ValueError, match="have no masks"):
        yolact()(images(1), Targets.pack([{"boxes": torch.ones(1, 4), "labels": torch.zeros(1)}]))
