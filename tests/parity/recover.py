"""The original's choice among proposals of equal score, found again from what followed from it.

Needed once, when a case is imported: where scores tie, the order is that of an unstable sort and changes with the
processor, and the recording does not include it. But it holds a few outputs of the second stage for every proposal, in
order. So every anchor that might have been chosen goes through the second stage, and the one that gives the recorded
numbers is the one that was. It is stored with the case, and `ties` checks on every run that it is a possible outcome.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detzoo.blocks.rpn import Proposals
from detzoo.ops.roi_align import build_atlas
from detzoo.types import Images
from tests.parity import standin
from tests.parity.golden import Golden, thin_index
from tests.parity.ties import TIE, Candidates, Cascade, TwoStage, final_raw, proposal_candidates

NEAR = 2e-3  # how far a recorded number may be from that of its proposal, as a share of the largest
CHUNK = 512  # RoIs at once


@torch.no_grad()
def recovered_proposals(model: TwoStage, golden: Golden) -> list[np.ndarray]:
    """Of each image ``[P, 6]``: box, score and level.

    Raises:
        RuntimeError: no candidate gives what was recorded for some proposal.
    """
    images = standin.images(golden.canvas, golden.sizes)
    features = model.neck(model.backbone(images.pixels))
    raw = model.rpn(features)
    candidates = [_possible(some, model.rpn.config.candidates) for some in proposal_candidates(model.rpn, raw, images)]
    rows = [_second_stage(model, features, images, index, some) for index, some in enumerate(candidates)]
    if isinstance(model, Cascade):
        gaps = [_gaps(golden, [f"raw.0.{part}.{index}" for part in range(2)], some) for index, some in enumerate(rows)]
    else:
        both = [_gaps(golden, ["raw.0.0", "raw.0.1"], some) for some in rows]
        first = _count_of_first(*(some.min(1) for some in both))
        gaps = [both[0][:first], both[1][first:]]
    return [_chosen(some, which) for some, which in zip(candidates, gaps, strict=True)]


def _possible(candidates: Candidates, limit: int) -> Candidates:
    """Those that may have entered suppression: with a tie, more than ``limit`` of a level."""
    keep = torch.zeros_like(candidates.certain)
    for level in candidates.groups.unique():
        here = candidates.groups == level
        scores = candidates.scores[here]
        keep[here] = scores >= scores.topk(min(limit, len(scores))).values[-1] - TIE
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


def _chosen(candidates: Candidates, gaps: np.ndarray) -> np.ndarray:
    best = gaps.argmin(1)
    worst = gaps[np.arange(len(best)), best]
    if (worst > NEAR).any():
        raise RuntimeError(f"proposal {worst.argmax()} of {len(best)} is like no candidate: {worst.max():.3g}")
    # candidates with the very same box give the same numbers: the score tells which one it was, as they fall
    same = gaps <= worst[:, None] + 1e-5
    scores = candidates.scores.numpy()
    index = np.array([np.flatnonzero(row)[scores[row].argmax()] for row in same])
    parts = (candidates.boxes, candidates.scores[:, None], candidates.groups[:, None])
    return torch.cat([part.float() for part in parts], 1)[torch.from_numpy(index)].numpy()
