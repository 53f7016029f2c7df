"""The original's choice among proposals of equal score, found again from what followed from it.

Needed once, when a case is imported: where scores tie, the order is that of an unstable sort and changes with the
processor, and the recording does not include it. But it holds a few outputs of the second stage for every proposal, in
order. So every anchor that might have been chosen goes through the second stage, and the one that gives the recorded
numbers is the one that was. It is stored with the case, and `ties` checks on every run that it is a possible outcome.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detzoo.blocks.rpn import RPN, Proposals, RawRPN
from detzoo.ops.boxes import pairwise_iou
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Images
from tests.parity import standin
from tests.parity.golden import Golden, thin_index
from tests.parity.ties import TIE, Candidates, Cascade, TwoStage, final_raw, proposal_candidates

NEAR = 2e-2  # share of the largest: recorded numbers this far are no proposal's; the rung `raw` asks for more
SAME = 1e-5  # numbers of one box, which differ in rounding only
CHUNK = 512  # RoIs at once


@torch.no_grad()
def recovered_proposals(model: TwoStage, golden: Golden) -> list[np.ndarray]:
    """Of each image ``[P, 6]``: box, score and level. Leaves the model in double precision.

    Raises:
        RuntimeError: no candidate gives what was recorded for some proposal.
    """
    images = standin.images(golden.canvas, golden.sizes)
    images = dataclasses.replace(images, pixels=images.pixels.double())
    model.double()
    features = model.neck(model.backbone(images.pixels))
    raw = model.rpn(features)
    every = proposal_candidates(model.rpn, raw, images)
    candidates = [_possible(some, least) for some, least in zip(every, _least(model.rpn, raw), strict=True)]
    rows = [_second_stage(model, features, images, index, some) for index, some in enumerate(candidates)]
    if isinstance(model, Cascade):
        gaps = [_gaps(golden, [f"raw.0.{part}.{index}" for part in range(2)], some) for index, some in enumerate(rows)]
    else:
        both = [_gaps(golden, ["raw.0.0", "raw.0.1"], some) for some in rows]
        first = _count_of_first(*(some.min(1) for some in both))
        gaps = [both[0][:first], both[1][first:]]
    return [chosen(some, which, model.rpn.config.nms) for some, which in zip(candidates, gaps, strict=True)]


def _least(rpn: RPN, raw: RawRPN) -> Tensor:
    """``[N, L]``: the least score of each image and level that enters suppression."""
    scores = [level.flatten(1).sigmoid() for level in raw[0]]
    limits = [min(rpn.config.candidates, level.shape[1]) for level in scores]
    return torch.stack([level.topk(limit).values[:, -1] for level, limit in zip(scores, limits, strict=True)], 1)


def _possible(candidates: Candidates, least: Tensor) -> Candidates:
    """Those that may have entered suppression, which with a tie are many."""
    keep = candidates.scores >= least[candidates.groups] - TIE
    return Candidates(*(part[keep] for part in candidates))


def _second_stage(
    model: TwoStage, features: Sequence[Tensor], images: Images, index: int, candidates: Candidates
) -> tuple[np.ndarray, np.ndarray]:
    """Class logits ``[M, C + 1]`` and offsets ``[M, 4 or 4 C]`` of all candidates of image ``index``."""
    one = slice(index, index + 1)
    levels = [level[one] for level in features[: model.roi_levels]]
    atlas = build_atlas(levels, model.neck.strides[: model.roi_levels])
    image = Images(images.pixels[one], images.sizes[one])
    parts = []
    for boxes, scores in zip(candidates.boxes.split(CHUNK), candidates.scores.split(CHUNK), strict=True):
        proposals = Proposals(boxes[None], scores[None], torch.ones_like(scores[None], dtype=torch.bool))
        (logits, offsets), _ = final_raw(model, atlas, proposals, image)
        parts.append((logits[0].numpy(), offsets[0].flatten(1).numpy()))
    logits, offsets = (np.concatenate(part) for part in zip(*parts, strict=True))
    return logits, offsets


def _gaps(golden: Golden, names: Sequence[str], rows: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """``[P, M]``: how far the recorded numbers of each proposal are from those of each candidate, at most."""
    count = golden.stats[names[0]]["shape"][0]
    gaps = np.zeros((count, len(rows[0])))
    for name, ours in zip(names, rows, strict=True):
        recorded, largest = golden.arrays[name], golden.stats[name]["absmax"]
        place, column = np.divmod(thin_index(count * ours.shape[1]), ours.shape[1])
        for position in range(count):
            here = place == position
            difference = np.abs(ours[:, column[here]] - recorded[here]) / largest
            gaps[position] = np.maximum(gaps[position], difference.max(1, initial=0))
    return gaps


def _count_of_first(first: np.ndarray, second: np.ndarray) -> int:
    """Where the proposals of the second image begin, from how well each fits either image."""
    costs = [first[:place].sum() + second[place:].sum() for place in range(len(first) + 1)]
    return int(np.argmin(costs))


def chosen(candidates: Candidates, gaps: np.ndarray, threshold: float) -> np.ndarray:
    """The candidate of each place, in the order of the places, which is that of falling scores.

    Candidates of several levels with one box give the same numbers. Of those that no earlier choice suppresses and
    whose score lies between those of the places around, the nearest come first, of these the best score. But one that
    is certain to enter suppression has to be kept: it comes first where scores tie, and where no other place is left.
    """
    nearest = gaps.min(1)
    if (nearest > NEAR).any():
        raise RuntimeError(f"proposal {nearest.argmax()} of {len(gaps)} is like no candidate: {nearest.max():.3g}")
    near = torch.from_numpy(gaps)
    scores = candidates.scores
    alike = near <= near.amin(1, keepdim=True) + SAME
    floors = scores.expand_as(near).masked_fill(~alike, torch.inf).amin(1)
    floors = floors.flip(0).cummax(0).values.flip(0)  # no place has a lower score than one after it
    free = torch.ones(len(scores), dtype=torch.bool)
    found: list[int] = []
    for place, (row, floor) in enumerate(zip(near, floors, strict=True)):
        ceiling = scores[found[-1]] if found else torch.inf
        fits = (row <= NEAR) & free & (scores >= floor - TIE) & (scores <= ceiling + TIE)
        fits = fits if fits.any() else row <= row.min() + SAME
        like = fits & (row <= row[fits].min() + SAME)
        due, places = like & candidates.certain, (alike[place:] & like).any(1)
        if due.any() and len(candidates.groups[due].unique()) >= places.sum():
            like = due
        tied = like & (scores >= scores[like].max() - TIE)
        rank = scores.double() + 1.0 * candidates.certain
        best = int(rank.masked_fill(~tied, -1.0).argmax())
        overlap = pairwise_iou(candidates.boxes[best : best + 1], candidates.boxes)[0]
        free &= (overlap <= threshold) | (candidates.groups != candidates.groups[best])
        found.append(best)
    parts = (candidates.boxes, candidates.scores[:, None], candidates.groups[:, None])
    return torch.cat([part.float() for part in parts], 1)[found].numpy()
