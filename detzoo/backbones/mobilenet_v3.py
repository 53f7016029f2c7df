"""Searching for MobileNetV3, arXiv:1905.02244, 2019."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.chosen import check_chosen, check_frozen
from detzoo.backbones.frozen import PartlyFrozen
from detzoo.backbones.mobilenet_v2 import rounded
from detzoo.blocks.layers import ConvNorm, start_he
from detzoo.blocks.squeeze_excitation import SqueezeExcitation
from detzoo.blocks.ssdlite import ExtraMap
from detzoo.config import Config as BaseConfig

STEM = 16
# tables 1 and 2: kernel, channels inside, channels, squeeze and excitation, h-swish, stride
LARGE = (
    *((3, 16, 16, False, False, 1), (3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1)),
    *((5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1)),
    *((3, 240, 80, False, True, 2), (3, 200, 80, False, True, 1), (3, 184, 80, False, True, 1)),
    *((3, 184, 80, False, True, 1), (3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1)),
    *((5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1), (5, 960, 160, True, True, 1)),
)
SMALL = (
    *((3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1)),
    *((5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1)),
    *((5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2)),
    *((5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1)),
)
TABLES = {"large": LARGE, "small": SMALL}


class WideningConfig(BaseConfig):
    """Settings of a first convolution and blocks that are wider inside.

    SSDLite (arXiv:1801.04381, section 6.2) looks at a block where it is wide, and adds maps behind the last block.
    """

    width: float = Field(default=1.0, gt=0, le=16)  # multiplies all channels but those of extra maps
    out_blocks: tuple[int, ...] = (6, 12, 15)  # blocks that give a map, counted from 1
    # channels inside and behind what makes each extra map of half the size; with any of them a block gives what it
    # widened to, and a last 1x1 convolution a map, too
    extra: tuple[tuple[int, int], ...] = ()
    pad_same: bool = False  # extra maps of maps of even size see zeros at right and bottom alone
    norm_eval: bool = False  # batch normalization keeps its statistics in training
    frozen_blocks: int = Field(default=-1, ge=-1)  # -1: none; 0: the first convolution; k: also k blocks

    def count(self) -> int:
        """How many blocks there are."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _fits(self) -> WideningConfig:
        check_chosen("out_blocks", self.out_blocks, self.count())
        check_frozen(self.frozen_blocks, self.count(), "blocks")
        return self


