"""CBNet: A Novel Composite Backbone Network Architecture for Object Detection, arXiv:1909.03625, 2019."""

from __future__ import annotations

from typing import Literal, cast

from torch import Tensor, nn

from detzoo.backbones.frozen import PartlyFrozen
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.layers import BatchNorm2d, ConvNorm
from detzoo.config import Config as BaseConfig


class CBNet(PartlyFrozen):
    """Two equal ResNets, of which the second is told what each stage of the first has found.

    To what goes into a stage of ``lead`` what the same stage of ``assistant`` gave is added, through a 1x1 convolution
    and resized to the nearest cell (section 3.1, adjacent higher-level composition). Both see the picture.

    Attributes:
        channels: of each returned feature map, all of ``lead``.
        strides: input pixels per cell of each returned feature map.
    """

    class Config(BaseConfig):
        """Settings of `CBNet`."""

        kind: Literal["cbnet"] = "cbnet"
        network: ResNet.Config = ResNet.Config()  # of both

        @property
        def title(self) -> str:
            """The name that papers use, e.g. ``Dual-ResNet-50``."""
            return f"Dual-{self.network.title}"

        def build(self) -> CBNet:
            """The network of these settings, with random weights."""
            return CBNet(self)

    def __init__(self, config: CBNet.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or CBNet.Config()
        network = config.network
        every = tuple(range(1, network.out_stages[-1] + 1))
        self.assistant, self.lead = ResNet(network.replace(out_stages=every)), ResNet(network)
        found = self.assistant.channels
        wanted = (64, *found)
        self.connections = nn.ModuleList(
            ConvNorm(inputs, outputs, 1, norm=network.norm) for inputs, outputs in zip(found, wanted, strict=False)
        )
        self.channels, self.strides = self.lead.channels, self.lead.strides
        for connection in self.connections:
            nn.init.kaiming_normal_(connection.get_parameter("conv.weight"), mode="fan_out", nonlinearity="relu")
            norm = cast("BatchNorm2d | nn.GroupNorm", connection.get_submodule(network.norm))
            norm.eps = network.norm_eps
            norm.requires_grad_(not network.norm_frozen)
        self.freeze(network.norm_eval)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the asked stages of the second network, finest first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            One ``[N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])]`` per output stage.
        """
        found = self.assistant(x)
        return self.lead.composed(x, [connect(one) for connect, one in zip(self.connections, found, strict=True)])

    def frozen_parts(self) -> list[nn.Module]:
        """What is frozen of both networks, and the connections to frozen stages."""
        connections = list(self.connections)[: max(0, self.config.network.frozen_stages)]
        return [*self.assistant.frozen_parts(), *self.lead.frozen_parts(), *connections]
