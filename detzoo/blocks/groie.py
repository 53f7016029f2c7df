"""GRoIE: A novel Region of Interest Extraction Layer for Instance Segmentation, arXiv:2004.13665, 2020."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.generalized_attention import GeneralizedAttention
from detzoo.blocks.layers import ConvNorm
from detzoo.blocks.plugins import AnyPlugin
from detzoo.config import Config as BaseConfig
from detzoo.ops.roi_align import Atlas, roi_align

ATTENTION = GeneralizedAttention.Config(terms="0100", heads=6, transposed=True)


class GRoIE(nn.Module):
    """Every RoI pooled from all levels: each level's features are convolved, summed, and attend to each other.

    Section 3 and figure 2. Parameters are named as MMDetection names them. Holds the pooled features of all levels at
    once, before and after the convolution: of 1000 RoIs of 7 x 7 bins, 256 channels and four levels twice 201 MB in
    float32.
    """

    class Config(BaseConfig):
        """Settings of `GRoIE`."""

        kind: Literal["groie"] = "groie"
        kernel: Literal[1, 3, 5, 7] | None = 5  # of the convolution on each level's features; None: there is none
        after: AnyPlugin | None = Field(default=ATTENTION)  # on their sum

        def build(self, channels: int, levels: int, size: int, sampling: int) -> GRoIE:
            """The extractor; see `detzoo.blocks.roi_heads.AnyRoIExtractor`."""
            return GRoIE(self, channels, size, sampling)

    def __init__(self, config: GRoIE.Config, channels: int, size: int, sampling: int) -> None:
        """Build for levels of ``channels``, and RoIs of ``size`` bins with ``sampling`` samples per side."""
        super().__init__()
        self.size, self.sampling = size, sampling
        self.pre_module = None if config.kernel is None else ConvNorm(channels, channels, config.kernel)
        self.post_module = None if config.after is None else config.after.build(channels)

    def forward(self, atlas: Atlas, boxes: Tensor) -> Tensor:
        """Features ``[N * R, C, size, size]`` of boxes ``[N, R, 4]``."""
        images, count = boxes.shape[:2]
        levels = len(atlas.strides)
        level = torch.arange(levels, device=boxes.device)[:, None].expand(levels, count).flatten()
        every = boxes.repeat(1, levels, 1)
        x = roi_align(atlas, every, level.expand(images, -1), self.size, self.sampling)
        if self.pre_module is not None:
            x = self.pre_module(x)
        x = x.unflatten(0, (images, levels, count)).sum(1).flatten(0, 1)
        return x if self.post_module is None else self.post_module(x)
