"""MobileNet-V1 and -V3 and GhostNet: published widths, what they return, extra maps, and what is frozen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.ghostnet import GhostNet
from detzoo.backbones.mobilenet_v1 import MobileNetV1
from detzoo.backbones.mobilenet_v3 import MobileNetV3
from detzoo.blocks.ssdlite import ExtraMap
from detzoo.config import ConfigError, validate

EXTRA = ((256, 512), (128, 256), (128, 256), (64, 128))
LITE = {"size": "small", "out_blocks": (9,), "extra": EXTRA, "end_width": 0.5, "pad_same": True}
# settings, and channels and strides of the maps of the published network
PUBLISHED: dict[str, tuple[Any, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "yolov3-v1": (MobileNetV1, {}, (256, 512, 1024), (8, 16, 32)),
    "yolov3-v3": (MobileNetV3, {}, (40, 112, 160), (8, 16, 32)),
    "ssdlite-v3": (MobileNetV3, LITE, (288, 288, 512, 256, 256, 128), (16, 32, 64, 128, 256, 512)),
    "ssdlite-ghost": (
        GhostNet,
        {"width": 1.3, "out_blocks": (12,), "extra": EXTRA},
        (872, 1248, 512, 256, 256, 128),
        (16, 32, 64, 128, 256, 512),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_maps_of_published_networks(name: str) -> None:
    kind, settings, channels, strides = PUBLISHED[name]
    with torch.device("meta"):
        made = validate(kind.Config, settings).build().eval()
        assert (made.channels, made.strides) == (channels, strides)
        maps = made(torch.empty(2, 3, 100, 70))
    wanted = [(2, width, -(-100 // stride), -(-70 // stride)) for width, stride in zip(channels, strides, strict=True)]
    assert [tuple(one.shape) for one in maps] == wanted


@pytest.mark.parametrize("pad_same", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (7, 8), (1, 3)])
def test_an_extra_map_is_the_convolutions_of_its_paper(size: tuple[int, int], pad_same: bool) -> None:
    torch.manual_seed(0)
    made = ExtraMap(4, 6, 12, pad_same=pad_same).eval()
    x = torch.randn(2, 4, *size)
    first = F.relu6(made.pointwise_conv(x))
    # an even size of padding on one side is a padding on both of which the first cell is not read
    shifted = F.pad(first, (1, 1, 1, 1))
    if pad_same:
        shifted = shifted[:, :, 1 - size[0] % 2 :, 1 - size[1] % 2 :]
    conv, norm = made.depthwise_conv.conv, made.depthwise_conv.norm
    assert norm is not None
    second = F.relu6(norm(F.conv2d(shifted, conv.get_parameter("weight"), stride=2, groups=6)))
    torch.testing.assert_close(made(x), F.relu6(made.normal_conv(second)))


@pytest.mark.parametrize("kind", [MobileNetV1, MobileNetV3, GhostNet])
def test_what_is_frozen_and_behind_the_last_map_learns_nothing(kind: Any) -> None:
    slot = "pairs" if kind is MobileNetV1 else "blocks"
    settings = {"width": 0.25, f"out_{slot}": (2, 4), f"frozen_{slot}": 1}
    made = validate(kind.Config, settings).build()
    x = torch.randn(2, 3, 64, 64)
    torch.stack([one.sum() for one in made(x)]).sum().backward()
    learned = {name for name, parameter in made.named_parameters() if parameter.grad is not None}
    assert learned == {name for name, parameter in made.named_parameters() if parameter.requires_grad}
    first = "conv2_1." if kind is MobileNetV1 else "block0." if kind is GhostNet else "conv2."
    assert learned
    assert not any(name.startswith(("conv1.", first)) for name in learned)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "mobilenet_v1", "out_pairs": (4, 14)}, "out_pairs must lie in 1 to 13"),
        ({"kind": "mobilenet_v1", "out_pairs": (6, 4)}, "out_pairs must rise"),
        ({"kind": "mobilenet_v3", "size": "small", "out_blocks": (12,)}, "out_blocks must lie in 1 to 11"),
        ({"kind": "ghostnet", "frozen_blocks": 17}, "there are 16 blocks"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    kinds: dict[str, Any] = {"mobilenet_v1": MobileNetV1, "mobilenet_v3": MobileNetV3, "ghostnet": GhostNet}
    with pytest.raises(ConfigError, match=message):
        validate(kinds[settings["kind"]].Config, settings)


def test_titles() -> None:
    small = MobileNetV3.Config(size="small", width=0.5, out_blocks=(3,))
    made: list[AnyBackbone] = [MobileNetV1.Config(), small, GhostNet.Config()]
    assert [one.title for one in made] == ["MobileNetV1", "MobileNetV3-small-0.5", "GhostNet-1x"]
