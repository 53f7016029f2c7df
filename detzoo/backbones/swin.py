"""Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, arXiv:2103.14030, 2021.

Beside timm's Swin this one moves windows over the padded map, as MMDetection does; of maps that windows do not tile
the two compute different features.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from detzoo.backbones.chosen import check_chosen, check_frozen
from detzoo.backbones.frozen import PartlyFrozen
from detzoo.blocks.layers import Conv2d
from detzoo.config import Config as BaseConfig

MASKED = -100.0  # added to what a cell may not look at, before the softmax
PATCH = 4  # pixels of the stem's stride

# width and blocks of the paper's section 3.3 -> name
TITLES: dict[tuple[int, tuple[int, ...]], str] = {
    (96, (2, 2, 6, 2)): "Swin-T",
    (96, (2, 2, 18, 2)): "Swin-S",
    (128, (2, 2, 18, 2)): "Swin-B",
    (192, (2, 2, 18, 2)): "Swin-L",
}


class Swin(PartlyFrozen):
    """Attention inside windows, every second time shifted by half a window (figure 3). Named as in MMDetection.

    Attributes:
        channels: of each returned map.
        strides: input pixels per cell of each returned map.
    """

    class Config(BaseConfig):
        """Settings of `Swin`. Stage k, from 1 on, has ``width * 2**(k - 1)`` channels; its stride is 2 to the k + 1."""

        kind: Literal["swin"] = "swin"
        width: int = Field(default=96, ge=1)  # channels of the first stage
        blocks: tuple[int, ...] = Field(default=(2, 2, 6, 2), min_length=1)  # of each stage
        heads: tuple[int, ...] = (3, 6, 12, 24)  # of the attention in each stage
        window: int = Field(default=7, ge=2)  # cells of a window's edge
        ratio: int = Field(default=4, ge=1)  # channels between the layers of a block, as multiple of its own
        qkv_bias: bool = True
        out_stages: tuple[int, ...] = (1, 2, 3, 4)  # stages whose output is returned, with a norm of its own
        drop_path: float = Field(default=0.1, ge=0, lt=1)  # how often training skips the last block, others less often
        frozen_stages: int = Field(default=-1, ge=-1)  # -1: none; 0: the stem; k: stem and stages 1 to k
        checkpointing: bool = False  # recompute a block in the backward pass instead of keeping what it computed

        @model_validator(mode="after")
        def _fits(self) -> Swin.Config:
            stages = len(self.blocks)
            if len(self.heads) != stages:
                raise ValueError(f"blocks and heads need as many entries, got {stages} and {len(self.heads)}")
            for stage, heads in enumerate(self.heads):
                if heads < 1 or self.width * 2**stage % heads:
                    raise ValueError(f"{self.width * 2**stage} channels of stage {stage + 1} are not for {heads} heads")
            check_chosen("out_stages", self.out_stages, stages)
            check_frozen(self.frozen_stages, stages)
            return self

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``Swin-T``."""
            return TITLES.get((self.width, self.blocks), f"Swin-{self.width}")

        def build(self) -> Swin:
            """The network of these settings, with random weights."""
            return Swin(self)

    def __init__(self, config: Swin.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Swin.Config()
        stem = {"projection": Conv2d(3, config.width, PATCH, PATCH), "norm": nn.LayerNorm(config.width)}
        self.patch_embed = nn.ModuleDict(stem)
        last = max(sum(config.blocks) - 1, 1)
        rates = [config.drop_path * number / last for number in range(sum(config.blocks))]
        self.stages = nn.ModuleList()
        for stage, blocks in enumerate(config.blocks):
            self.stages.append(_Stage(config, stage, [rates.pop(0) for _ in range(blocks)]))
        self.channels = tuple(config.width * 2 ** (stage - 1) for stage in config.out_stages)
        self.strides = tuple(PATCH * 2 ** (stage - 1) for stage in config.out_stages)
        for stage, channels in zip(config.out_stages, self.channels, strict=True):
            self.add_module(f"norm{stage - 1}", nn.LayerNorm(channels))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.freeze(norm_eval=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the asked stages, finest first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])]`` per output stage.
        """
        x = F.pad(x, (0, -x.shape[3] % PATCH, 0, -x.shape[2] % PATCH))
        x = self.patch_embed["norm"](self.patch_embed["projection"](x).permute(0, 2, 3, 1))
        features = []
        for stage in range(1, self.config.out_stages[-1] + 1):
            if stage > 1:
                x = self.get_submodule(f"stages.{stage - 2}.downsample")(x)
            x = self.stages[stage - 1](x)
            if stage in self.config.out_stages:
                features.append(self.get_submodule(f"norm{stage - 1}")(x).permute(0, 3, 1, 2))
        return features

    def frozen_parts(self) -> list[nn.Module]:
        """The stem and the stages that are frozen, with the norms of their output."""
        last = self.config.frozen_stages
        norms = [self.get_submodule(f"norm{stage - 1}") for stage in self.config.out_stages if stage <= last]
        return [self.patch_embed, *self.stages[:last], *norms] if last >= 0 else []


class _Stage(nn.Module):
    """Blocks in a row, every second one of shifted windows, and what leads to the next stage (section 3.1)."""

    def __init__(self, config: Swin.Config, stage: int, rates: list[float]) -> None:
        super().__init__()
        channels = config.width * 2**stage
        self.window, self.checkpointing = config.window, config.checkpointing
        self.blocks = nn.ModuleList(_Block(config, channels, config.heads[stage], rate) for rate in rates)
        if stage + 1 < len(config.blocks):
            self.downsample = _Merging(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, H, W, C]`` to the same shape; the rest of the last windows is filled with zeros."""
        edge, (height, width) = self.window, x.shape[1:3]
        rows, columns = (_parts(size + -size % edge, edge, x.device) for size in (height, width))
        parts = _windows((3 * rows[:, None] + columns)[None, :, :, None], edge).flatten(0, 1).squeeze(-1)
        # a shifted window at the end holds cells from both ends of the map, which do not look at each other
        mask = torch.where(parts[:, :, None] == parts[:, None, :], 0.0, MASKED).to(x.dtype)[:, None]
        for number, block in enumerate(self.blocks):
            inputs = (x, edge // 2, mask) if number % 2 else (x, 0, None)
            use = self.checkpointing and torch.is_grad_enabled()
            x = checkpoint(block, *inputs, use_reentrant=False) if use else block(*inputs)
        return x


def _parts(size: int, edge: int, device: torch.device) -> Tensor:
    """Of each cell of a shifted edge of the map, int64 ``[size]``: 0; in the last window 1, or 2 from the front."""
    place = torch.arange(size, device=device)
    return (place >= size - edge).long() + (place >= size - edge // 2)


def _windows(x: Tensor, edge: int) -> Tensor:
    """``[N, H, W, C]``, of edges that are multiples of a window's, to ``[N, windows, edge * edge, C]``."""
    return x.unflatten(1, (-1, edge)).unflatten(3, (-1, edge)).transpose(2, 3).flatten(3, 4).flatten(1, 2)


class _Block(nn.Module):
    """Attention in windows, then two layers for each cell, each with a norm before and a shortcut (equation 3)."""

    def __init__(self, config: Swin.Config, channels: int, heads: int, rate: float) -> None:
        super().__init__()
        self.window, inner = config.window, config.ratio * channels
        self.norm1 = nn.LayerNorm(channels)
        self.attn = nn.ModuleDict({"w_msa": _Attention(channels, heads, config.window, config.qkv_bias)})
        self.norm2 = nn.LayerNorm(channels)
        layers = nn.Sequential(nn.Sequential(nn.Linear(channels, inner), nn.GELU()), nn.Linear(inner, channels))
        self.ffn = nn.ModuleDict({"layers": layers})
        self.rate = rate

    def drop(self, x: Tensor) -> Tensor:
        """In training, zeros in place of some images' ``x [N, H, W, C]``, and the others' made larger for it."""
        if not self.training or self.rate == 0:
            return x
        return x * x.new_empty((len(x), 1, 1, 1)).bernoulli_(1 - self.rate).div_(1 - self.rate)

    def forward(self, x: Tensor, shift: int, mask: Tensor | None) -> Tensor:
        """``[N, H, W, C]`` to the same shape.

        Args:
            x: features.
            shift: cells by which windows are moved to the lower right.
            mask: ``[windows, 1, cells, cells]``, added to what a cell finds of another in its window.
        """
        edge, (height, width) = self.window, x.shape[1:3]
        moved = F.pad(self.norm1(x), (0, 0, 0, -width % edge, 0, -height % edge)).roll((-shift, -shift), (1, 2))
        rows, columns = (size // edge for size in moved.shape[1:3])
        seen = self.attn["w_msa"](_windows(moved, edge), mask)
        seen = seen.unflatten(2, (edge, edge)).unflatten(1, (rows, columns)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        x = x + self.drop(seen.roll((shift, shift), (1, 2))[:, :height, :width])
        return x + self.drop(self.ffn["layers"](self.norm2(x)))


class _Attention(nn.Module):
    """Between the cells of a window, with a learned bias for each difference of places (equation 4)."""

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, window: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        place = torch.cartesian_prod(torch.arange(window), torch.arange(window))
        apart = place[:, None] - place + window - 1  # from 0 on, in rows and columns
        index = apart[..., 0] * (2 * window - 1) + apart[..., 1]
        self.register_buffer("relative_position_index", index, persistent=False)
        self.qkv = nn.Linear(channels, 3 * channels, bias=bias)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """``[N, windows, cells, C]`` to the same shape; ``mask``: see `_Block`."""
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        # four dimensions, as fused kernels and ONNX want it: a mask is of windows and heads, without it images join
        query, key, value = (parts.flatten(1, 2) if mask is None else parts.flatten(2, 3)).unbind()
        bias = bias if mask is None else (bias + mask).flatten(0, 1)
        seen = F.scaled_dot_product_attention(query, key, value, bias)
        seen = seen.unflatten(0, (-1, x.shape[1])) if mask is None else seen.unflatten(1, (-1, self.heads))
        return self.proj(seen.transpose(2, 3).flatten(3))


class _Merging(nn.Module):
    """Four cells become one of half of their channels together (section 3.1); an odd edge is filled with zeros.

    Features of the four stand by channel, then by row and column, as MMDetection's weights have them and not the
    original's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, H, W, C]`` to ``[N, ceil(H / 2), ceil(W / 2), 2 * C]``."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        x = x.unflatten(1, (-1, 2)).unflatten(3, (-1, 2)).permute(0, 1, 3, 5, 2, 4).flatten(3)
        return self.reduction(self.norm(x))
