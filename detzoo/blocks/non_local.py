"""Non-local block: Non-local Neural Networks, arXiv:1711.07971, 2017."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from detzoo.blocks.layers import Conv2d
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import full_precision


class NonLocal(nn.Module):
    """Every place adds a mean of all places of its image, by how well they match (equations 1 and 6; figure 2).

    ``x + out(g(x) softmax_keys(theta(x)^T phi(x) / sqrt(C / 2)))`` without normalization. Fresh it adds nothing. Holds
    one weight for each pair of places: of a map of 50 x 84 cells 71 MB in float32 per image.
    """

    NAME = "non_local"  # of the module in a stage's block

    class Config(BaseConfig):
        """Settings of `NonLocal`."""

        kind: Literal["non_local"] = "non_local"

        @property
        def title(self) -> str:
            """The name that papers use."""
            return "NL"

        def build(self, channels: int) -> NonLocal:
            """The block for features of ``channels``."""
            return NonLocal(channels)

    def __init__(self, channels: int) -> None:
        """Build for features of ``channels``, an even number."""
        super().__init__()
        width = channels // 2
        self.theta, self.phi, self.g = (Conv2d(channels, width, 1, bias=False) for _ in range(3))
        self.out = Conv2d(width, channels, 1, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        for layer in (self.theta, self.phi, self.g):
            nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` to the same shape."""
        queries, keys, values = (conv(x).flatten(2).mT for conv in (self.theta, self.phi, self.g))
        weights = full_precision(queries * queries.shape[-1] ** -0.5 @ keys.mT).softmax(-1).to(values.dtype)
        return x + self.out((weights @ values).mT.unflatten(2, x.shape[-2:]))
