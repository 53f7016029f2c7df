"""Stacked hourglass network.

Stacked Hourglass Networks for Human Pose Estimation, arXiv:1603.06937, 2016, in the form of CornerNet,
arXiv:1808.01244, section 3.5: strided convolution instead of pooling, plain residual blocks.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.backbones.resnet import BasicBlock, ResNet, plain_conv3x3
from detzoo.blocks.layers import ConvNorm, Norm, build_norm
from detzoo.config import Config as BaseConfig

Width = Annotated[int, Field(ge=1)]


class Hourglass(nn.Module):
    """Hourglass-104 by default: two networks in a row, each halving the size five times and doubling it again.

    Parameters are named as MMDetection names them.

    Attributes:
        channels: of each returned feature map.
        strides: input pixels per cell of each returned feature map.
    """

    class Config(BaseConfig):
        """Settings of `Hourglass`. Entry k of a list belongs to the features at ``1 / 2**k`` of the finest size."""

        kind: Literal["hourglass"] = "hourglass"
        stacks: int = Field(default=2, ge=1)  # networks one after the other; 1 makes Hourglass-52
        widths: tuple[Width, ...] = (256, 256, 384, 384, 384, 512)  # channels
        blocks: tuple[Width, ...] = (2, 2, 2, 2, 2, 4)  # residual blocks in a row, wherever some stand
        out_channels: int = Field(default=256, ge=1)
        norm: Norm = "bn"
        checkpointing: bool = False  # recompute a block in the backward pass instead of keeping what it computed

        @model_validator(mode="after")
        def _fits(self) -> Hourglass.Config:
            if len(self.widths) < 2 or len(self.widths) != len(self.blocks):
                raise ValueError(
                    f"widths and blocks need as many entries, two or more; got {len(self.widths)}, {len(self.blocks)}"
                )
            return self

        @property
        def title(self) -> str:
            """The name that papers use; it counts 52 layers per stack."""
            return f"Hourglass-{52 * self.stacks}"

    def __init__(self, config: Hourglass.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Hourglass.Config()
        stacks, width, outputs, norm = config.stacks, config.widths[0], config.out_channels, config.norm
        self.channels = (outputs,) * stacks
        self.strides = (4,) * stacks
        self.stem = nn.Sequential(
            ConvNorm(3, width // 2, 7, stride=2, norm=norm),
            _residuals(config, width // 2, width, 1, stride=2),
        )
        self.hourglass_modules = nn.ModuleList(_Level(config, 0) for _ in range(stacks))
        self.out_convs = nn.ModuleList(ConvNorm(width, outputs, 3, norm=norm) for _ in range(stacks))
        # between two networks: the input of the first and what it returned, added
        between = range(stacks - 1)
        self.inters = nn.ModuleList(_block(config, width, width) for _ in between)
        self.conv1x1s = nn.ModuleList(ConvNorm(width, width, 1, norm=norm, relu=False) for _ in between)
        self.remap_convs = nn.ModuleList(ConvNorm(outputs, width, 1, norm=norm, relu=False) for _ in between)

    def forward(self, x: Tensor) -> list[Tensor]:
        """What each network returns, the last one's last.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, out_channels, ceil(H / 4), ceil(W / 4)]`` per network.
        """
        x = self.stem(x)
        features = []
        for stack, (hourglass, out) in enumerate(zip(self.hourglass_modules, self.out_convs, strict=True)):
            features.append(out(hourglass(x)))
            if stack < len(self.inters):
                x = F.relu_(self.conv1x1s[stack](x) + self.remap_convs[stack](features[-1]))
                x = self.inters[stack](x)
        return features


class _Level(nn.Module):
    """An hourglass from size ``1 / 2**depth`` down: blocks at its own size, added to all that is smaller."""

    def __init__(self, config: Hourglass.Config, depth: int) -> None:
        super().__init__()
        (here, below), blocks = config.widths[depth : depth + 2], config.blocks[depth]
        deepest = depth + 2 == len(config.widths)
        self.up1 = _residuals(config, here, here, blocks)
        self.low1 = _residuals(config, here, below, blocks, stride=2)
        self.low2 = (
            _residuals(config, below, below, config.blocks[-1]) if deepest else _Level(config, depth + 1)
        )  # all smaller sizes
        self.low3 = nn.Sequential(
            *(_block(config, below, below) for _ in range(blocks - 1)), _block(config, below, here)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        up = self.up1(x)
        low = self.low3(self.low2(self.low1(x)))
        return up + F.interpolate(low, size=up.shape[-2:], mode="nearest")


def _residuals(config: Hourglass.Config, inputs: int, outputs: int, count: int, stride: int = 1) -> nn.Sequential:
    """``count`` residual blocks, of which the first changes channels and size."""
    first = _block(config, inputs, outputs, stride)
    return nn.Sequential(first, *(_block(config, outputs, outputs) for _ in range(count - 1)))


def _block(config: Hourglass.Config, inputs: int, outputs: int, stride: int = 1) -> BasicBlock:
    shared = ResNet.Config(depth=18, norm=config.norm, checkpointing=config.checkpointing)
    downsample = None
    if stride != 1 or inputs != outputs:
        conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        downsample = nn.Sequential(conv, build_norm(config.norm, outputs))
    return BasicBlock(shared, inputs, outputs, stride, 1, downsample, plain_conv3x3)
