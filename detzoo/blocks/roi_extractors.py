"""How RoIs are pooled from the levels of a pyramid, as one closed union."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.groie import GRoIE
from detzoo.config import Config as BaseConfig
from detzoo.ops.roi_align import Atlas, pyramid_levels, roi_align


class SingleLevel(nn.Module):
    """RoIAlign (arXiv:1703.06870, section 3) from the level that fits a RoI's size (arXiv:1612.03144, equation 1)."""

    class Config(BaseConfig):
        """Settings of `SingleLevel`."""

        kind: Literal["single"] = "single"

        def build(self, channels: int, levels: int, size: int, sampling: int) -> SingleLevel:
            """The extractor; see `AnyRoIExtractor`."""
            return SingleLevel(size, sampling)

    def __init__(self, size: int, sampling: int) -> None:
        """Build for ``size`` bins per side with ``sampling`` samples per bin and side; 0: adaptive."""
        super().__init__()
        self.size, self.sampling = size, sampling

    def forward(self, atlas: Atlas, boxes: Tensor) -> Tensor:
        """Features ``[N * R, C, size, size]`` of boxes ``[N, R, 4]``."""
        return roi_align(atlas, boxes, pyramid_levels(boxes, len(atlas.strides)), self.size, self.sampling)


# Each is a `nn.Module` from an atlas and boxes ``[N, R, 4]`` to ``[N * R, C, size, size]``; its ``Config`` has a
# ``kind`` and ``build(channels, levels, size, sampling)``: of the maps, how many, and the head's bins and samples.
AnyRoIExtractor: TypeAlias = Annotated[SingleLevel.Config | GRoIE.Config, Field(discriminator="kind")]
