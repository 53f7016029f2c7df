"""The ResNet of DetectoRS.

DetectoRS: Detecting Objects with Recursive Feature Pyramid and Switchable Atrous Convolution, arXiv:2006.02334, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.resnet import BasicBlock, Bottleneck, Conv3x3, ResNet
from detzoo.blocks.layers import Conv2d
from detzoo.blocks.switchable import AdaptiveConv2d, SwitchableConv


class DetectorsResNet(ResNet):
    """A `ResNet` of `AdaptiveConv2d`, and `SwitchableConv` in some stages, that may look again with a pyramid in mind.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(ResNet.Config):
        """Settings of `DetectorsResNet`."""

        kind: Literal["detectors_resnet"] = "detectors_resnet"  # pyright: ignore[reportIncompatibleVariableOverride]
        switchable_stages: tuple[int, ...] = ()  # whose spatial convolutions are switchable
        with_image: bool = False  # the network's input is returned, too, as the first map: for `RFP`

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``ResNet-50-SAC``."""
            return f"{super().title}-SAC" if self.switchable_stages else super().title

        def conv_kind(self) -> type[Conv2d]:
            """The class of convolutions."""
            return AdaptiveConv2d

        def own_spatial(self, stage: int) -> Conv3x3 | None:
            """What makes the spatial convolutions of a stage."""
            return SwitchableConv if stage in self.switchable_stages else None

        def build(self) -> DetectorsResNet:
            """The network of these settings, with random weights."""
            return DetectorsResNet(self)

    def __init__(self, config: DetectorsResNet.Config, feedback: int | None = None) -> None:
        """Build; with ``feedback`` channels for `look_again`."""
        super().__init__(config)
        self.with_image = config.with_image
        for module in self.modules():
            if isinstance(module, AdaptiveConv2d):
                module.start_ordinary()
            if isinstance(module, SwitchableConv):
                module.start_unswitched()
        if config.with_image:
            self.channels, self.strides = (3, *self.channels), (1, *self.strides)
        if feedback is not None:
            for stage in range(2, len(config.strides) + 1):
                block = self._first_block(stage)
                outputs = len((block.conv2 if isinstance(block, BasicBlock) else block.conv3).get_parameter("weight"))
                block.rfp_conv = Conv2d(feedback, outputs, 1)
                nn.init.zeros_(block.rfp_conv.weight)
                nn.init.zeros_(block.rfp_conv.get_parameter("bias"))
            self.freeze(config.norm_eval)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the asked stages, finest first, ``[N, channels[i], ...]``; with ``with_image`` behind ``x``.

        Args:
            x: ``[N, 3, H, W]``.
        """
        features = super().forward(x)
        return [x, *features] if self.with_image else features

    def look_again(self, x: Tensor, feedback: Sequence[Tensor]) -> list[Tensor]:
        """Features of the asked stages where each stage but the first adds what a pyramid found (section 3.2).

        Args:
            x: ``[N, 3, H, W]``.
            feedback: ``[N, feedback, H_k, W_k]`` for stages 2 and up, of their size.
        """
        x = self._run_stem(x)
        features = []
        for stage in range(1, self._config.out_stages[-1] + 1):
            first, *others = cast("Sequence[Bottleneck]", self.get_submodule(f"layer{stage}"))
            if stage == 1:
                x = first(x)
            else:
                found = first.get_submodule("rfp_conv")(feedback[stage - 2])
                x = F.relu_(first.residual(x).add_(first.shortcut(x)).add_(found))
            for block in others:
                x = block(x)
            if stage in self._config.out_stages:
                features.append(x)
        return features

    def _first_block(self, stage: int) -> BasicBlock | Bottleneck:
        return cast("BasicBlock | Bottleneck", self.get_submodule(f"layer{stage}.0"))
