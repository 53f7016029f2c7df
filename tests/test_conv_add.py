"""Residual blocks that end in one pass compute what the single steps do, and overwrite nothing that anyone reads."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from detzoo.backbones.resnet import ResNet
from detzoo.config import validate
from detzoo.ops.conv_add import conv_add_relu_, conv_adds


def backbone(**settings: object) -> ResNet:
    torch.manual_seed(0)
    network = ResNet(validate(ResNet.Config, {"zero_init": False, **settings}))
    for name, value in network.named_buffers():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith("running_mean"):
            value.normal_()
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (torch's stubs lack it)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("stem", ["conv7", "deep"])
def test_features_are_those_of_the_single_steps(depth: int, stem: str) -> None:
    """With gradients nothing is fused."""
    network = backbone(depth=depth, stem=stem, frozen_stages=-1).eval()
    x = torch.randn(2, 3, 64, 96)
    single = [feature.detach() for feature in network(x)]
    with torch.no_grad():
        fused = network(x)
        again = network(x)
    for one, other, third in zip(single, fused, again, strict=True):
        assert float((one - other).norm() / one.norm()) < 1e-5
        assert torch.equal(other, third)


def test_blocks_leave_alone_what_others_read() -> None:
    """A stage's result is a feature of the network, and a block on its own owns nothing."""
    network = backbone(depth=18).eval()
    for number, channels in enumerate((64, 64, 128, 256), 1):
        stage = network.get_submodule(f"layer{number}")
        x = torch.rand(1, channels, 16, 16).to(memory_format=torch.channels_last)
        before = x.clone()
        with torch.no_grad():
            stage(x)
        assert torch.equal(x, before)


def test_half_precision_is_rounded_once() -> None:
    torch.manual_seed(0)
    total, x = (torch.randn(1, 32, 9, 7).bfloat16().to(memory_format=torch.channels_last) for _ in range(2))
    weight, bias = torch.randn(32, 32, 1, 1) / 6, torch.randn(32)
    if not conv_adds(total, x, weight, bias):
        return  # this processor has no such kernels
    exact = F.relu(total.float() + F.conv2d(x.float(), weight.bfloat16().float(), bias.bfloat16().float()))
    result = conv_add_relu_(total, x, weight, bias, (1, 1), (0, 0), (1, 1), 1)
    assert result.data_ptr() == total.data_ptr()
    torch.testing.assert_close(result.float(), exact, rtol=torch.finfo(torch.bfloat16).eps, atol=1e-4)


def test_gradients_do_not_see_what_is_frozen() -> None:
    """Frozen stages are computed in one pass in training, too; what learns behind them gets the same gradient."""
    network = backbone(depth=18, frozen_stages=2).train()
    x = torch.randn(1, 3, 64, 64)

    def gradients() -> list[torch.Tensor]:
        loss = torch.stack([feature.square().mean() for feature in network(x)]).sum()
        return list(torch.autograd.grad(loss, [value for value in network.parameters() if value.requires_grad]))

    fused = gradients()
    x.requires_grad_()  # then something does learn in front
    for one, other in zip(fused, gradients(), strict=True):
        assert float((one - other).norm() / other.norm()) < 1e-4
