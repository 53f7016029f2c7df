"""What SSDLite has in place of SSD's convolutions: MobileNetV2, arXiv:1801.04381, section 6.2.

Parameters are called as PaddleDetection calls them.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import BatchNorm2d, Conv2d, ConvNorm, conv_norm


class SeparableConv(nn.Module):
    """A depthwise convolution with batch normalization and ReLU6, and a 1x1: what predicts."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, padding: int, bias: bool) -> None:
        """Build for ``inputs`` and ``outputs`` channels; ``bias`` is that of the 1x1."""
        super().__init__()
        self.dw_conv = Conv2d(inputs, inputs, kernel_size, padding=padding, groups=inputs, bias=False)
        self.bn = BatchNorm2d(inputs)
        self.pw_conv = Conv2d(inputs, outputs, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H, W]``."""
        return self.pw_conv(F.relu6(conv_norm(x, self.dw_conv, self.bn)))


class ExtraMap(nn.Module):
    """A coarser map: a 1x1, a depthwise 3x3 of stride 2 and a 1x1 convolution, each with a norm and ReLU6."""

    def __init__(self, inputs: int, inner: int, outputs: int, *, pad_same: bool = False) -> None:
        """Build for ``inputs`` and ``outputs`` channels, with ``inner``, which divide these, between the first two.

        With ``pad_same`` a map of even size sees a cell of zeros at right and bottom alone.
        """
        super().__init__()
        self.pad_same = pad_same
        padding = 0 if pad_same else 1
        self.pointwise_conv = ConvNorm(inputs, inner, 1, norm="bn", relu=False)
        self.depthwise_conv = ConvNorm(
            inner, outputs, 3, stride=2, padding=padding, groups=inner, norm="bn", relu=False
        )
        self.normal_conv = ConvNorm(outputs, outputs, 1, norm="bn", relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, ceil(H / 2), ceil(W / 2)]``."""
        x = F.relu6(self.pointwise_conv(x))
        if self.pad_same:
            height, width = x.shape[-2:]
            x = F.pad(x, (width % 2, 1, height % 2, 1))
        return F.relu6(self.normal_conv(F.relu6(self.depthwise_conv(x))))
