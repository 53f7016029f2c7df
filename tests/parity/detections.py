"""Final results against recorded ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detzoo.detector import Detector
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.rpn import RPNDetector
from detzoo.ops.boxes import pairwise_iou
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Detections, Images
from tests.parity import standin
from tests.parity.golden import KEPT, Golden
from tests.parity.ties import (
    NEAR,
    Outcome,
    TwoStage,
    detection_candidates,
    group_of,
    last_box_head,
    proposal_candidates,
    violations,
)

Pairs = dict[int, np.ndarray]


def detect(model: Detector, images: Images, golden: Golden) -> Detections:
    """Detections of the recorded images, of the stand-in proposals where a method takes them."""
    if isinstance(model, FastRCNN):
        return model.detect(images, proposals=[standin.proposals(i, *size) for i, size in enumerate(golden.sizes)])
    return model.detect(images)


def close_pairs(golden: Golden, found: Detections, rounding: float = 0.0) -> tuple[Pairs, int]:
    """Recorded and our detections that agree, and how many there are of whichever side has more.

    Paired greedily by class and overlap, the best recorded score first. Scores may differ by ``rounding`` where
    that is more than the bound.

    Returns:
        Per image ``[M, 2]``, the number of a recorded detection and that of ours; and the total.
    """
    total, pairs = 0, {}
    for image in range(len(golden.sizes)):
        boxes, scores, labels = _recorded(golden, image)
        ours = found[image]
        overlap = pairwise_iou(boxes, ours.boxes).masked_fill(labels[:, None] != ours.labels, -1.0)
        some = []
        for index, box in enumerate(boxes):
            best = int(overlap[index].argmax()) if len(ours) else -1
            if best < 0 or overlap[index, best] < 0:
                continue
            overlap[:, best] = -1.0
            near = (ours.boxes[best] - box).abs() <= 0.05 + 1e-4 * box.abs()
            if near.all() and abs(float(ours.scores[best] - scores[index])) <= max(NEAR, rounding):
                some.append((index, best))
        pairs[image] = np.array(some, dtype=np.int64).reshape(-1, 2)
        total += max(len(boxes), min(len(ours), KEPT))
    return pairs, total


def tied_detections(
    model: Detector, golden: Golden, images: Images, features: Sequence[Tensor], found: Detections, rounding: float
) -> float:
    """The largest `violations` of an image, of the recorded detections and of ours."""
    if isinstance(model, RPNDetector):
        return _tied_proposals(model, golden, images, features, found)
    if isinstance(model, RetinaNet):
        proposals, settings = None, model.head
    else:
        assert isinstance(model, TwoStage)
        proposals, settings = model.rpn.propose(model.rpn(features), images, False), last_box_head(model).config
    worst = 0.0
    for image, candidates in enumerate(detection_candidates(model, images, list(features), proposals)):
        one = found[image]
        for outcome in (Outcome(*_recorded(golden, image)), Outcome(one.boxes, one.scores, one.labels)):
            worst = max(worst, violations(outcome, candidates, settings.nms, settings.detections, rounding))
    return worst


def _tied_proposals(
    model: RPNDetector, golden: Golden, images: Images, features: Sequence[Tensor], found: Detections
) -> float:
    """`tied_detections` where suppression is by level, which neither the recorded boxes nor ours say."""
    config = model.rpn.config
    worst = 0.0
    for image, candidates in enumerate(proposal_candidates(model.rpn, model.rpn(features), images)):
        one = found[image]
        for boxes, scores in (_recorded(golden, image)[:2], (one.boxes, one.scores)):
            outcome = Outcome(boxes, scores, group_of(boxes, scores, candidates))
            worst = max(worst, violations(outcome, candidates, config.nms, config.proposals))
    return worst


def mask_differences(
    model: Detector, golden: Golden, features: Sequence[Tensor], found: Detections, pairs: Pairs
) -> dict[str, float]:
    """Share of differing pixels of each recorded mask: against our detection's, or without ``pairs`` the mask that we
    give the recorded box.

    Boxes without area are left out: the original gives them a line of pixels (a division by zero that it replaces by
    the middle of the crop), detzoo an empty mask.
    """
    differences = {}
    for image, (height, width) in enumerate(golden.sizes):
        shape = golden.arrays[f"pred.{image}.masks_shape"]
        bits = np.unpackbits(golden.arrays[f"pred.{image}.masks"], count=int(np.prod(shape)))
        wanted = bits.reshape(shape).astype(bool)
        ours = found[image].masks if pairs else _masks_of_recorded(model, golden, features, image)
        assert ours is not None
        boxes = golden.arrays[f"pred.{image}.boxes"]
        for theirs, index in pairs[image] if pairs else ((number, number) for number in range(len(wanted))):
            if theirs < len(wanted) and (boxes[theirs, 2:] > boxes[theirs, :2]).all():
                mask = ours[index, :height, :width].numpy()
                either = max((wanted[theirs] | mask).sum(), 1)
                differences[f"pred.{image}.masks.{theirs}"] = float((wanted[theirs] ^ mask).sum() / either)
    return differences


def _masks_of_recorded(model: Detector, golden: Golden, features: Sequence[Tensor], image: int) -> Tensor | None:
    assert isinstance(model, MaskRCNN | CascadeMaskRCNN)
    levels = [level[image : image + 1] for level in features[: model.roi_levels]]
    atlas = build_atlas(levels, model.neck.strides[: model.roi_levels])
    boxes, scores, labels = (part[None] for part in _recorded(golden, image))
    crops = model.crops(atlas, boxes, labels)
    valid = torch.ones_like(labels, dtype=torch.bool)
    return Detections(boxes, scores, labels, valid, crops=crops, canvas=golden.canvas)[0].masks


def _recorded(golden: Golden, image: int) -> tuple[Tensor, Tensor, Tensor]:
    boxes, scores, labels = (golden.arrays[f"pred.{image}.{part}"] for part in ("boxes", "scores", "labels"))
    return torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(labels)
