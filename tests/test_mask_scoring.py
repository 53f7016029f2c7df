"""Mask Scoring R-CNN: counting pixels of windows, what the IoU head learns, and the order of what it scores."""

from __future__ import annotations

import pytest
import torch

from detzoo.blocks.assign import RoISamples
from detzoo.blocks.roi_heads import LearnedMasks
from detzoo.methods.mask_scoring_rcnn import MaskIoUHead, MaskScoringRCNN
from detzoo.ops.mask_windows import MaskWindows
from detzoo.ops.roi_align import pixels_inside
from detzoo.types import Targets
from tests.tiny import CANVAS, images, tiny


def blobs(*shape: int) -> torch.Tensor:
    torch.manual_seed(0)
    masks = torch.rand(shape) > 0.6
    masks[0, 0, :, : shape[-1] // 2] = False
    masks[-1, -1] = False
    return masks


def test_pixels_inside_are_those_of_the_whole_mask() -> None:
    masks = blobs(2, 3, 40, 50)
    boxes = torch.rand(2, 30, 2, 2).mul(torch.tensor([54.0, 44.0])).long().clamp(max=torch.tensor([50, 40]))
    boxes = boxes.flatten(2)  # some end before they begin
    index = torch.randint(3, (2, 30))
    found = pixels_inside(MaskWindows.of(masks), boxes, index)
    for image in range(2):
        for slot, (x1, y1, x2, y2) in enumerate(boxes[image].tolist()):
            wanted = masks[image, index[image, slot], y1 : max(y1, y2), x1 : max(x1, x2)].sum()
            assert int(found[image, slot]) == int(wanted)
    assert found.sum() > 0


def test_the_wanted_iou_is_that_with_the_whole_object() -> None:
    """Each target and the loss, one RoI after the other."""
    torch.manual_seed(1)
    masks = blobs(2, 2, *CANVAS)
    objects = torch.tensor([[0.0, 0.0, 128.0, 96.0]]).expand(2, 2, 4)
    targets = Targets(
        objects, torch.zeros(2, 2).long(), torch.ones(2, 2).bool(), torch.zeros(2, 2).bool(), MaskWindows.of(masks)
    )
    boxes = torch.tensor([[[3.7, 5.2, 60.9, 70.1], [-4.0, 20.0, 20.5, 200.0], [50.3, 50.0, 50.6, 50.2]]]).repeat(
        2, 1, 1
    )
    slot = torch.tensor([[0, 1, 0], [1, 0, 0]])
    positive = torch.tensor([[True, True, True], [True, True, False]])
    logits, wanted = torch.randn(2, 3, 4, 4), (torch.rand(2, 3, 4, 4) > 0.4).float()
    logits[0, 1] = -1.0  # nothing drawn: nothing to learn
    head = MaskIoUHead(MaskIoUHead.Config(channels=8, convs=1, fcs=0, threshold=0.2), 8, 2, 3)
    pooled, labels = torch.randn(6, 8, 2, 2), torch.tensor([[0, 1, 2], [2, 1, 0]])
    learned = LearnedMasks(pooled, logits, wanted, positive)
    samples = RoISamples(boxes, positive, positive, slot, labels, positive)
    errors = []
    predicted = head(pooled, logits.sigmoid(), labels)
    for image in range(2):
        for roi in range(3):
            x1, y1, x2, y2 = boxes[image, roi].long().tolist()
            x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, 128), min(y2, 96)
            mask = masks[image, slot[image, roi]]
            inside = float(mask[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)].sum()) / max(float(mask.sum()), 1e-7)
            drawn, there = logits[image, roi] > 0.2, wanted[image, roi].bool()
            common = float((drawn & there).sum())
            iou = common / (float(drawn.sum()) + float(there.sum()) / (inside + 1e-7) - common)
            if positive[image, roi] and iou > 0:
                errors.append((float(predicted[image, roi].detach()) - iou) ** 2)
    assert 2 <= len(errors) < 5
    loss = head.losses(learned, samples, targets)["loss_mask_iou"]
    assert float(loss.detach()) == pytest.approx(0.5 * sum(errors) / len(errors), rel=1e-5)


def test_detections_are_scored_and_ranked_with_the_quality_of_their_masks() -> None:
    detector = tiny(MaskScoringRCNN, box_head={"threshold": 0.0}).eval()
    assert isinstance(detector, MaskScoringRCNN)
    head = detector.mask_iou_head
    torch.nn.init.normal_(head.fc_mask_iou.weight)
    with torch.no_grad():
        found = detector.detect(images())
        torch.nn.init.zeros_(head.fc_mask_iou.weight)
        torch.nn.init.ones_(head.fc_mask_iou.bias)
        plain = detector.detect(images())
    assert bool((found.scores.diff(dim=1) <= 0).all())
    assert found.crops is not None
    assert plain.crops is not None
    for image in range(2):
        for slot in range(found.scores.shape[1]):  # each is one of the unscored, with the mask that was drawn for it
            same = (plain.boxes[image] == found.boxes[image, slot]).all(-1)
            same &= plain.labels[image] == found.labels[image, slot]
            assert int(same.sum()) == 1
            assert torch.equal(plain.crops[image][same][0], found.crops[image, slot])
    assert not torch.equal(plain.boxes, found.boxes)
