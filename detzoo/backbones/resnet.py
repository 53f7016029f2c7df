"""ResNet and ResNeXt.

Deep Residual Learning for Image Recognition, arXiv:1512.03385, 2015; Aggregated Residual Transformations,
arXiv:1611.05431, 2016; the deep stem and average-pooled shortcuts of Bag of Tricks, arXiv:1812.01187, 2018; deformable
convolution in the last stages, arXiv:1703.06211, 2017, and arXiv:1811.11168, 2018; other modules
between the convolutions as in arXiv:1904.05873 and arXiv:1904.11492, 2019.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from detzoo.backbones.chosen import check_chosen, check_frozen
from detzoo.backbones.frozen import PartlyFrozen
from detzoo.blocks.context_block import ContextBlock
from detzoo.blocks.generalized_attention import GeneralizedAttention
from detzoo.blocks.layers import (
    Conv2d,
    Deform,
    DeformConv,
    Norm,
    StandardizedConv2d,
    build_norm,
    conv_norm,
    set_norm_eps,
)
from detzoo.blocks.non_local import NonLocal
from detzoo.blocks.plugins import Plugin
from detzoo.blocks.squeeze_excitation import SqueezeExcitation
from detzoo.config import Config as BaseConfig

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 12, 48, 3),  # of PaddleDetection; arXiv:1603.05027 has (3, 24, 36, 3)
}

EXPANSION = 4  # of a bottleneck's output

# builds the spatial convolution of a block: (inputs, outputs, stride, dilation, groups) -> module
Conv3x3 = Callable[[int, int, int, int, int], nn.Module]


class StagesConfig(BaseConfig):
    """Settings of a stem and residual stages. Stage k (1 to 4) is ``layer<k>``, whose output the papers call C(k+1)."""

    style: Literal["pytorch", "caffe"] = "pytorch"  # a bottleneck's stride: in its 3x3, or in its first 1x1
    strides: tuple[int, ...] = (1, 2, 2, 2)  # one per stage; fewer than four leave the last stages out
    dilations: tuple[int, ...] = (1, 1, 1, 1)  # of every 3x3 of a stage
    out_stages: tuple[int, ...] = (1, 2, 3, 4)  # stages whose output is returned
    deform: Deform | None = None  # of every spatial convolution of `deform_stages`; None: ordinary ones
    deform_stages: tuple[int, ...] = (2, 3, 4)
    plugins: tuple[Plugin, ...] = ()  # blocks between the convolutions; of several in one place in this order
    standardize: bool = False  # weights of all other convolutions; see `StandardizedConv2d`
    project_first: bool = False  # every stage's first shortcut has its 1x1, even where shapes agree (PaddleDetection)
    norm: Norm = "bn"
    norm_eps: float = Field(default=1e-5, ge=0)  # what normalization adds to the variance
    norm_eval: bool = True  # batch normalization keeps its statistics in training
    norm_frozen: bool = False  # scales and offsets of normalization take no gradient
    frozen_stages: int = Field(default=1, ge=-1, le=4)  # -1: none; 0: the stem; k: stem and stages 1 to k
    zero_init: bool = True  # the last norm of a block starts at zero, so that a fresh block is the identity
    checkpointing: bool = False  # recompute a block in the backward pass instead of keeping what it computed

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        stages = len(self.strides)
        if not 1 <= stages <= 4 or len(self.dilations) != stages:
            raise ValueError(
                f"strides and dilations need one to four entries each, got {stages}, {len(self.dilations)}"
            )
        check_chosen("out_stages", self.out_stages, stages)
        check_frozen(self.frozen_stages, stages)
        if self.deform is not None and not set(self.deform_stages) <= set(range(1, stages + 1)):
            raise ValueError(f"deform_stages must lie in 1 to {stages}, got {self.deform_stages}")
        for plugin in self.plugins:
            if not set(plugin.stages) <= set(range(1, stages + 1)):
                raise ValueError(f"a plugin's stages must lie in 1 to {stages}, got {plugin.stages}")
        placed = [(plugin.block.kind, stage) for plugin in self.plugins for stage in plugin.stages]
        if len(set(placed)) < len(placed):
            raise ValueError("a stage has two plugins of one kind, which would be called the same")
        return self

    def conv_kind(self) -> type[Conv2d]:
        """The class of convolutions that are not deformed."""
        return StandardizedConv2d if self.standardize else Conv2d

    def own_spatial(self, stage: int) -> Conv3x3 | None:
        """What makes the spatial convolutions of a stage, where that is none of the usual kinds."""
        return None

    def titled(self, name: str) -> str:
        """The name that papers use, with what is special in the stages behind it."""
        parts = [name] if self.deform is None else [name, "DCN"]
        return "-".join([*parts, *(plugin.block.title for plugin in self.plugins)])


class Stages(PartlyFrozen):
    """A stem and residual stages, which a network adds as ``conv1`` and a norm, or ``stem``, and ``layer<k>``.

    Attributes:
        channels: of each returned feature map.
        strides: input pixels per cell of each returned feature map.
    """

    POOLED = True  # the stem ends with a max-pool

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def add_stem(self, config: StagesConfig, kind: Literal["conv7", "deep"]) -> None:
        """Add a stem of 64 channels: one 7x7 convolution, or three 3x3."""
        if kind == "deep":
            self.stem = deep_stem(config, 64)
        else:
            self.conv1 = plain_conv(config, 3, 64, 7, 2)
            self.add_module(f"{config.norm}1", build_norm(config.norm, 64, frozen=config.norm_frozen))

    def complete(
        self, config: StagesConfig, stem: int, channels: Sequence[int], build: Callable[[int, int], nn.Module]
    ) -> None:
        """Add the stages, put in plugins, initialize and freeze.

        Args:
            config: what the network is built from.
            stem: channels of the stem, which has been added.
            channels: of each stage's output.
            build: makes a stage of its number, from 1 on, and the channels that it is given.
        """
        self._config = config
        for number, inputs in enumerate([stem, *channels[:-1]], 1):
            self.add_module(f"layer{number}", build(number, inputs))
        strides = [4 if self.POOLED else 2]
        for stride in config.strides:
            strides.append(strides[-1] * stride)
        self.channels = tuple(channels[stage - 1] for stage in config.out_stages)
        self.strides = tuple(strides[stage] for stage in config.out_stages)
        for plugin in config.plugins:
            for stage in plugin.stages:
                blocks = list(self.get_submodule(f"layer{stage}").children())
                for block in blocks[plugin.every - 1 :: plugin.every]:
                    cast(_Block, block).plug(plugin)
        set_norm_eps(self, config.norm_eps)
        initialize(self, config.zero_init)
        self.freeze(config.norm_eval)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the asked stages, finest first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])]`` per output stage.
        """
        return self.composed(x, ())

    def composed(self, x: Tensor, added: Sequence[Tensor]) -> list[Tensor]:
        """`forward` where ``added``, a map ``[N, C_k, h_k, w_k]`` per stage unless it is empty, is resized to the
        nearest cell and added to what each stage is given.
        """
        x = self._run_stem(x)
        features = []
        for stage in range(1, self._config.out_stages[-1] + 1):
            if added:
                x = x + F.interpolate(added[stage - 1], x.shape[-2:])
            x = self.get_submodule(f"layer{stage}")(x)
            if stage in self._config.out_stages:
                features.append(x)
        return features

    def _run_stem(self, x: Tensor) -> Tensor:
        first, *others = self._stem_parts()
        layers = list(first) if isinstance(first, nn.Sequential) else [first, *others]
        for conv, norm in zip(layers[0::3], layers[1::3], strict=True):  # the third is the ReLU
            x = conv_norm(x, conv, norm, relu=True)
        return F.max_pool2d(x, 3, 2, 1) if self.POOLED else x

    def _stem_parts(self) -> list[nn.Module]:
        parts = dict(self.named_children())
        return [parts["stem"]] if "stem" in parts else [parts["conv1"], parts[f"{self._config.norm}1"]]

    def frozen_parts(self) -> list[nn.Module]:
        """The stem and the stages that are frozen."""
        frozen = self._config.frozen_stages
        stages = [self.get_submodule(f"layer{stage}") for stage in range(1, frozen + 1)]
        return [*self._stem_parts(), *stages] if frozen >= 0 else []


