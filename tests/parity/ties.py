"""What equality means where scores tie.

With stand-in weights deep networks saturate: thousands of scores are exactly 1 in float32, and suppression must take
equal ones in some order. The originals' order is that of an unstable sort and changes with the processor, the number of
threads and the last bit of any score, so it is no property of the method. What is one: that the recorded boxes are
an outcome of greedy suppression of our candidates under some order of equal scores.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detzoo.blocks.cascade import refined
from detzoo.blocks.roi_heads import BoxHead, RawBoxes
from detzoo.blocks.rpn import RPN, Proposals, RawRPN
from detzoo.detector import Detector
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.ops.boxes import clip, decode, pairwise_iou
from detzoo.ops.roi_align import Atlas, build_atlas
from detzoo.types import Images

Cascade = CascadeRCNN | CascadeMaskRCNN
TwoStage = FasterRCNN | MaskRCNN | Cascade

NEAR = 1e-4  # scores of one box that differ by less are equal
TIE = 1e-5  # scores that differ by less may come in either order
IOU = 1e-3  # overlaps this close to the threshold may count either way


class Candidates(NamedTuple):
    """What one image's suppression may choose from.

    Attributes:
        boxes: ``[M, 4]``.
        scores: ``[M]``.
        groups: ``[M]``; only boxes of one group suppress each other.
        certain: bool ``[M]``, whether a candidate takes part under every order of equal scores.
        reach: ``[M]``, largest coordinate before boxes were clipped to the image: what their rounding goes with.
    """

    boxes: Tensor
    scores: Tensor
    groups: Tensor
    certain: Tensor
    reach: Tensor


class Outcome(NamedTuple):
    """What suppression left of one image: ``boxes [K, 4]``, ``scores [K]``, ``groups [K]``."""

    boxes: Tensor
    scores: Tensor
    groups: Tensor


def violations(kept: Outcome, candidates: Candidates, threshold: float, limit: int, rounding: float = 0.0) -> float:
    """Share of ``kept`` (and of candidates that should be among it) at odds with greedy suppression.

    Scores may differ by ``rounding`` where that is more than the bound.

    A kept box must be a candidate, with its score; no kept box of its group may overlap it by more than the threshold;
    and a candidate that scores higher than the last kept one must be kept or overlap a kept one that scores no less.
    """
    wrong, tie = 0, max(TIE, rounding)
    found = torch.zeros(len(candidates.boxes), dtype=torch.bool)
    for box, score, group in zip(*kept, strict=True):
        near = (candidates.boxes - box).abs() <= 0.05 + 1e-4 * candidates.reach[:, None]
        same = near.all(1) & (candidates.groups == group) & ((candidates.scores - score).abs() <= max(NEAR, rounding))
        found |= same
        wrong += not same.any()
    overlap = pairwise_iou(kept.boxes, kept.boxes).fill_diagonal_(0)
    overlap *= kept.groups[:, None] == kept.groups[None, :]
    wrong += int((overlap > threshold + IOU).any(1).sum())
    full = len(kept.boxes) == limit
    floor = float(kept.scores.min()) + tie if full else 0.0
    left_out = candidates.certain & ~found & (candidates.scores > floor)
    boxes, scores, groups = (part[left_out] for part in candidates[:3])
    covered = pairwise_iou(boxes, kept.boxes) > threshold - IOU
    covered &= (groups[:, None] == kept.groups) & (kept.scores >= scores[:, None] - tie)
    wrong += int((~covered.any(1)).sum())
    return wrong / max(len(kept.boxes), 1)


def moved_anchors(rpn: RPN, raw: RawRPN, images: Images) -> Candidates:
    """Every anchor refined, grouped by level: `Candidates` of all N images, ``[N, A, ...]``."""
    logits, offsets = raw
    anchors = rpn.anchors([level.shape[-2:] for level in logits])
    scores = [level.permute(0, 2, 3, 1).flatten(1).sigmoid() for level in logits]
    moves = torch.cat([level.permute(0, 2, 3, 1).reshape(len(level), -1, 4) for level in offsets], 1)
    boxes = decode(anchors, moves, (1.0, 1.0, 1.0, 1.0))
    reach = boxes.abs().amax(-1)
    groups = torch.cat([torch.full((level.shape[1],), index) for index, level in enumerate(scores)])
    certain = torch.cat([_above_cut(level, rpn.config.candidates) for level in scores], 1)
    every = torch.cat(scores, 1)
    return Candidates(clip(boxes, images.sizes), every, groups.expand_as(every), certain, reach)


def proposal_candidates(rpn: RPN, raw: RawRPN, images: Images) -> list[Candidates]:
    """Of each image the refined anchors that have an area."""
    return [_with_area(*parts) for parts in zip(*moved_anchors(rpn, raw, images), strict=True)]


def group_of(boxes: Tensor, scores: Tensor, candidates: Candidates) -> Tensor:
    """The group ``[K]`` of the nearest candidate of about the same score, for boxes ``[K, 4]``."""
    apart = (boxes[:, None] - candidates.boxes).abs().amax(-1)
    other = (scores[:, None] - candidates.scores).abs() > 1e-4
    return candidates.groups[apart.masked_fill(other, torch.inf).argmin(1)]


def detection_candidates(
    model: Detector, images: Images, features: list[Tensor], proposals: Proposals | None
) -> list[Candidates]:
    """Every (anchor or proposal, class) pair that scores above the threshold, grouped by class."""
    if isinstance(model, RetinaNet):
        return _dense_candidates(model, images, features)
    assert isinstance(model, TwoStage)
    assert proposals is not None
    threshold = last_box_head(model).config.threshold
    boxes, scores = scored_boxes(model, images, features, proposals)
    return _pairs(boxes, scores, images, threshold, scores > threshold)


def scored_boxes(
    model: TwoStage, images: Images, features: list[Tensor], proposals: Proposals
) -> tuple[Tensor, Tensor]:
    """Boxes ``[N, P, C, 4]``, not clipped, and scores ``[N, P, C]`` of every (proposal, class) pair."""
    atlas = build_atlas(features[: model.roi_levels], model.neck.strides[: model.roi_levels])
    (logits, offsets), boxes = final_raw(model, atlas, proposals, images)
    scores = logits.softmax(-1)[..., :-1] * proposals.valid[..., None]
    boxes = decode(boxes[:, :, None], offsets, last_box_head(model).config.stds)
    return boxes.expand(*scores.shape, 4), scores


def last_box_head(model: TwoStage) -> BoxHead:
    """The box head whose settings say how results are made."""
    return model.box_heads[-1] if isinstance(model, Cascade) else model.box_head


def final_raw(model: TwoStage, atlas: Atlas, proposals: Proposals, images: Images) -> tuple[RawBoxes, Tensor]:
    """Class logits and offsets that results are made from, and the boxes ``[N, P, 4]`` that the offsets belong to."""
    if isinstance(model, Cascade):
        return refined(model.box_heads, atlas, proposals.boxes, images)
    return model.box_head(atlas, proposals.boxes), proposals.boxes


def _dense_candidates(model: RetinaNet, images: Images, features: list[Tensor]) -> list[Candidates]:
    logits, offsets = model.heads(features)
    images_, classes = len(logits[0]), len(model.classes)
    levels = [level.permute(0, 2, 3, 1).reshape(images_, -1).sigmoid() for level in logits]
    certain = torch.cat([_above_cut(level, model.head.candidates) for level in levels], 1)
    moves = torch.cat([level.permute(0, 2, 3, 1).reshape(images_, -1, 4) for level in offsets], 1)
    boxes = decode(model.anchors([level.shape[-2:] for level in logits]), moves, (1.0, 1.0, 1.0, 1.0))
    scores = torch.cat(levels, 1).view(images_, -1, classes)
    boxes = boxes[:, :, None].expand(*scores.shape, 4)
    found = _pairs(boxes, scores, images, model.head.threshold, certain.view(scores.shape))
    return [_with_area(*one) for one in found]  # a second stage keeps boxes without area, a dense head does not


def _pairs(boxes: Tensor, scores: Tensor, images: Images, threshold: float, certain: Tensor) -> list[Candidates]:
    """Candidates of each image from boxes ``[N, R, C, 4]`` and scores ``[N, R, C]``."""
    labels = torch.arange(scores.shape[2]).expand_as(scores[0])
    found = []
    for index in range(len(scores)):
        keep = scores[index] > threshold
        some = boxes[index][keep]
        clipped = clip(some[None], images.sizes[index : index + 1])[0]
        reach = some.abs().amax(-1)
        found.append(Candidates(clipped, scores[index][keep], labels[keep], certain[index][keep], reach))
    return found


def _with_area(*parts: Tensor) -> Candidates:
    """The candidates whose box has an area."""
    boxes = parts[0]
    some = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Candidates(*(part[some] for part in parts))


def _above_cut(scores: Tensor, count: int) -> Tensor:
    """Bool ``[N, A]``: clearly among the ``count`` highest of its row."""
    if scores.shape[1] <= count:
        return torch.ones_like(scores, dtype=torch.bool)
    return scores > scores.topk(count + 1, dim=1).values[:, -1:] + TIE