class Widening(nn.Module):
    """A block that returns a pair of maps: what it widens to, ``inner`` channels, and what it gives, ``outputs``."""

    def __init__(self, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inner, self.outputs, self.stride = inner, outputs, stride


class WideningStages(PartlyFrozen):
    """A first convolution ``conv1`` of stride 2, blocks, and the extra maps of SSDLite.

    Attributes:
        channels: of each returned feature map.
        strides: input pixels per cell of each returned feature map.
    """

    def __init__(
        self, config: WideningConfig, first: nn.Module, blocks: dict[str, Widening], last: nn.Module, width: int
    ) -> None:
        """Of blocks by name; with extra maps the ``last`` convolution, to ``width`` channels, stands behind them."""
        super().__init__()
        self._config, self.names = config, list(blocks)
        self.conv1 = first
        found, stride = [], 2
        for number, (name, block) in enumerate(blocks.items(), 1):
            self.add_module(name, block)
            if number in config.out_blocks:
                found.append((block.inner, stride) if config.extra else (block.outputs, stride * block.stride))
            stride *= block.stride
        self.extra_names = []
        if config.extra:
            number = len(blocks) + 2  # as published weights count
            self.extra_names = [f"conv{number + index}" for index in range(len(config.extra) + 1)]
            self.add_module(self.extra_names[0], last)
            found.append((width, stride))
            for name, (inner, outputs) in zip(self.extra_names[1:], config.extra, strict=True):
                self.add_module(name, ExtraMap(width, inner, outputs, pad_same=config.pad_same))
                width, stride = outputs, stride * 2
                found.append((width, stride))
        self.channels = tuple(channels for channels, _ in found)
        self.strides = tuple(stride for _, stride in found)
        start_he(self)
        self.freeze(config.norm_eval)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the asked blocks and the extra maps, finest first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])]`` each.
        """
        x = self.conv1(x)
        features = []
        for number, name in enumerate(self._used(), 1):
            wide, x = self.get_submodule(name)(x)
            if number in self._config.out_blocks:
                features.append(wide if self._config.extra else x)
        for name in self.extra_names:
            x = self.get_submodule(name)(x)
            features.append(x)
        return features

    def _used(self) -> list[str]:
        return self.names if self._config.extra else self.names[: self._config.out_blocks[-1]]

    def frozen_parts(self) -> list[nn.Module]:
        """The first convolution and the blocks that are frozen, and what stands behind the last returned map."""
        frozen = ["conv1", *self.names][: self._config.frozen_blocks + 1]
        return [self.get_submodule(name) for name in [*frozen, *self.names[len(self._used()) :]]]


class MobileNetV3(WideningStages):
    """Blocks of MobileNetV2 with wider kernels, h-swish, and channels weighed by squeeze and excitation.

    Block k is ``conv<k + 1>``, and what else there is is called as in PaddleDetection, too.
    """

    class Config(WideningConfig):
        """Settings of `MobileNetV3`."""

        kind: Literal["mobilenet_v3"] = "mobilenet_v3"
        size: Literal["large", "small"] = "large"
        end_width: float = Field(default=1.0, gt=0, le=16)  # multiplies channels of the last stage; SSDLite: 0.5

        def count(self) -> int:
            """How many blocks there are."""
            return len(TABLES[self.size])

        @property
        def title(self) -> str:
            """The name that papers use."""
            return f"MobileNetV3-{self.size}" if self.width == 1 else f"MobileNetV3-{self.size}-{self.width:g}"

        def build(self) -> MobileNetV3:
            """The network of these settings, with random weights."""
            return MobileNetV3(self)

    def __init__(self, config: MobileNetV3.Config | None = None) -> None:
        self.config = config = config or MobileNetV3.Config()
        table = TABLES[config.size]
        inputs = rounded(STEM * config.width)
        first = _Conv(3, inputs, 3, stride=2, swish=True)
        blocks, wide = {}, 0
        for index, (kernel, inner, outputs, gated, swish, stride) in enumerate(table):
            left = len(table) - index  # the first block of the last stage gets its inputs from the stage before
            wide = int(inner * config.end_width) if left < 3 else inner
            narrow = int(outputs * config.end_width) if left <= 3 else outputs
            widths = inputs, rounded(wide * config.width), rounded(narrow * config.width)
            blocks[f"conv{index + 2}"] = _Block(*widths, kernel, stride, gated=gated, swish=swish)
            inputs = widths[2]
        wide = rounded(wide * config.width)
        super().__init__(config, first, blocks, _Conv(inputs, wide, 1, swish=True), wide)


class _Conv(ConvNorm):
    """Convolution, batch normalization, and h-swish or ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, swish: bool
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, norm="bn", relu=not swish)
        self.swish = swish

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        x = super().forward(x, valid)
        return F.hardswish(x) if self.swish else x


class _Block(Widening):
    """An inverted residual (figure 4), with a shortcut where the shapes agree."""

    def __init__(
        self, inputs: int, inner: int, outputs: int, kernel: int, stride: int, *, gated: bool, swish: bool
    ) -> None:
        super().__init__(inner, outputs, stride)
        self.shortcut = stride == 1 and inputs == outputs
        self.expand_conv = _Conv(inputs, inner, 1, swish=swish)
        self.bottleneck_conv = _Conv(inner, inner, kernel, stride=stride, groups=inner, swish=swish)
        self.se = SqueezeExcitation(SqueezeExcitation.Config(reduction=4, gate="line"), inner) if gated else None
        self.linear_conv = ConvNorm(inner, outputs, 1, norm="bn", relu=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``[N, inputs, H, W]`` to ``[N, inner, H, W]`` and ``[N, outputs, H', W']``."""
        wide = self.expand_conv(x)
        found = self.bottleneck_conv(wide)
        found = self.linear_conv(found if self.se is None else self.se(found))
        return wide, x + found if self.shortcut else found
