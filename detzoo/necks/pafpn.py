"""Feature pyramid with a second pathway, from fine to coarse.

Path Aggregation Network for Instance Segmentation, arXiv:1803.01534, 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from detzoo.blocks.layers import ConvNorm, start_xavier
from detzoo.necks.fpn import Pyramid, PyramidConfig


class PAFPN(Pyramid):
    """A feature pyramid and bottom-up path augmentation (arXiv:1803.01534, section 3.1 and figure 1b).

    ``N_k = conv3x3(B_k)`` with ``B_k = P_k + conv3x3(B_{k-1})`` of stride 2; the finest stays as it is. As the
    published weights were trained, ``B_k`` comes from ``B_{k-1}`` (in the paper from ``N_{k-1}``), and no ReLU follows.
    Parameters are named as in published MMDetection weights.
    """

    class Config(PyramidConfig):
        """Settings of `PAFPN`."""

        kind: Literal["pafpn"] = "pafpn"

        def build(self, channels: Sequence[int], strides: Sequence[int]) -> PAFPN:
            """The neck of these settings for a backbone that returns maps of these ``channels`` and ``strides``."""
            return PAFPN(self, channels, strides)

    def __init__(self, config: PAFPN.Config, channels: Sequence[int], strides: Sequence[int]) -> None:
        """Build for a backbone that returns maps of these ``channels`` and ``strides``; errors as of `Pyramid`."""
        super().__init__(config, channels, strides)
        out, coarser = config.out_channels, range(len(self.lateral_convs) - 1)
        shared: dict[str, Any] = {"norm": config.norm, "relu": False, "standardize": config.standardize}
        self.downsample_convs = nn.ModuleList(ConvNorm(out, out, 3, stride=2, **shared) for _ in coarser)
        self.pafpn_convs = nn.ModuleList(ConvNorm(out, out, 3, **shared) for _ in coarser)
        start_xavier(self)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Pyramid maps ``[N, out_channels, H, W]``, finest first, of the backbone's ``features [N, C_i, H_i, W_i]``."""
        used = features[self.config.start : self.end]
        merged = self.merged(used)
        path = self.smoothed(merged)
        for index, conv in enumerate(self.downsample_convs):
            path[index + 1] = path[index + 1] + conv(path[index])
        outputs = path[:1] + [conv(level) for conv, level in zip(self.pafpn_convs, path[1:], strict=True)]
        return self.extended(outputs, used, merged)
