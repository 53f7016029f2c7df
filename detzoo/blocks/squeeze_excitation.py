"""Squeeze-and-Excitation Networks, arXiv:1709.01507, 2017."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import Conv2d
from detzoo.config import Config as BaseConfig


class SqueezeExcitation(nn.Module):
    """Channels weighed by what all places together show (section 3 and figure 3).

    Two layers on the mean over places, with a ReLU between, and a gate from 0 to 1 that multiplies each channel.
    """

    NAME = "se"  # of the module in a stage's block

    class Config(BaseConfig):
        """Settings of `SqueezeExcitation`."""

        kind: Literal["squeeze_excitation"] = "squeeze_excitation"
        reduction: int = Field(default=16, ge=1)  # of channels between the layers
        # sigmoid; its line with slope 1/5 between 0 and 1; or what was found, clipped to 0 to 1
        gate: Literal["sigmoid", "line", "clip"] = "sigmoid"

        @property
        def title(self) -> str:
            """The name that papers use."""
            return "SE"

        def build(self, channels: int) -> SqueezeExcitation:
            """The block for features of ``channels``."""
            return SqueezeExcitation(self, channels)

    def __init__(self, config: SqueezeExcitation.Config, channels: int) -> None:
        """Build for features of ``channels``.

        Raises:
            ValueError: the reduction leaves no channel.
        """
        super().__init__()
        width = channels // config.reduction
        if width < 1:
            raise ValueError(f"a reduction by {config.reduction} of {channels} channels is less than one channel")
        self.gate = config.gate
        self.squeeze = Conv2d(channels, width, 1)
        self.excite = Conv2d(width, channels, 1)

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        self.squeeze.reset_parameters()
        self.excite.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` to the same shape."""
        found = self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        if self.gate == "sigmoid":
            return x * found.sigmoid()
        return x * (found * 0.2 + 0.5 if self.gate == "line" else found).clamp(0, 1)
