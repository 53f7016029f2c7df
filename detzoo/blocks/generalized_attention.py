"""Generalized attention.

An Empirical Study of Spatial Attention Mechanisms in Deep Networks, arXiv:1904.05873, 2019, sections 3.1 and 3.2: an
attention weight is a sum of four terms, each of which may be left out.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.layers import Conv2d
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import full_precision

WAVE_LENGTH = 1000.0  # of the slowest wave that encodes a distance, over two pi


class GeneralizedAttention(nn.Module):
    """Every place adds what it attends to among all places of its image (equations 1 to 5).

    Parameters are named as MMDetection names them. Fresh it adds nothing. With a term that depends on the query's place
    (any but the third) it holds ``heads`` weights for each pair of a place and a key: of a map of 50 x 84 cells with 8
    heads and keys at every second cell 141 MB in float32 per image, and a few times that while they are computed. With
    the third term alone it holds ``heads`` weights per key.
    """

    NAME = "gen_attention_block"  # of the module in a stage's block, as published weights have it

    class Config(BaseConfig):
        """Settings of `GeneralizedAttention`."""

        kind: Literal["attention"] = "attention"
        # which terms are summed: query and key content; query content and relative position; key content; position
        terms: str = Field(default="1111", pattern="^[01]{4}$")
        heads: int = Field(default=9, ge=1)  # of attention, each of channels // heads channels
        key_stride: int = Field(default=2, ge=1)  # cells between keys
        # the query whose vertical distances count is that of row x and column y instead of y and x: what MMDetection
        # computes with the second term and without the fourth, and its GRoIE models learned; for square maps
        transposed: bool = False

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``attention-1111``."""
            return f"attention-{self.terms}"

        def build(self, channels: int) -> GeneralizedAttention:
            """The block for features of ``channels``."""
            return GeneralizedAttention(self, channels)

    def __init__(self, config: GeneralizedAttention.Config, channels: int) -> None:
        """Build for features of ``channels``.

        Raises:
            ValueError: there are fewer channels than heads, or they are no multiple of 4.
        """
        super().__init__()
        if channels < config.heads or channels % 4:
            raise ValueError(f"attention needs a multiple of 4 channels and {config.heads} or more, got {channels}")
        self.heads, self.key_stride, self.transposed = config.heads, config.key_stride, config.transposed
        by_content, by_distance, of_keys, of_places = (term == "1" for term in config.terms)
        width = channels // config.heads * config.heads
        self.query_conv = Conv2d(channels, width, 1, bias=False) if by_content or by_distance else None
        self.key_conv = Conv2d(channels, width, 1, bias=False) if by_content or of_keys else None
        self.value_conv = Conv2d(channels, width, 1, bias=False)
        distances = by_distance or of_places
        self.appr_geom_fc_x = nn.Linear(channels // 2, width, bias=False) if distances else None
        self.appr_geom_fc_y = nn.Linear(channels // 2, width, bias=False) if distances else None
        self.appr_bias = nn.Parameter(torch.empty(width)) if of_keys else None
        self.geom_bias = nn.Parameter(torch.empty(width)) if of_places else None
        self.proj_conv = Conv2d(width, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.by_content, self.by_distance = by_content, by_distance
        self.by_place = by_content or by_distance or of_places  # attention differs from place to place
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, a=1)
        nn.init.zeros_(self.proj_conv.get_parameter("bias"))
        for bias in (self.appr_bias, self.geom_bias):
            if bias is not None:
                bound = 1 / math.sqrt(2 * len(bias) // self.heads)
                nn.init.uniform_(bias, -bound, bound)
        nn.init.zeros_(self.gamma)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` to the same shape.

        Raises:
            ValueError: the map is not square, but attention is ``transposed``.
        """
        height, width = x.shape[2:]
        if self.transposed and height != width:
            raise ValueError(f"transposed attention needs square maps, got {height} x {width}")
        seen = x[:, :, :: self.key_stride, :: self.key_stride]
        queries = None if self.query_conv is None else self._split(self.query_conv(x))
        values = self._split(self.value_conv(seen))
        weights = full_precision(self._energies(x, seen, queries)).softmax(-1).to(values.dtype)
        gathered = weights @ values  # [N, heads, H W or 1, channels of a head]
        maps = gathered.mT.flatten(1, 2).unflatten(2, (height, width) if self.by_place else (1, 1))
        return self.gamma * self.proj_conv(maps) + x

    def _split(self, maps: Tensor) -> Tensor:
        """``[N, heads * d, H, W]`` to ``[N, heads, H * W, d]``."""
        return maps.flatten(2).unflatten(1, (self.heads, -1)).mT

    def _energies(self, x: Tensor, seen: Tensor, queries: Tensor | None) -> Tensor:
        """Logits of attention ``[N, heads, H W or 1, keys]``; one row where they are the same for all places."""
        height, width = x.shape[2:]
        energies = x.new_zeros(x.shape[0], self.heads, 1, seen.shape[2] * seen.shape[3])
        if self.key_conv is not None:
            asking = _sum(queries if self.by_content else None, self._of_head(self.appr_bias))
            energies = energies + asking @ self._split(self.key_conv(seen)).mT
        if self.appr_geom_fc_x is not None and self.appr_geom_fc_y is not None:
            asking = _sum(queries if self.by_distance else None, self._of_head(self.geom_bias))
            asking = asking.unflatten(2, (height, width) if self.by_distance else (1, 1))
            across = self._distances(self.appr_geom_fc_x, width, seen.shape[3], x)
            down = self._distances(self.appr_geom_fc_y, height, seen.shape[2], x)
            across = torch.einsum("nmhwd,wkmd->nmhwk", asking, across)
            down = torch.einsum("nmhwd,hkmd->nmhwk", asking.transpose(2, 3) if self.transposed else asking, down)
            distant = down.unsqueeze(5) + across.unsqueeze(4)
            energies = energies + distant.flatten(4).flatten(2, 3)
        return energies

    def _of_head(self, bias: Tensor | None) -> Tensor | None:
        """``[heads * d]`` as ``[1, heads, 1, d]``."""
        return None if bias is None else bias.view(1, self.heads, 1, -1)

    def _distances(self, layer: nn.Linear, places: int, keys: int, x: Tensor) -> Tensor:
        """Transformed encodings of the distance between each place and key of a line: ``[places, keys, heads, d]``.

        Sines and cosines of waves as in arXiv:1706.03762, section 3.5.
        """
        wide = torch.promote_types(x.dtype, torch.float32)  # half precision has too few digits for a place
        count = layer.in_features // 2
        place = torch.arange(places, dtype=wide, device=x.device)
        key = torch.arange(keys, dtype=wide, device=x.device) * self.key_stride
        wave = WAVE_LENGTH ** (torch.arange(count, dtype=wide, device=x.device) / count)
        angle = (place[:, None, None] - key[:, None]) / wave
        encoded = torch.cat([angle.sin(), angle.cos()], 2).to(layer.weight.dtype)
        return layer(encoded).unflatten(2, (self.heads, -1)) / math.sqrt(2)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor:
    """The sum of those that are there, of which one is."""
    if a is None or b is None:
        one = b if a is None else a
        assert one is not None
        return one
    return a + b
