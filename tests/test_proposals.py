"""What every region proposal network proposes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from detzoo.blocks.cascade_rpn import CascadeRPN
from detzoo.blocks.guided_rpn import GuidedRPN
from detzoo.blocks.rpn import RPN
from detzoo.types import Images


@pytest.mark.parametrize("kind", [RPN, GuidedRPN, CascadeRPN])
def test_proposals_keep_nothing_for_the_backward_pass(kind: type[RPN | GuidedRPN | CascadeRPN]) -> None:
    torch.manual_seed(0)
    rpn = kind.Config(channels=8).build((4, 4, 4, 4, 4), (4, 8, 16, 32, 64))
    images = Images(torch.zeros(2, 3, 64, 64), torch.tensor([[64, 64], [50, 60]]))
    features = [torch.randn(2, 4, 64 // stride, 64 // stride) for stride in (4, 8, 16, 32, 64)]
    raw = rpn(features, images.sizes)
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        proposals = rpn.propose(raw, images, training=True)  # pyright: ignore[reportArgumentType]
    assert not kept
    assert not proposals.scores.requires_grad
    assert proposals.valid.any()


def test_a_level_without_proposals_may_propose_an_empty_box() -> None:
    """Of score 0.5, which ranks it among those of other levels."""
    images = Images(torch.zeros(1, 3, 64, 64), torch.tensor([[64, 64]]))
    logits = [torch.linspace(-2, 2, 48).view(1, 3, 4, 4), torch.full((1, 3, 2, 2), 3.0)]
    offsets = [torch.zeros(1, 12, 4, 4), torch.full((1, 12, 2, 2), -9.0)]  # the second level's boxes shrink to nothing
    found = {}
    for one in (False, True):
        rpn = RPN.Config(channels=8, min_size=1.0, shrink_bound=False, one_of_each=one).build((4, 4), (16, 32))
        found[one] = rpn.propose((logits, offsets), images, training=False)
    empty = found[True].valid[0] & (found[True].boxes[0] == 0).all(-1)
    assert found[True].scores[0, empty].tolist() == [0.5]
    assert int(found[True].valid.sum()) == int(found[False].valid.sum()) + 1
    assert found[True].scores[0, found[True].valid[0] & ~empty].equal(found[False].scores[found[False].valid])
    assert 0 < int(empty.nonzero()) < int(found[True].valid.sum()) - 1
