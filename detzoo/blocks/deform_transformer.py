"""Deformable DETR's encoder and decoder: transformer layers that look at a few places of a pyramid's levels.

Deformable DETR: Deformable Transformers for End-to-End Object Detection, arXiv:2010.04159, 2020, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.transformer import Attention, FeedForward, TransformerConfig, start_transformer
from detzoo.ops.boxes import full_precision
from detzoo.ops.deform_attention import deform_attention


class DeformTransformerConfig(TransformerConfig):
    """Settings of an encoder or a decoder with deformable attention."""

    hidden: int = Field(default=1024, ge=1)  # channels inside a feed-forward layer
    points: int = Field(default=4, ge=1)  # places that each head of a query looks at on each level


class Memory(NamedTuple):
    """The cells of a pyramid's L levels, one after the other.

    Attributes:
        cells: ``[N, S, C]``.
        seen: bool ``[N, S]``, cells that belong to the image.
        shapes: rows and columns of each level.
        shares: float32 ``[N, L, 2]``, the part of each level's width and height that belongs to the image.
    """

    cells: Tensor
    seen: Tensor
    shapes: list[tuple[int, int]]
    shares: Tensor


class DeformAttention(nn.Module):
    """Multi-scale deformable attention (equation 3); parameters are named as in published weights."""

    def __init__(self, config: DeformTransformerConfig, width: int, levels: int) -> None:
        """Build for ``width`` channels and so many levels.

        Raises:
            ValueError: the heads cannot share the width.
        """
        super().__init__()
        if width % config.heads:
            raise ValueError(f"{config.heads} heads cannot share {width} channels equally")
        self.layout = config.heads, levels, config.points
        places = config.heads * levels * config.points
        self.sampling_offsets = nn.Linear(width, 2 * places)
        self.attention_weights = nn.Linear(width, places)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)

    def start(self) -> None:
        """Each head looks in a direction of its own, at places one, two, ... cells away, all alike (appendix A.4)."""
        heads, levels, points = self.layout
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        turn = torch.arange(heads) * (2 * math.pi / heads)
        ways = torch.stack([turn.cos(), turn.sin()], -1)
        ways = (ways / ways.abs().amax(-1, keepdim=True))[:, None, None] * torch.arange(1.0, points + 1)[:, None]
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(ways.expand(-1, levels, -1, -1).flatten())

    def forward(self, queries: Tensor, places: Tensor, memory: Memory) -> Tensor:
        """What each query gathers.

        Args:
            queries: ``[N, Q, C]``, with their positions.
            places: float32 ``[N, Q, 2]`` or ``[N, Q, 4]``, reference points ``x, y`` or boxes ``x, y, w, h``, as parts
                of the image's size.
            memory: what they look at.

        Returns:
            ``[N, Q, C]``.
        """
        heads, levels, points = self.layout
        values = self.value_proj(memory.cells).masked_fill(~memory.seen.unsqueeze(-1), 0.0)
        offsets = full_precision(self.sampling_offsets(queries)).unflatten(-1, (heads, levels, points, 2))
        weights = full_precision(self.attention_weights(queries)).unflatten(-1, (heads, levels * points)).softmax(-1)
        # parts of the image -> of each level, padding included: [N, Q, 1, L, 1, 2]
        at = (places[..., None, :2] * memory.shares.unsqueeze(1))[:, :, None, :, None]
        if places.shape[-1] == 2:
            across, down = ([1 / shape[axis] for shape in memory.shapes] for axis in (1, 0))
            moves = torch.stack(
                [_times(offsets[..., 0], across), _times(offsets[..., 1], down)], -1
            )  # cells of each level
        else:
            reach = (places[..., None, 2:] * memory.shares.unsqueeze(1))[:, :, None, :, None]
            moves = offsets * (reach * (0.5 / points))
        found = deform_attention(
            values.unflatten(-1, (heads, -1)), memory.shapes, at + moves, weights.unflatten(-1, (levels, points))
        )
        return self.output_proj(found)


def _times(values: Tensor, factors: Sequence[float]) -> Tensor:
    """``values [N, Q, M, L, P]`` times one number per level, without a tensor of them: its copy would be waited for."""
    return torch.stack([part * factor for part, factor in zip(values.unbind(3), factors, strict=True)], 3)


class DeformEncoderLayer(nn.Module):
    """Deformable self-attention and a feed-forward layer, each added to its input and then normalized."""

    def __init__(self, config: DeformTransformerConfig, width: int, levels: int) -> None:
        super().__init__()
        self.self_attn = DeformAttention(config, width, levels)
        self.ffn = FeedForward(width, config.hidden, config.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, memory: Memory, positions: Tensor, places: Tensor) -> Tensor:
        """Memory of S cells with ``positions [N, S, C]`` at ``places [N, S, 2]`` to cells ``[N, S, C]``."""
        x = memory.cells
        x = self.norms[0](x + self.drop(self.self_attn(x + positions, places, memory)))
        return self.norms[1](x + self.ffn(x))


class DeformDecoderLayer(nn.Module):
    """Self-attention, deformable attention to the pyramid, a feed-forward layer; each added and then normalized."""

    def __init__(self, config: DeformTransformerConfig, width: int, levels: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, config.heads, config.dropout)
        self.cross_attn = DeformAttention(config, width, levels)
        self.ffn = FeedForward(width, config.hidden, config.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, queries: Tensor, places: Tensor, memory: Memory) -> Tensor:
        """What queries ``x [N, Q, C]`` with positions ``queries`` know after a step; ``places`` as of the attention."""
        place = x + queries
        x = self.norms[0](x + self.drop(self.self_attn(place, place, x)))
        x = self.norms[1](x + self.drop(self.cross_attn(x + queries, places, memory)))
        return self.norms[2](x + self.ffn(x))


class DeformEncoder(nn.Module):
    """Layers that let every cell of a pyramid look at a few places around it on all levels."""

    def __init__(self, config: DeformTransformerConfig, width: int, levels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DeformEncoderLayer(config, width, levels) for _ in range(config.layers))
        start_layers(self)

    def forward(self, memory: Memory, positions: Tensor, places: Tensor) -> Memory:
        """Memory of S cells with ``positions [N, S, C]`` at ``places [N, S, 2]``, encoded."""
        for layer in self.layers:
            memory = memory._replace(cells=layer(memory, positions, places))
        return memory


class DeformDecoder(nn.Module):
    """Layers in which queries talk to each other and look at the pyramid."""

    def __init__(self, config: DeformTransformerConfig, width: int, levels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DeformDecoderLayer(config, width, levels) for _ in range(config.layers))
        start_layers(self)


def start_layers(part: nn.Module) -> None:
    """Matrices as Xavier's uniform, deformable attention as it says itself."""
    start_transformer(part)
    for module in part.modules():
        if isinstance(module, DeformAttention):
            module.start()