class ResNet(Stages):
    """ResNet-18 to -200 and ResNeXt, without the classifier (arXiv:1512.03385, table 1; arXiv:1611.05431, table 1).

    Parameters are named as torchvision and MMDetection name them.
    """

    class Config(StagesConfig):
        """Settings of `ResNet`."""

        kind: Literal["resnet"] = "resnet"
        depth: Literal[18, 34, 50, 101, 152, 200] = 50
        stem: Literal["conv7", "deep"] = "conv7"  # one 7x7 convolution, or three 3x3
        avg_down: bool = False  # shortcuts halve the size by average pooling before their 1x1
        avg_down_stages: tuple[int, ...] = (1, 2, 3, 4)  # in which they do, if asked; a RoI stage is stage 4
        groups: int = Field(default=1, ge=1)  # of the 3x3; ResNeXt 32x4d: 32
        base_width: int = Field(default=64, ge=1)  # channels per group in the first stage; ResNeXt 32x4d: 4

        @model_validator(mode="after")
        def _fits(self) -> ResNet.Config:
            if self.depth < 50 and (self.groups != 1 or self.base_width != 64):
                raise ValueError("groups and base_width need bottleneck blocks: depth 50 or more")
            if self.depth < 50 and any(plugin.after == "conv3" for plugin in self.plugins):
                raise ValueError("a plugin after conv3 needs bottleneck blocks: depth 50 or more")
            return self

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``ResNeXt-101-32x4d``."""
            if self.groups > 1:
                return self.titled(f"ResNeXt-{self.depth}-{self.groups}x{self.base_width}d")
            return self.titled(f"ResNet-{self.depth}")

        def build(self) -> ResNet:
            """The network of these settings, with random weights."""
            return ResNet(self)

    def __init__(self, config: ResNet.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or ResNet.Config()
        self.add_stem(config, config.stem)
        channels = [64 * 2**stage * (1 if config.depth < 50 else EXPANSION) for stage in range(len(config.strides))]

        def stage(number: int, inputs: int) -> nn.Module:
            return build_stage(config, number, inputs, spatial_conv(config, number))

        self.complete(config, 64, channels, stage)


def initialize(network: nn.Module, zero_init: bool) -> None:
    """Convolutions as in arXiv:1502.01852, norms at one; the last norm of each block at zero if asked."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | DeformConv):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if zero_init and isinstance(module, _Block):
            last = module.norm(2 if isinstance(module, BasicBlock) else 3)
            nn.init.zeros_(last.get_parameter("weight"))
    for module in network.modules():
        if isinstance(module, DeformConv):
            module.start_undeformed()
        if isinstance(module, ContextBlock | GeneralizedAttention | NonLocal | SqueezeExcitation):
            module.reset_parameters()


