"""The last stage of a ResNet as the head of a two-stage detector: it runs on every pooled RoI.

Deep Residual Learning, arXiv:1512.03385, appendix A; the "C4" models of Mask R-CNN, arXiv:1703.06870, figure 4 left.
"""

from __future__ import annotations

from torch import Tensor

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.frozen import PartlyFrozen
from detzoo.backbones.resnet import ResNet, build_stage, initialize


class RoIStage(PartlyFrozen):
    """Stage 4 of a ResNet whose backbone ends with stage 3, in the backbone's style and with its normalization.

    Attributes:
        channels: of what it returns.
    """

    STRIDE = 2

    def __init__(self, backbone: AnyBackbone) -> None:
        """Build to go behind ``backbone``.

        Raises:
            ValueError: the backbone is no ResNet, or has its stage 4 already.
        """
        super().__init__()
        if not isinstance(backbone, ResNet.Config):
            raise ValueError(f"roi_stage needs a backbone of kind 'resnet', got {backbone.kind!r}")
        if len(backbone.strides) != 3:
            raise ValueError(
                f"the RoI stage is the backbone's fourth: its strides need three entries, got {backbone.strides}"
            )
        whole = backbone.replace(strides=(*backbone.strides, self.STRIDE), dilations=(*backbone.dilations, 1))
        expansion = 1 if backbone.depth < 50 else 4
        self.layer4 = build_stage(whole, 4, 256 * expansion)
        self.channels = 512 * expansion
        initialize(self, backbone.zero_init)
        self.freeze(backbone.norm_eval)

    def forward(self, x: Tensor) -> Tensor:
        """Pooled RoIs ``[R, C, s, s]`` to ``[R, channels, ceil(s / 2), ceil(s / 2)]``."""
        return self.layer4(x)
