"""Networks of which training leaves parts as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class PartlyFrozen(nn.Module):
    """A network whose `frozen_parts` take no gradient and stay in evaluation."""

    norm_eval = False

    def frozen_parts(self) -> Sequence[nn.Module]:
        """The parts that are frozen; autograd keeps nothing of those that begin the network."""
        return ()

    def freeze(self, norm_eval: bool) -> None:
        """Freeze what has been built; with ``norm_eval`` all batch normalization keeps its statistics in training."""
        self.norm_eval = norm_eval
        for part in self.frozen_parts():
            part.requires_grad_(False)
        self.train()  # a new module is in training mode throughout: what stays in evaluation has to be told

    def train(self, mode: bool = True) -> Self:
        """Switch training mode; frozen parts, and with ``norm_eval`` all batch normalization, stay in evaluation."""
        super().train(mode)
        for part in self.frozen_parts():
            part.eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
