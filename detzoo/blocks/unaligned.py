"""RoIAlign as it was before its half-pixel shift, by that of today."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from detzoo.config import Config as BaseConfig
from detzoo.ops.roi_align import Atlas, pyramid_levels, roi_align


class Unaligned(nn.Module):
    """Pooling of MMDetection 1.x: as `SingleLevel`, but with the value of a cell at its corner, not at its middle.

    Every RoI is a cell wide and high at least. It is ``aligned=False`` of Detectron2 and torchvision.
    """

    class Config(BaseConfig):
        """Settings of `Unaligned`."""

        kind: Literal["unaligned"] = "unaligned"
        last_pixel: bool = False  # a RoI ends at the corner of its last pixel, a pixel sooner than its box

        def build(self, channels: int, levels: int, size: int, sampling: int) -> Unaligned:
            """The extractor; see `AnyRoIExtractor`."""
            return Unaligned(size, sampling, self.last_pixel)

    def __init__(self, size: int, sampling: int, last_pixel: bool = False) -> None:
        """Build for ``size`` bins per side with ``sampling`` samples per bin and side; 0: adaptive."""
        super().__init__()
        self.size, self.sampling, self.last_pixel = size, sampling, last_pixel

    def forward(self, atlas: Atlas, boxes: Tensor) -> Tensor:
        """Features ``[N * R, C, size, size]`` of boxes ``[N, R, 4]``."""
        levels = pyramid_levels(boxes, len(atlas.strides))
        cell = (atlas.strides[0] << levels).to(boxes.dtype).unsqueeze(-1)
        low, high = boxes[..., :2], boxes[..., 2:] - int(self.last_pixel)
        moved = torch.cat([low, torch.maximum(high, low + cell)], -1) + cell / 2
        return roi_align(atlas, moved, levels, self.size, self.sampling)
