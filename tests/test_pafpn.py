"""PAFPN: the sums of the paper from those of the feature pyramid, and every way to make extra levels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.config import validate
from detzoo.necks.fpn import FPN
from detzoo.necks.pafpn import PAFPN

CHANNELS, STRIDES = (4, 8, 16), (4, 8, 16)
SIZES = ((13, 20), (7, 10), (4, 5))


def features() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, c, *size, generator=generator) for c, size in zip(CHANNELS, SIZES, strict=True)]


@pytest.mark.parametrize("extra", ["pool", "on_input", "on_lateral", "on_output"])
def test_maps_are_the_papers_sums(extra: str) -> None:
    torch.manual_seed(0)
    settings = {"out_channels": 8, "extra": extra}
    neck = validate(PAFPN.Config, settings).build(CHANNELS, STRIDES)
    plain = validate(FPN.Config, settings).build(CHANNELS, STRIDES)
    plain.load_state_dict({name: neck.state_dict()[name] for name in plain.state_dict()})

    def conv(name: str, x: Tensor, stride: int) -> Tensor:
        weight, bias = (neck.get_parameter(f"{name}.conv.{part}") for part in ("weight", "bias"))
        return F.conv2d(x, weight, bias, stride, 1)

    first, second, third, *extras = plain(features())
    second = second + conv("downsample_convs.0", first, 2)
    third = third + conv("downsample_convs.1", second, 2)
    outputs = neck(features())
    torch.testing.assert_close(outputs[0], first)
    torch.testing.assert_close(outputs[1], conv("pafpn_convs.0", second, 1))
    torch.testing.assert_close(outputs[2], conv("pafpn_convs.1", third, 1))
    if extra in ("on_input", "on_lateral"):  # these do not know of the second pathway
        torch.testing.assert_close(outputs[3:], extras)
    elif extra == "pool":
        torch.testing.assert_close(outputs[3], outputs[2][..., ::2, ::2])
    else:
        torch.testing.assert_close(outputs[3], conv("fpn_convs.3", outputs[2], 2))
    assert neck.strides == (4, 8, 16, 32, 64)
    assert neck.channels == (8,) * 5