def plain_conv3x3(inputs: int, outputs: int, stride: int, dilation: int, groups: int) -> nn.Module:
    """A 3x3 convolution without bias that keeps the size at stride 1."""
    return Conv2d(inputs, outputs, 3, stride, dilation, dilation=dilation, groups=groups, bias=False)


def plain_conv(
    config: StagesConfig, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Module:
    """A convolution of a network that is not deformed: without bias, it keeps the size at stride 1."""
    padding = dilation * (kernel // 2)
    return config.conv_kind()(inputs, outputs, kernel, stride, padding, dilation=dilation, groups=groups, bias=False)


def spatial_conv(config: StagesConfig, stage: int) -> Conv3x3:
    """What makes the spatial convolutions of a stage."""
    own, deform = config.own_spatial(stage), config.deform
    if own is not None:
        return own
    if deform is None or stage not in config.deform_stages:
        return _undeformed(config)

    def deform_conv3x3(inputs: int, outputs: int, stride: int, dilation: int, groups: int) -> nn.Module:
        return DeformConv(deform, inputs, outputs, 3, stride, dilation, dilation=dilation, groups=groups)

    return deform_conv3x3


def _undeformed(config: StagesConfig) -> Conv3x3:
    def conv3x3(inputs: int, outputs: int, stride: int, dilation: int, groups: int) -> nn.Module:
        return plain_conv(config, inputs, outputs, 3, stride, dilation, groups)

    return conv3x3


class _Block(nn.Module):
    """What both blocks share: norms called ``bn1`` or ``gn1`` as in published weights, plugins, and the shortcut."""

    downsample: nn.Sequential | None
    norm_name: Norm

    def __init__(self, config: StagesConfig) -> None:
        super().__init__()
        self.norm_name = config.norm
        self.norm_frozen = config.norm_frozen
        self.checkpointing = config.checkpointing
        self.plugins: dict[str, list[str]] = {}  # names of those behind a convolution

    def add_norm(self, number: int, channels: int) -> None:
        norm = build_norm(self.norm_name, channels, frozen=self.norm_frozen)
        self.add_module(f"{self.norm_name}{number}", norm)

    def norm(self, number: int) -> nn.Module:
        return self.get_submodule(f"{self.norm_name}{number}")

    def plug(self, plugin: Plugin) -> None:
        """Put another module behind one of the convolutions; those before the last have the channels of the first."""
        widened = plugin.after in ("conv3", "block") and hasattr(self, "conv3")
        weight = self.get_parameter("conv3.weight" if widened else "conv1.weight")
        made = plugin.block.build(len(weight))
        self.add_module(made.NAME, made)
        self.plugins.setdefault(plugin.after, []).append(made.NAME)

    def plugged(self, after: str, x: Tensor) -> Tensor:
        """``x [N, C, H, W]`` through the plugins behind a convolution."""
        for name in self.plugins.get(after, ()):
            x = self.get_submodule(name)(x)
        return x

    def shortcut(self, x: Tensor) -> Tensor:
        if self.downsample is None:
            return x
        *pool, conv, norm = self.downsample
        for layer in pool:
            x = layer(x)
        return conv_norm(x, conv, norm)

    def residual(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _compute(self, x: Tensor) -> Tensor:
        return self.plugged("block", F.relu_(self.residual(x).add_(self.shortcut(x))))

    def forward(self, x: Tensor) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(self._compute, x, use_reentrant=False)
        return self._compute(x)


class BasicBlock(_Block):
    """Two 3x3 convolutions beside a shortcut (arXiv:1512.03385, figure 5 left)."""

    def __init__(
        self,
        config: StagesConfig,
        inputs: int,
        planes: int,
        stride: int,
        dilation: int,
        downsample: nn.Sequential | None,
        conv3x3: Conv3x3,
    ) -> None:
        super().__init__(config)
        self.conv1 = plain_conv(config, inputs, planes, 3, stride, dilation)
        self.add_norm(1, planes)
        self.conv2 = conv3x3(planes, planes, 1, 1, 1)
        self.add_norm(2, planes)
        self.downsample = downsample

    def residual(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, planes, H', W']``, before the shortcut is added."""
        x = self.plugged("conv1", conv_norm(x, self.conv1, self.norm(1), relu=True))
        return self.plugged("conv2", conv_norm(x, self.conv2, self.norm(2)))


class Bottleneck(_Block):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (arXiv:1512.03385, figure 5; arXiv:1611.05431, figure 3c)."""

    def __init__(
        self,
        config: StagesConfig,
        inputs: int,
        planes: int,
        stride: int,
        dilation: int,
        downsample: nn.Sequential | None,
        conv3x3: Conv3x3,
        *,
        width: int | None = None,
        entry: int | None = None,
        groups: int = 1,
        expansion: int = EXPANSION,
        normalized: bool = False,
    ) -> None:
        """Build to return ``expansion * planes`` channels.

        ``width`` channels, or ``planes``, are between the convolutions, ``entry`` of them before the spatial one if
        given, and ``groups`` in that. Where it is ``normalized``, it has its normalization and ReLU in itself.
        """
        super().__init__(config)
        width = planes if width is None else width
        entry = width if entry is None else entry
        first, second = (stride, 1) if config.style == "caffe" else (1, stride)
        self.conv1 = plain_conv(config, inputs, entry, 1, first)
        self.add_norm(1, entry)
        self.conv2 = conv3x3(entry, width, second, dilation, groups)
        self.normalized = normalized
        if not normalized:
            self.add_norm(2, width)
        self.conv3 = plain_conv(config, width, planes * expansion, 1)
        self.add_norm(3, planes * expansion)
        self.downsample = downsample

    def residual(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, expansion * planes, H', W']``, before the shortcut is added."""
        x = self.plugged("conv1", conv_norm(x, self.conv1, self.norm(1), relu=True))
        x = self.plugged("conv2", self.between(x))
        return self.plugged("conv3", conv_norm(x, self.conv3, self.norm(3)))

    def between(self, x: Tensor) -> Tensor:
        """What stands between the 1x1 convolutions: ``[N, width, H, W]`` to ``[N, width, H', W']``."""
        return self.conv2(x) if self.normalized else conv_norm(x, self.conv2, self.norm(2), relu=True)


def build_stage(config: ResNet.Config, stage: int, inputs: int, conv3x3: Conv3x3 | None = None) -> nn.Sequential:
    """One stage of residual blocks.

    Args:
        config: the network it belongs to.
        stage: 1 to 4.
        inputs: channels it is given.
        conv3x3: makes the spatial convolution of each block (deformable convolution fits in here); None: plain ones.
    """
    planes = 64 * 2 ** (stage - 1)
    dilation = config.dilations[stage - 1]
    spatial = conv3x3 or _undeformed(config)
    width = planes * config.base_width // 64 * config.groups

    def block(inputs: int, stride: int, downsample: nn.Sequential | None) -> nn.Module:
        if config.depth < 50:
            return BasicBlock(config, inputs, planes, stride, dilation, downsample, spatial)
        return Bottleneck(
            config, inputs, planes, stride, dilation, downsample, spatial, width=width, groups=config.groups
        )

    outputs = planes * (1 if config.depth < 50 else EXPANSION)
    count, stride = BLOCKS[config.depth][stage - 1], config.strides[stage - 1]
    avg_down = config.avg_down and stage in config.avg_down_stages
    return residual_blocks(config, block, inputs, outputs, count, stride, avg_down=avg_down)


# makes a residual block: (inputs, stride, shortcut) -> module
Block = Callable[[int, int, nn.Sequential | None], nn.Module]


def residual_blocks(
    config: StagesConfig,
    block: Block,
    inputs: int,
    outputs: int,
    count: int,
    stride: int,
    *,
    avg_down: bool = False,
    kernel: int = 1,
) -> nn.Sequential:
    """``count`` blocks in a row, of which the first changes channels and size, and with it has its shortcut do so.

    With ``avg_down`` the shortcut changes the size by average pooling before its convolution, which is of ``kernel``.
    """
    downsample = None
    if stride != 1 or inputs != outputs or config.project_first:
        conv = plain_conv(config, inputs, outputs, kernel, 1 if avg_down else stride)
        downsample = nn.Sequential(conv, build_norm(config.norm, outputs, frozen=config.norm_frozen))
        if avg_down and (stride != 1 or not config.project_first):
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            # as published weights have it, which either count it or do not
            named = OrderedDict(pool=pool, **dict(downsample.named_children()))
            downsample = nn.Sequential(named) if config.project_first else nn.Sequential(pool, *downsample)
    first = block(inputs, stride, downsample)
    return nn.Sequential(first, *(block(outputs, 1, None) for _ in range(count - 1)))


def deep_stem(config: StagesConfig, width: int) -> nn.Sequential:
    """Three 3x3 convolutions with normalization and ReLU, the first of stride 2, to ``width`` channels."""
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, width // 2, 2), (width // 2, width // 2, 1), (width // 2, width, 1)):
        layers += [
            plain_conv(config, inputs, outputs, 3, stride),
            build_norm(config.norm, outputs, frozen=config.norm_frozen),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
