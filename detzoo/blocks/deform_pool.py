"""Deformable RoI pooling: Deformable Convolutional Networks, arXiv:1703.06211, 2017, and v2, arXiv:1811.11168."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.config import Config as BaseConfig
from detzoo.ops.deform_roi_pool import deform_roi_pool
from detzoo.ops.roi_align import Atlas, pyramid_levels, roi_align


class DeformPool(nn.Module):
    """RoIs pooled twice from the level of their size: the first features say where each bin stands and what it counts.

    Section 2.2 of the first paper, 3.2 of the second. Every level has layers of its own, and each RoI goes through
    those of all levels, so that no shape depends on the data: four times the multiplications that it needs. Parameters
    are named as MMDetection names them.
    """

    class Config(BaseConfig):
        """Settings of `DeformPool`."""

        kind: Literal["deform"] = "deform"
        version: Literal[1, 2] = 1  # 2: and how much each bin counts, from 0 to 1
        channels: int = Field(default=1024, ge=1)  # of the layers that find offsets
        reach: float = Field(default=0.1, gt=0)  # how far an offset of 1 moves a bin, as a share of the RoI's sides

        def build(self, channels: int, levels: int, size: int, sampling: int) -> DeformPool:
            """The extractor; see `detzoo.blocks.roi_heads.AnyRoIExtractor`."""
            return DeformPool(self, channels, levels, size, sampling)

    def __init__(self, config: DeformPool.Config, channels: int, levels: int, size: int, sampling: int) -> None:
        """Build for ``levels`` of ``channels``, and RoIs of ``size`` bins with ``sampling`` samples per side."""
        super().__init__()
        self.config, self.size, self.sampling = config, size, sampling
        self.roi_layers = nn.ModuleList()
        for _ in range(levels):
            found = {"offset_fc": _layers(channels * size**2, config.channels, 3, 2 * size**2)}
            if config.version == 2:
                found["mask_fc"] = _layers(channels * size**2, config.channels, 2, size**2).append(nn.Sigmoid())
            self.roi_layers.append(nn.ModuleDict(found))

    def forward(self, atlas: Atlas, boxes: Tensor) -> Tensor:
        """Features ``[N * R, C, size, size]`` of boxes ``[N, R, 4]``."""
        levels = pyramid_levels(boxes, len(atlas.strides))
        still = roi_align(atlas, boxes, levels, self.size, self.sampling).flatten(1)
        offsets = self._found("offset_fc", still, levels)
        x = deform_roi_pool(atlas, boxes, levels, offsets, self.sampling, self.config.reach)
        return x * self._found("mask_fc", still, levels) if self.config.version == 2 else x

    def _found(self, layers: str, x: Tensor, levels: Tensor) -> Tensor:
        """What the layers of each RoI's level make of it: ``[N * R, 1 or 2, size, size]``."""
        every = torch.stack([layer.get_submodule(layers)(x) for layer in self.roi_layers], 1)
        mine = every.gather(1, levels.view(-1, 1, 1).expand(-1, -1, every.shape[2]))
        return mine.squeeze(1).unflatten(1, (-1, self.size, self.size))


def _layers(inputs: int, hidden: int, count: int, outputs: int) -> nn.Sequential:
    """Fully connected layers, of which the last begins with zeros."""
    widths = [inputs, *[hidden] * (count - 1)]
    layers: list[nn.Module] = []
    for before, after in zip(widths, [*widths[1:], outputs], strict=True):
        layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
    last = layers[-2]
    nn.init.zeros_(last.get_parameter("weight"))
    nn.init.zeros_(last.get_parameter("bias"))
    return nn.Sequential(*layers[:-1])
