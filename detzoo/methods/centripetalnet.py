"""CentripetalNet: Pursuing High-quality Keypoint Pairs for Object Detection, arXiv:2003.09119, 2020.

As CornerNet, but which two corners belong together tells where each of them expects the object's centre: the two places
have to meet in the middle of the box that the corners make. Features for these places are read along the object's edges
by a deformable convolution, led by a first guess of the centre (cross-star deformable convolution).

Departures from the paper, all as the published weights were trained: losses count an object once per cell, the last one
there; a pair's score is the mean of its corners' and not weighted by how near the two places are. No mask branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.backbones.hourglass import Hourglass
from detzoo.blocks import corners
from detzoo.blocks.corners import Corner, CornerSettings, CornerTargets, Pairs, at
from detzoo.blocks.layers import FeatureAdaption
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.ops.corner_pool import Direction
from detzoo.types import Detections, Images, Targets

# section 4.1: edges of the middle of a box, as a share of its own; of those with a larger area the second
_MIDDLE, _LARGE, _MIDDLE_OF_LARGE = 1 / 2.4, 3500.0, 1 / 2.1
_NO_SIZE = 1e-6  # cells: half an edge of what is no object


class CentripetalMaps(NamedTuple):
    """What the network says of one kind of corner, one value or more per cell.

    Attributes:
        heat: ``[N, C, h, w]`` logits.
        offset: ``[N, 2, h, w]``, x and y of the corner minus column and row of its cell, in cells.
        guiding: ``[N, 2, h, w]``, how far into the object, along x and y, its centre is from the cell, in cells.
        centripetal: ``[N, 2, h, w]``, logarithm of how far it is from the corner.
    """

    heat: Tensor
    offset: Tensor
    guiding: Tensor
    centripetal: Tensor


class CentripetalNet(Detector):
    """Boxes from pairs of corners that agree on a centre."""

    class Head(CornerSettings):
        """Settings of CentripetalNet's head."""

        guiding: float = Field(default=0.05, ge=0)  # weight of the loss of the first guess of centres
        centripetal: float = Field(default=1.0, ge=0)  # of that of the centres that pairs are told by
        distance: float = Field(default=0.5, ge=0)  # most area between a pair's two centres, in shares of the middle's

    class Config(DetectorConfig):
        """Settings of `CentripetalNet`."""

        method: Literal["centripetalnet"] = "centripetalnet"
        # pictures keep their size; edges of the canvas are 127, 255, 383, 511, ...
        input: Input = Input(resize=False, multiple=128, less=1)
        backbone: Hourglass.Config = Hourglass.Config()
        head: CentripetalNet.Head = Field(default_factory=lambda: CentripetalNet.Head())

    def __init__(self, config: CentripetalNet.Config, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.head = config.head
        self.backbone = Hourglass(config.backbone)
        count = len(self.classes)
        inputs = self.backbone.channels  # of each of the stacked networks, all of which learn
        self.top_left = nn.ModuleList(_Corner(self.head, width, count, ("top", "left")) for width in inputs)
        self.bottom_right = nn.ModuleList(_Corner(self.head, width, count, ("bottom", "right")) for width in inputs)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Losses ``det_loss`` (heat maps), ``off_loss``, ``guiding_loss`` and ``centripetal_loss``."""
        kinds = self.heads(self.backbone(images.pixels))
        wanted = corners.corner_targets(targets, images.pixels.shape, kinds[0][0].heat.shape, self.head.overlap)
        heat, offset = corners.corner_losses(kinds, wanted, self.head)
        guiding = centripetal = images.pixels.new_zeros(())
        for maps, kind, (near, far) in zip(kinds, wanted, _to_centres(wanted), strict=True):
            for level in maps:
                guiding = guiding + corners.place_loss(level.guiding, near, kind)
                centripetal = centripetal + corners.place_loss(level.centripetal, far, kind)
        return {
            "det_loss": heat,
            "off_loss": offset,
            "guiding_loss": guiding / 2 * self.head.guiding,
            "centripetal_loss": centripetal / 2 * self.head.centripetal,
        }

    def detect(self, images: Images) -> Detections:
        """Detections in pixels of the network input."""
        pixels, shift = corners.centred(images)
        feature = self.backbone(pixels)[-1]
        kinds: tuple[CentripetalMaps, CentripetalMaps] = self.top_left[-1](feature), self.bottom_right[-1](feature)
        pairs = corners.pair_corners(*kinds, pixels.shape, shift, self.head)
        return corners.best_boxes(pairs, self._agree(kinds, pairs, pixels.shape), images, self.head)

    def heads(self, features: Sequence[Tensor]) -> tuple[list[CentripetalMaps], list[CentripetalMaps]]:
        """Of top left corners, and of bottom right ones: the maps of each stacked network."""
        first = [head(feature) for head, feature in zip(self.top_left, features, strict=True)]
        return first, [head(feature) for head, feature in zip(self.bottom_right, features, strict=True)]

    def _agree(self, kinds: Sequence[CentripetalMaps], pairs: Pairs, canvas: torch.Size) -> Tensor:
        """Bool ``[N, K, K]``: both centres lie in the middle of the pair's box, with little area between them;
        section 3.2.
        """
        centres = []
        for maps, peaks, place, way in zip(kinds, pairs.peaks, pairs.places, (1, -1), strict=True):
            far = corners.to_pixels(at(maps.centripetal, peaks.cells).exp(), maps.heat.shape, canvas)
            centres.append((place + way * far).clamp(min=0))
        low, high = pairs.boxes[..., :2], pairs.boxes[..., 2:]
        large = ((high - low).prod(-1, keepdim=True).abs() > _LARGE).to(low)
        share = _MIDDLE + (_MIDDLE_OF_LARGE - _MIDDLE) * large
        middle, reach = (low + high) / 2, share * (high - low) / 2
        one, two = centres[0].unsqueeze(2), centres[1].unsqueeze(1)
        inside = torch.ones_like(pairs.fit)
        for centre in (one, two):
            inside = inside & ((centre > middle - reach) & (centre < middle + reach)).all(-1)
        return inside & ((two - one).prod(-1).abs() <= self.head.distance * (2 * reach).prod(-1).abs())

    published_names = (
        (r"^bbox_head\.tl_(pool|heat|off|guiding_shift|centripetal_shift)\.(\d+)\.", r"top_left.\2.\1."),
        (r"^bbox_head\.tl_dcn_offset\.(\d+)\.conv\.", r"top_left.\1.adaption.conv_offset."),
        (r"^bbox_head\.tl_feat_adaption\.(\d+)\.", r"top_left.\1.adaption.conv_adaption."),
        (r"^bbox_head\.br_(pool|heat|off|guiding_shift|centripetal_shift)\.(\d+)\.", r"bottom_right.\2.\1."),
        (r"^bbox_head\.br_dcn_offset\.(\d+)\.conv\.", r"bottom_right.\1.adaption.conv_offset."),
        (r"^bbox_head\.br_feat_adaption\.(\d+)\.", r"bottom_right.\1.adaption.conv_adaption."),
    )


class _Corner(Corner):
    """Everything about one kind of corner (figure 2): features ``[N, width, h, w]`` to `CentripetalMaps`."""

    def __init__(
        self, config: CentripetalNet.Head, width: int, classes: int, directions: tuple[Direction, Direction]
    ) -> None:
        super().__init__(config, width, classes, directions)
        self.guiding_shift = corners.branch(width, config.channels, 2)
        self.adaption = FeatureAdaption(width, width, groups=1, relu=False)
        self.centripetal_shift = corners.branch(width, config.channels, 2)

    def forward(self, x: Tensor) -> CentripetalMaps:
        x = self.pool(x)
        guiding = self.guiding_shift(x)
        centripetal = self.centripetal_shift(self.adaption(x, guiding.detach()))
        return CentripetalMaps(self.heat(x), self.off(x), guiding, centripetal)


def _to_centres(wanted: tuple[CornerTargets, CornerTargets]) -> list[tuple[Tensor, Tensor]]:
    """Of each kind of corner what `CentripetalMaps` calls guiding and centripetal, ``[N, G, 2]``: equations 2 and 3."""
    first, second = wanted
    centre = (first.places + second.places) / 2
    far = ((second.places - first.places) / 2).clamp(min=_NO_SIZE).log()
    return [(way * (centre - (kind.places - kind.offset)), far) for kind, way in ((first, 1), (second, -1))]
