"""Recursive feature pyramid: the backbone looks at the picture again, knowing what the pyramid found.

DetectoRS: Detecting Objects with Recursive Feature Pyramid and Switchable Atrous Convolution, arXiv:2006.02334, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.detectors_resnet import DetectorsResNet
from detzoo.blocks.layers import Conv2d
from detzoo.necks.fpn import Pyramid, PyramidConfig


class RFP(Pyramid):
    """A feature pyramid in steps, each with a backbone of its own (arXiv:2006.02334, section 3 and figure 3).

    It is given the picture as the first map: the backbone before it is a `DetectorsResNet` with ``with_image``.
    Maps of the pyramid go through atrous spatial pyramid pooling to the stages of the next backbone; what the pyramid
    makes of that is mixed with the maps before, cell by cell. The pyramid's weights are the same in every step.
    Parameters are named as in published MMDetection weights.
    """

    class Config(PyramidConfig):
        """Settings of `RFP`."""

        kind: Literal["rfp"] = "rfp"
        backbone: DetectorsResNet.Config = DetectorsResNet.Config()  # of the steps after the first
        steps: int = Field(default=2, ge=1, le=8)  # looks at the picture, that of the backbone before included
        aspp_channels: int = Field(default=64, ge=1)  # of each branch of the pooling
        aspp_dilations: tuple[int, ...] = Field(default=(1, 3, 6), min_length=1)  # 1: of a 1x1 convolution

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> RFP:
            """The neck of these settings for a backbone that returns maps of these ``channels`` and ``strides``."""
            return RFP(self, channels, strides)

    def __init__(self, config: RFP.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``.

        Raises:
            ValueError: the first map is no picture, the steps' backbone returns other maps, or as of `Pyramid`.
        """
        if (channels[0], strides[0]) != (3, 1):
            raise ValueError(
                "RFP needs the picture as the first map: backbone.kind=detectors_resnet, backbone.with_image=true"
            )
        super().__init__(config, channels[1:], strides[1:])
        feedback = config.aspp_channels * (len(config.aspp_dilations) + 1)
        self.rfp_modules = nn.ModuleList(DetectorsResNet(config.backbone, feedback) for _ in range(config.steps - 1))
        for module in self.rfp_modules:
            again = cast(DetectorsResNet, module)
            if (again.channels, again.strides) != (tuple(channels[1:]), tuple(strides[1:])):
                raise ValueError(f"the steps' backbone returns {again.channels} channels, that before {channels[1:]}")
        if config.start != 0 or len(self.lateral_convs) != len(channels) - 1:
            raise ValueError("RFP uses every map of the backbone: start=0, end=null")
        self.rfp_aspp = _ASPP(config)
        self.rfp_weight = Conv2d(config.out_channels, 1, 1)
        nn.init.zeros_(self.rfp_weight.weight)
        nn.init.zeros_(self.rfp_weight.get_parameter("bias"))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Pyramid maps ``[N, out_channels, H, W]``, finest first.

        Args:
            features: the picture ``[N, 3, H, W]`` and the backbone's maps ``[N, C_i, H_i, W_i]``, finest first.
        """
        image, *maps = features
        outputs = self.top_down(maps)
        for module in self.rfp_modules:
            backbone = cast(DetectorsResNet, module)
            feedback = [self.rfp_aspp(level) for level in outputs[1 : len(maps)]]
            found = self.top_down(backbone.look_again(image, feedback))
            shares = [self.rfp_weight(level).sigmoid() for level in found]
            outputs = [share * new + (1 - share) * old for share, new, old in zip(shares, found, outputs, strict=True)]
        return outputs


class _ASPP(nn.Module):
    """Atrous spatial pyramid pooling (section 3.3): ``[N, out_channels, H, W]`` to ``[N, branches c, H, W]``.

    One branch for each dilation, and one of the map's mean.
    """

    def __init__(self, config: RFP.Config) -> None:
        super().__init__()
        inputs, outputs = config.out_channels, config.aspp_channels
        convs = [
            Conv2d(inputs, outputs, 1) if step == 1 else Conv2d(inputs, outputs, 3, padding=step, dilation=step)
            for step in config.aspp_dilations
        ]
        self.aspp = nn.ModuleList([*convs, Conv2d(inputs, outputs, 1)])
        for conv in self.aspp:
            nn.init.kaiming_normal_(conv.get_parameter("weight"), mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(conv.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        *convs, last = self.aspp
        mean = last(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        return F.relu_(torch.cat([*(conv(x) for conv in convs), mean], 1))
