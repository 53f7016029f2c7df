"""Which anchors became proposals, as recorded or in another precision, given to our model.

The model moves them by its own offsets, so that their boxes have its precision, not that of the choice.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detzoo.blocks.rpn import RPN, Proposals, RawRPN
from detzoo.types import Images
from tests.parity.golden import Golden
from tests.parity.ties import Candidates, Outcome, TwoStage, moved_anchors, proposal_candidates, violations


class Choice(NamedTuple):
    """Which anchors became proposals, by falling score: their number ``index [N, P]``, and which are in use."""

    index: Tensor
    valid: Tensor


def recorded_choice(model: TwoStage, golden: Golden, raw: RawRPN, images: Images) -> tuple[Choice, float]:
    """The anchors that the recorded proposals were, and the `violations` those boxes have."""
    config = model.rpn.config
    recorded = [torch.from_numpy(golden.arrays[f"proposals.{image}"]) for image in range(len(golden.sizes))]
    candidates = proposal_candidates(model.rpn, raw, images)
    worst = max(
        violations(Outcome(one[:, :4], one[:, 4], one[:, 5]), some, config.nms, config.proposals)
        for one, some in zip(recorded, candidates, strict=True)
    )
    index = torch.zeros(len(recorded), max(len(one) for one in recorded), dtype=torch.int64)
    valid = torch.zeros(index.shape, dtype=torch.bool)
    every = moved_anchors(model.rpn, raw, images)
    for image, one in enumerate(recorded):
        index[image, : len(one)] = _nearest(one, Candidates(*(part[image] for part in every)))
        valid[image, : len(one)] = True
    return Choice(index, valid), worst


def own_choice(model: TwoStage, raw: RawRPN, images: Images) -> Choice:
    """The anchors that the model proposes by itself."""
    proposals = RPN.propose(model.rpn, raw, images, training=False)
    boxes, scores = moved_anchors(model.rpn, raw, images)[:2]
    apart = (proposals.boxes[:, :, None] - boxes[:, None]).abs().amax(-1)
    apart += (proposals.scores[:, :, None] - scores[:, None]).abs()
    return Choice(apart.argmin(-1), proposals.valid)


def propose_chosen(model: TwoStage, choice: Choice) -> None:
    """Make the model propose the chosen anchors from now on."""
    rpn = model.rpn

    @torch.no_grad()
    def propose(raw: RawRPN, images: Images, training: bool) -> Proposals:
        every = moved_anchors(rpn, raw, images)
        boxes = every.boxes.gather(1, choice.index[..., None].expand(-1, -1, 4)) * choice.valid[..., None]
        return Proposals(boxes, every.scores.gather(1, choice.index) * choice.valid, choice.valid)

    rpn.propose = propose


def propose_freely(model: TwoStage) -> None:
    """Undo `propose_chosen`."""
    del model.rpn.propose


def _nearest(recorded: Tensor, candidates: Candidates) -> Tensor:
    """The anchor ``[P]`` of the level and about the score of each of ``recorded [P, 6]`` whose box is nearest."""
    apart = (candidates.boxes - recorded[:, None, :4]).abs().amax(-1)
    other = (candidates.groups != recorded[:, 5:]) | ((candidates.scores - recorded[:, 4:5]).abs() > 1e-4)
    return apart.masked_fill(other, torch.inf).argmin(1)
