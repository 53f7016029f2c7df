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
