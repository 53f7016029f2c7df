"""Attention, feed-forward layers, and DETR's encoder and decoder made of them.

Attention Is All You Need, arXiv:1706.03762, 2017; positions in every layer as in arXiv:2005.12872, appendix A.3.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.config import Config


class TransformerConfig(Config):
    """Settings of an encoder or a decoder. Their width is that of the features they are given."""

    layers: int = Field(default=6, ge=1)
    heads: int = Field(default=8, ge=1)  # of attention; they share the width
    hidden: int = Field(default=2048, ge=1)  # channels inside a feed-forward layer
    dropout: float = Field(default=0.1, ge=0, lt=1)  # of attention weights, and of what a sublayer adds


class Attention(nn.Module):
    """Multi-head attention (arXiv:1706.03762, section 3.2.2); parameters are named as in `nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Build for ``width`` channels.

        Raises:
            ValueError: the heads cannot share the width.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads cannot share {width} channels equally")
        self.heads = heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None = None) -> Tensor:
        """What each query gathers.

        Args:
            query: ``[N, Q, C]``.
            key: ``[N, S, C]``.
            value: ``[N, S, C]``.
            seen: bool ``[N, S]``, keys that are looked at, at least one per image; None: all.

        Returns:
            ``[N, Q, C]``.
        """
        inputs = zip((query, key, value), self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3), strict=True)
        q, k, v = (F.linear(*one).unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in inputs)
        mask = None if seen is None else seen[:, None, None, :]
        found = F.scaled_dot_product_attention(q, k, v, mask, self.dropout if self.training else 0.0)
        return self.out_proj(found.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers with ReLU between them (arXiv:1706.03762, section 3.3), named as in published weights."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        first = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout))
        self.layers = nn.Sequential(first, nn.Linear(hidden, width), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """``[..., width]`` to ``[..., width]``."""
        return self.layers(x)


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward layer, each added to its input and then normalized."""

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, config.heads, config.dropout)
        self.ffn = FeedForward(width, config.hidden, config.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, positions: Tensor, seen: Tensor | None) -> Tensor:
        """``x [N, S, C]`` with ``positions [N, S, C]`` and bool ``seen [N, S]`` to ``[N, S, C]``."""
        place = x + positions
        x = self.norms[0](x + self.drop(self.self_attn(place, place, x, seen)))
        return self.norms[1](x + self.ffn(x))


class DecoderLayer(nn.Module):
    """Self-attention, attention to the encoded features, a feed-forward layer; each added and then normalized."""

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, config.heads, config.dropout)
        self.cross_attn = Attention(width, config.heads, config.dropout)
        self.ffn = FeedForward(width, config.hidden, config.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, queries: Tensor, keys: Tensor, memory: Tensor, seen: Tensor | None) -> Tensor:
        """One step of the decoder.

        Args:
            x: ``[N, Q, C]``, what the queries know.
            queries: ``[N, Q, C]``, their learned positions.
            keys: ``[N, S, C]``, encoded features with their positions.
            memory: ``[N, S, C]``, encoded features.
            seen: bool ``[N, S]``, features that are looked at; None: all.

        Returns:
            ``[N, Q, C]``.
        """
        place = x + queries
        x = self.norms[0](x + self.drop(self.self_attn(place, place, x)))
        x = self.norms[1](x + self.drop(self.cross_attn(x + queries, keys, memory, seen)))
        return self.norms[2](x + self.ffn(x))


class Encoder(nn.Module):
    """Layers that let every cell of a feature map look at every other."""

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config, width) for _ in range(config.layers))
        start_transformer(self)

    def forward(self, x: Tensor, positions: Tensor, seen: Tensor | None) -> Tensor:
        """``x [N, S, C]`` with ``positions [N, S, C]`` and bool ``seen [N, S]`` to ``[N, S, C]``."""
        for layer in self.layers:
            x = layer(x, positions, seen)
        return x


class Decoder(nn.Module):
    """Layers in which queries talk to each other and look at the encoded features; all normalized by one last norm."""

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(config, width) for _ in range(config.layers))
        self.post_norm = nn.LayerNorm(width)
        start_transformer(self)

    def forward(
        self, queries: Tensor, memory: Tensor, positions: Tensor, seen: Tensor | None, last_only: bool = False
    ) -> Tensor:
        """What the queries know after each of L layers.

        Args:
            queries: ``[N, Q, C]``, learned positions; what they know starts at zero.
            memory: ``[N, S, C]``, encoded features.
            positions: ``[N, S, C]``, theirs.
            seen: bool ``[N, S]``, features that are looked at; None: all.
            last_only: leave the layers before the last out of the result.

        Returns:
            ``[N, L, Q, C]``, or ``[N, 1, Q, C]``.
        """
        keys = memory + positions
        x = queries.new_zeros(queries.shape)
        states = []
        for layer in self.layers:
            x = layer(x, queries, keys, memory, seen)
            states.append(x)
        return self.post_norm(torch.stack(states[-1:] if last_only else states, 1))


def start_transformer(part: nn.Module) -> None:
    """Every matrix as Xavier's uniform: it keeps the variance through a deep transformer."""
    for parameter in part.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)


def seen_cells(sizes: Tensor, pixels: int, cells: int) -> Tensor:
    """Bool ``[N, cells]``: rows (or columns) of a feature map that belong to images of ``sizes [N, 1]`` pixels.

    A cell belongs to an image if the pixel at its start does, of ``pixels`` on the canvas.
    """
    inside = torch.arange(pixels, device=sizes.device) < sizes
    return F.interpolate(inside.float().unsqueeze(1), size=cells).squeeze(1) > 0


def sine_positions(rows: Tensor, columns: Tensor, width: int, start: float = 1.0, longest: float = 10000.0) -> Tensor:
    """Sines and cosines of a cell's place in its own image (arXiv:2005.12872, appendix A.4).

    Args:
        rows: bool ``[N, H]``, rows of cells that belong to the image; the first ones.
        columns: bool ``[N, W]``, columns, alike.
        width: channels; a multiple of 4.
        start: place of the first cell, in cells; its middle is at 0.5.
        longest: the longest period, in lengths of the image.

    Returns:
        float32 ``[N, H, W, width]``: the first half of the channels tells the row, the second the column.
    """
    down, across = (_waves(seen, width // 2, start, longest) for seen in (rows, columns))
    size = (-1, rows.shape[1], columns.shape[1], -1)
    return torch.cat([down.unsqueeze(2).expand(size), across.unsqueeze(1).expand(size)], -1)


def _waves(seen: Tensor, width: int, start: float, longest: float) -> Tensor:
    """``[N, S]`` to ``[N, S, width]``: the `waves` of cells' places."""
    place = seen.cumsum(1, dtype=torch.float32)
    return waves((place + (start - 1)) / (place[:, -1:] + 1e-6), width, longest)


def waves(place: Tensor, width: int, longest: float = 10000.0) -> Tensor:
    """Sine and cosine in turn, of periods of one to ``longest`` image lengths.

    Args:
        place: ``[...]``, in lengths of the image.
        width: channels.
        longest: see above.

    Returns:
        ``[..., width]``.
    """
    channel = torch.arange(width, device=place.device)
    rate = longest ** (2 * (channel // 2) / width)
    angle = (place * (2 * math.pi)).unsqueeze(-1) / rate
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())
