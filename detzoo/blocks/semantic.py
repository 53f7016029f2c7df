"""The semantic branch that several-stage methods look at the whole image with: arXiv:1901.07518, section 3.3."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from detzoo.blocks.layers import ConvNorm, Norm, ResidualPair
from detzoo.blocks.roi_heads import SingleLevel
from detzoo.config import Config as BaseConfig


class SemanticHead(nn.Module):
    """Layers that fuse a pyramid's levels into one map of C classes, and into features that RoIs are given.

    The steps stand in the methods, where they are taken: `fuse_levels` by ``lateral_convs``, then ``convs``, and of
    that both ``conv_logits`` and ``conv_embedding``, from which ``pool`` takes the features of RoIs.
    """

    class Config(BaseConfig):
        """Settings of `SemanticHead`."""

        classes: int = Field(default=183, ge=1)  # of things and stuff; COCO's maps have 182 and one that is not used
        level: int = Field(default=1, ge=0)  # of the pyramid, counted from the finest, whose size the map has
        convs: int = Field(default=4, ge=0)
        residual: bool = False  # they stand in pairs, with a shortcut around each; SCNet's
        norm: Norm | None = None
        weight: float = Field(default=0.2, ge=0)  # of the loss
        size: int = Field(default=14, ge=1)  # bins per side of a RoI's features, then averaged to as many as wanted
        sampling: int = Field(default=0, ge=0)  # samples per bin and side; 0: adaptive

    def __init__(self, config: SemanticHead.Config, channels: int, levels: int) -> None:
        """Build for that many pyramid levels of ``channels``.

        Raises:
            ValueError: there is no such level.
        """
        super().__init__()
        self.config = config
        self.pool = SingleLevel(config.size, config.sampling)
        if config.level >= levels:
            raise ValueError(f"semantic_head.level={config.level}, but the pyramid has {levels} levels")
        norm = config.norm
        self.lateral_convs = nn.ModuleList(ConvNorm(channels, channels, 1, norm=norm) for _ in range(levels))
        if config.residual:
            convs: list[nn.Module] = [ResidualPair(channels, norm) for _ in range(config.convs // 2)]
        else:
            convs = [ConvNorm(channels, channels, 3, norm=norm) for _ in range(config.convs)]
        self.convs = nn.Sequential(*convs)
        self.conv_embedding = ConvNorm(channels, channels, 1, norm=norm)
        self.conv_logits = nn.Conv2d(channels, config.classes, 1)
        nn.init.kaiming_normal_(self.conv_logits.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.conv_logits.get_parameter("bias"))
