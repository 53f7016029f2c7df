"""The convolution that finds its own shifts, in place of a 3x3 of a backbone or a tower."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from detzoo.config import Config as BaseConfig
from detzoo.ops.deform_conv import deform_conv


class Deform(BaseConfig):
    """How a convolution is deformed."""

    version: Literal[1, 2] = 1  # 1: by shifts (arXiv:1703.06211); 2: what is read is scaled, too (arXiv:1811.11168)
    groups: int = Field(default=1, ge=1)  # of channels, each with shifts of its own


class DeformConv(nn.Module):
    """A square convolution whose shifts, and in version 2 scales, an ordinary convolution finds in the same input.

    Parameters are ``weight``, ``bias`` (if asked) and ``conv_offset.*``, as published weights name them. The latter
    start at zero: a fresh layer is the ordinary convolution, in version 2 halved.
    """

    def __init__(
        self,
        config: Deform,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        """Build for ``inputs`` and ``outputs`` channels; padding keeps the size at stride 1."""
        super().__init__()
        self.stride, self.dilation, self.padding = stride, dilation, dilation * (kernel // 2)
        self.shifts = 2 * config.groups * kernel**2  # of `conv_offset`'s outputs; the others are scales
        # an ordinary convolution knows how to make and fill these two
        plain = nn.Conv2d(inputs, outputs, kernel, groups=groups, bias=bias)
        self.weight, self.bias = plain.weight, plain.bias
        numbers = (1 + config.version) * config.groups * kernel**2
        self.conv_offset = nn.Conv2d(inputs, numbers, kernel, stride, self.padding, dilation)
        self.start_undeformed()

    def start_undeformed(self) -> None:
        """Set every shift to zero and every scale to one half."""
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        return self.convolve(x, self.weight, self.bias)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`forward` with another ``weight [outputs, inputs / groups, k, k]`` and ``bias [outputs]``."""
        found = self.conv_offset(x)
        # version 1 has no scales
        mask = found[:, self.shifts :].sigmoid() if found.shape[1] > self.shifts else None
        return deform_conv(
            x,
            found[:, : self.shifts],
            weight,
            bias,
            mask,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
