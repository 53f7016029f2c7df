"""VGG as SSD uses it.

Very Deep Convolutional Networks, arXiv:1409.1556, 2014; the classifier made convolutional as in DeepLab,
arXiv:1412.7062, and SSD, arXiv:1512.02325, section 3.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.layers import Conv2d
from detzoo.config import Config as BaseConfig

CONVS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """VGG-11 to -19 up to conv5, then two layers of the classifier as convolutions (arXiv:1409.1556, table 1).

    Maps are halved rounding up. The last pooling keeps the size, and what it saves in field of view the dilated conv6
    gives back. Parameters are numbered ``features.<i>`` as torchvision and MMDetection number them.

    Attributes:
        channels: of the two returned feature maps, conv4's and conv7's.
        strides: input pixels per cell of each.
    """

    class Config(BaseConfig):
        """Settings of `VGG`."""

        kind: Literal["vgg"] = "vgg"
        depth: Literal[11, 13, 16, 19] = 16
        channels: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)  # of stages 1 to 5
        last_channels: int = Field(default=1024, ge=1)  # of conv6 and conv7

        @property
        def title(self) -> str:
            """The name that papers use."""
            return f"VGG-{self.depth}"

        def build(self) -> VGG:
            """The network."""
            return VGG(self)

    def __init__(self, config: VGG.Config | None = None) -> None:
        super().__init__()
        self.config = config = config or VGG.Config()
        layers: list[nn.Module] = []
        width, self.returned = 3, []
        for stage, (convs, channels) in enumerate(zip(CONVS[config.depth], config.channels, strict=True), 1):
            for _ in range(convs):
                layers += [Conv2d(width, channels, 3, padding=1), nn.ReLU(inplace=True)]
                width = channels
            if stage == 4:
                self.returned.append(len(layers) - 1)
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=True) if stage < 5 else nn.MaxPool2d(3, 1, 1))
        layers += [Conv2d(width, config.last_channels, 3, padding=6, dilation=6), nn.ReLU(inplace=True)]
        layers += [Conv2d(config.last_channels, config.last_channels, 1), nn.ReLU(inplace=True)]
        self.returned.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.channels = (config.channels[3], config.last_channels)
        self.strides = (8, 16)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of conv4 and conv7, the finer first.

        Args:
            x: ``[N, 3, H, W]``.

        Returns:
            ``[N, channels[0], ceil(H / 8), ceil(W / 8)]`` and ``[N, channels[1], ceil(H / 16), ceil(W / 16)]``.
        """
        features = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.returned:
                features.append(x)
        return features
