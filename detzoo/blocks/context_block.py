"""Global context block.

GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond, arXiv:1904.11492, 2019, section 3.3: one
attention map for all places of an image, since what a place attends to hardly depends on where it is.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.layers import Conv2d
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import full_precision


class ContextBlock(nn.Module):
    """Features of all places, pooled with learned weights and transformed, come to every place (figure 4 d).

    Parameters are named as MMDetection names them. Fresh it adds nothing, or halves what it is given where it
    multiplies. Costs one number per place and no map of the input's size but the result.
    """

    NAME = "context_block"  # of the module in a stage's block, as published weights have it

    class Config(BaseConfig):
        """Settings of `ContextBlock`."""

        kind: Literal["context"] = "context"
        ratio: float = Field(default=1 / 16, gt=0, le=1)  # of the transform's channels to the input's; papers: r16
        pooling: Literal["attention", "average"] = "attention"
        fusion: tuple[Literal["add", "multiply"], ...] = Field(default=("add",), min_length=1, max_length=2)

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``GC-r16``."""
            return f"GC-r{1 / self.ratio:g}"

        def build(self, channels: int) -> ContextBlock:
            """The block for features of ``channels``."""
            return ContextBlock(self, channels)

    def __init__(self, config: ContextBlock.Config, channels: int) -> None:
        """Build for features of ``channels``.

        Raises:
            ValueError: the ratio leaves no channel.
        """
        super().__init__()
        width = int(channels * config.ratio)
        if width < 1:
            raise ValueError(f"ratio {config.ratio:g} of {channels} channels is less than one channel")
        self.conv_mask = Conv2d(channels, 1, 1) if config.pooling == "attention" else None
        self.channel_add_conv = _transform(channels, width) if "add" in config.fusion else None
        self.channel_mul_conv = _transform(channels, width) if "multiply" in config.fusion else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
        if self.conv_mask is not None:
            nn.init.kaiming_normal_(self.conv_mask.weight, mode="fan_in", nonlinearity="relu")
            nn.init.zeros_(self.conv_mask.get_parameter("bias"))
        for transform in (self.channel_add_conv, self.channel_mul_conv):
            if transform is not None:
                nn.init.zeros_(transform[-1].get_parameter("weight"))
                nn.init.zeros_(transform[-1].get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` to the same shape."""
        if self.conv_mask is None:
            context = x.mean((2, 3), keepdim=True)
        else:
            weights = full_precision(self.conv_mask(x).flatten(2)).softmax(-1).to(x.dtype)
            context = (x.flatten(2) @ weights.mT).unsqueeze(-1)
        result = x
        if self.channel_mul_conv is not None:
            result = result * self.channel_mul_conv(context).sigmoid()
        if self.channel_add_conv is not None:
            result = result + self.channel_add_conv(context)
        return result


def _transform(channels: int, width: int) -> nn.Sequential:
    """``[N, channels, 1, 1]`` through ``width`` channels and back."""
    return nn.Sequential(
        Conv2d(channels, width, 1),
        nn.LayerNorm([width, 1, 1]),
        nn.ReLU(inplace=True),
        Conv2d(width, channels, 1),
    )
