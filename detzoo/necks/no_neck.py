"""No neck: heads look at the backbone's maps as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from detzoo.config import Config as BaseConfig


class NoNeck(nn.Module):
    """What stands in a pyramid's place where there is none, as on C4 or on a dilated C5.

    Attributes:
        channels: of each map, the backbone's.
        strides: input pixels per cell of each map, the backbone's.
    """

    class Config(BaseConfig):
        """Settings of `NoNeck`: only its name."""

        kind: Literal["none"] = "none"

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> NoNeck:
            """The neck for a backbone that returns maps of these ``channels`` and ``strides``."""
            return NoNeck(channels, strides)

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.channels, self.strides = tuple(channels), tuple(strides)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The maps ``[N, C_i, H_i, W_i]`` that it is given."""
        return list(features)
