"""Switchable atrous convolution: DetectoRS (arXiv:2006.02334), section 4."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.layers import Conv2d, conv2d, in_type_of
from detzoo.ops.boxes import full_precision
from detzoo.ops.deform_conv import deform_conv


class AdaptiveConv2d(Conv2d):
    """A convolution by standardized weights, scaled and moved by numbers that are not learned.

    ``gamma (w - mean) / sqrt(var + 1e-5) + beta`` per output. An ordinary convolution's weights, as of an ImageNet
    classifier, are taken over as they are: where a state dict has weights without ``weight_gamma`` and ``weight_beta``,
    these become their deviation and mean. Parameters and buffers are named as in published MMDetection weights.
    """

    weight_gamma: Tensor
    weight_beta: Tensor

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        """Build like ``torch.nn.Conv2d``."""
        super().__init__(*arguments, **settings)
        self.register_buffer("weight_gamma", torch.ones(self.out_channels, 1, 1, 1))
        self.register_buffer("weight_beta", torch.zeros(self.out_channels, 1, 1, 1))
        self.start_ordinary()

    @torch.no_grad()
    def start_ordinary(self) -> None:
        """Scale and move so that this is the ordinary convolution by the weights as they are."""
        variance, mean = torch.var_mean(full_precision(self.weight), (1, 2, 3), keepdim=True)
        self.weight_gamma.copy_((variance + 1e-5).sqrt())
        self.weight_beta.copy_(mean)

    def adapted(self) -> Tensor:
        """The weights ``[outputs, inputs / groups, k, k]`` that are convolved with."""
        exact = full_precision(self.weight)
        variance, mean = torch.var_mean(exact, (1, 2, 3), keepdim=True)
        weight = (exact - mean) / (variance + 1e-5).sqrt() * self.weight_gamma + self.weight_beta
        return weight.to(self.weight.dtype)

    def forward(self, input: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        padding = cast("tuple[int, ...]", self.padding)
        input = in_type_of(self, input)
        return conv2d(input, self.adapted(), self.bias, self.stride, padding, self.dilation, self.groups)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any, **more: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest, **more)
        own = f"{prefix}weight_gamma" in state_dict or f"{prefix}weight_beta" in state_dict
        if f"{prefix}weight" in state_dict and not own:
            self.start_ordinary()


class SwitchableConv(AdaptiveConv2d):
    """A deformable 3x3 convolution of one and of three times the dilation, between which every place chooses.

    ``S(x) y(x, w, 1) + (1 - S(x)) y(x, w + dw, 3)`` (equation 4), S a 5x5 average and a 1x1 convolution, with what is
    global added before and after (figure 4). It starts as an ordinary convolution. As published, both convolutions
    have shifts of their own, found in the same average.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int, groups: int) -> None:
        """Build for ``inputs`` and ``outputs`` channels."""
        super().__init__(inputs, outputs, 3, stride, dilation, dilation=dilation, groups=groups, bias=False)
        self.switch = Conv2d(inputs, 1, 1, stride)
        self.weight_diff = nn.Parameter(torch.zeros_like(self.weight))
        self.pre_context = Conv2d(inputs, inputs, 1)
        self.post_context = Conv2d(outputs, outputs, 1)
        self.offset_s = Conv2d(inputs, 18, 3, stride, 1)
        self.offset_l = Conv2d(inputs, 18, 3, stride, 1)
        self.start_unswitched()

    def start_unswitched(self) -> None:
        """Set everything but the weights so that this is the `AdaptiveConv2d`."""
        for layer in (self.switch, self.pre_context, self.post_context, self.offset_s, self.offset_l):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.get_parameter("bias"), float(layer is self.switch))

    def forward(self, input: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        x = in_type_of(self, input)
        x = x + self.pre_context(x.mean((2, 3), keepdim=True))
        # a map of less than three cells has nothing to be mirrored
        mode = "reflect" if min(x.shape[-2:]) > 2 else "replicate"
        around = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode=mode), 5, 1)
        weight, switch = self.adapted(), self.switch(around)
        near = self._convolve(x, self.offset_s(around), weight, 1)
        far = self._convolve(x, self.offset_l(around), weight + self.weight_diff, 3)
        result = switch * near + (1 - switch) * far
        return result + self.post_context(result.mean((2, 3), keepdim=True))

    def _convolve(self, x: Tensor, shifts: Tensor, weight: Tensor, times: int) -> Tensor:
        """Deformable convolution with ``times`` the dilation and padding: ``[N, outputs, H', W']``."""
        dilation = self.dilation[0] * times
        return deform_conv(x, shifts, weight, stride=self.stride[0], padding=dilation, dilation=dilation)
