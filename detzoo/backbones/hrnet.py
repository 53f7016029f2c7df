"""High-resolution network.

High-Resolution Representations for Labeling Pixels and Regions, arXiv:1904.04514, 2019: maps of several sizes run side
by side from end to end and exchange what they found again and again, so that the finest is never made from a coarse one
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from detzoo.backbones.frozen import PartlyFrozen
from detzoo.backbones.resnet import (
    EXPANSION,
    BasicBlock,
    Bottleneck,
    StagesConfig,
    initialize,
    plain_conv3x3,
    residual_blocks,
)
from detzoo.blocks.layers import Conv2d, Norm, build_norm, conv_norm
from detzoo.config import Config as BaseConfig
from detzoo.ops.nearest import nearest_on_corners

Count = Annotated[int, Field(ge=1)]

STEM = 64  # channels behind each of the first two convolutions


class HRNet(PartlyFrozen):
    """HRNetV2-W18 to -W48, without the classifier (arXiv:1904.04514, section 3.1 and figure 1).

    Stage k, from 2 on, has k branches; branch i has ``width * 2**i`` channels at ``1 / 2**i`` of the finest size.
    Parameters are named as in published weights.

    Attributes:
        channels: of each branch, which are the returned feature maps.
        strides: input pixels per cell of each branch.
    """

    class Config(BaseConfig):
        """Settings of `HRNet`."""

        kind: Literal["hrnet"] = "hrnet"
        width: Count = 32  # channels of the finest branch; each coarser one has twice as many
        first_width: Count = 64  # channels inside the bottlenecks of stage 1, which return four times as many
        modules: tuple[Count, Count, Count] = (1, 4, 3)  # of stages 2, 3 and 4; each ends with an exchange
        blocks: tuple[Count, Count, Count, Count] = (4, 4, 4, 4)  # in a row: in stage 1, and in every branch of 2 to 4
        norm: Norm = "bn"
        # the cell that a finer map gets: the nearest, or the nearest where corners lie on corners (PaddleDetection 0.x)
        resize: Literal["nearest", "corners"] = "nearest"
        norm_eval: bool = True  # batch normalization keeps its statistics in training
        norm_frozen: bool = False  # scales and offsets of normalization take no gradient
        frozen_stages: int = Field(default=-1, ge=-1, le=4)  # -1: none; 0: the stem; k: stem and stages 1 to k
        stopped: tuple[Annotated[int, Field(ge=0, le=3)], ...] = ()  # returned maps that give no gradient back
        checkpointing: bool = False  # recompute a block in the backward pass instead of keeping what it computed

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``HRNetV2p-W32``."""
            return f"HRNetV2p-W{self.width}"

        def build(self) -> HRNet:
            """The network of these settings, with random weights."""
            return HRNet(self)

    def __init__(self, config: HRNet.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or HRNet.Config()
        norm = config.norm
        self.conv1 = Conv2d(3, STEM, 3, 2, 1, bias=False)
        self.add_module(f"{norm}1", build_norm(norm, STEM))
        self.conv2 = Conv2d(STEM, STEM, 3, 2, 1, bias=False)
        self.add_module(f"{norm}2", build_norm(norm, STEM))
        self.layer1 = _first_stage(config)
        self.channels = tuple(config.width * 2**branch for branch in range(4))
        self.strides = (4, 8, 16, 32)
        inputs = (config.first_width * EXPANSION,)
        for stage in (2, 3, 4):
            widths = self.channels[:stage]
            self.add_module(f"transition{stage - 1}", _transition(norm, inputs, widths))
            count, blocks = config.modules[stage - 2], config.blocks[stage - 1]
            self.add_module(f"stage{stage}", nn.Sequential(*(_Module(config, widths, blocks) for _ in range(count))))
            inputs = widths
        initialize(self, zero_init=False)
        if config.norm_frozen:
            for module in self.modules():
                if isinstance(module, _BatchNorm | nn.GroupNorm):
                    module.requires_grad_(False)
        self.freeze(config.norm_eval)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the branches, finest first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])]`` per branch.
        """
        x = conv_norm(x, self.conv1, self.get_submodule(f"{self.config.norm}1"), relu=True)
        x = conv_norm(x, self.conv2, self.get_submodule(f"{self.config.norm}2"), relu=True)
        maps = [self.layer1(x)]
        for stage in (2, 3, 4):
            steps = self.get_submodule(f"transition{stage - 1}").children()
            # the new branch begins with the coarsest map there is
            maps = [step(maps[min(branch, len(maps) - 1)]) for branch, step in enumerate(steps)]
            maps = self.get_submodule(f"stage{stage}")(maps)
        return [x.detach() if branch in self.config.stopped else x for branch, x in enumerate(maps)]

    def frozen_parts(self) -> list[nn.Module]:
        """The stem and the stages that are frozen, with what leads to them."""
        norm, last = self.config.norm, self.config.frozen_stages
        stem = ["conv1", f"{norm}1", "conv2", f"{norm}2"] if last >= 0 else []
        first = ["layer1"] if last >= 1 else []
        others = [name for stage in range(2, last + 1) for name in (f"transition{stage - 1}", f"stage{stage}")]
        return [self.get_submodule(name) for name in [*stem, *first, *others]]


class _Module(nn.Module):
    """Residual blocks in every branch, then an exchange between all of them (arXiv:1904.04514, figure 2).

    What comes from a finer branch is halved by 3x3 convolutions; from a coarser one it is brought to as many channels
    and resized to the nearest cell. Then everything is added.
    """

    def __init__(self, config: HRNet.Config, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        shared = _of_blocks(config)
        self.corners = config.resize == "corners"
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(shared, width, width, 1, 1, None, plain_conv3x3) for _ in range(blocks)))
            for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_to_branch(config.norm, widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps ``[N, widths[i], H_i, W_i]``, finest first, to as many of the same shapes."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [self._received(maps, target) for target in range(len(maps))]

    def _received(self, maps: list[Tensor], target: int) -> Tensor:
        first, *others = (step(x) for step, x in zip(self.fuse_layers[target].children(), maps, strict=True))
        size = maps[target].shape[-2:]
        total = first
        for source, x in enumerate(others, 1):
            if source > target:
                x = nearest_on_corners(x, size) if self.corners else F.interpolate(x, size=size, mode="nearest")
            # the finest branch gets its own map first, which others need as it is
            total = total + x if total is maps[0] else total.add_(x)
        return F.relu_(total)


class _Pair(nn.Sequential):
    """A convolution and its normalization, ``0`` and ``1`` as published weights name them, then ReLU if asked."""

    def __init__(self, norm: Norm, inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> None:
        conv = Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(conv, build_norm(norm, outputs))
        self.relu = relu

    def forward(self, input: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        return conv_norm(input, self[0], self[1], self.relu)


def _of_blocks(config: HRNet.Config) -> StagesConfig:
    """The same settings for residual blocks."""
    return StagesConfig(norm=config.norm, checkpointing=config.checkpointing)


def _first_stage(config: HRNet.Config) -> nn.Sequential:
    shared, planes = _of_blocks(config), config.first_width

    def block(inputs: int, stride: int, downsample: nn.Sequential | None) -> nn.Module:
        return Bottleneck(shared, inputs, planes, stride, 1, downsample, plain_conv3x3)

    return residual_blocks(shared, block, STEM, planes * EXPANSION, config.blocks[0], 1)


def _transition(norm: Norm, inputs: Sequence[int], widths: Sequence[int]) -> nn.ModuleList:
    """From maps of ``inputs`` channels to those of the next stage, which has ``widths`` and one branch more."""
    kept = [
        nn.Identity() if before == after else _Pair(norm, before, after, 3)
        for before, after in zip(inputs, widths, strict=False)
    ]
    return nn.ModuleList([*kept, nn.Sequential(_Pair(norm, inputs[-1], widths[-1], 3, stride=2))])


def _to_branch(norm: Norm, widths: Sequence[int], source: int, target: int) -> nn.Module:
    """What a branch's map goes through on its way to another branch, but for resizing."""
    inputs, outputs = widths[source], widths[target]
    if source == target:
        return nn.Identity()
    if source > target:
        return _Pair(norm, inputs, outputs, 1, relu=False)
    steps = target - source - 1  # all but the last keep their channels
    halvings = [_Pair(norm, inputs, inputs, 3, stride=2) for _ in range(steps)]
    return nn.Sequential(*halvings, _Pair(norm, inputs, outputs, 3, stride=2, relu=False))
