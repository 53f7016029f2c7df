"""TridentNet: branches of shared weights, folded into the batch."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.backbones.resnet import Bottleneck, ResNet
from detzoo.blocks.assign import match, sample_rois
from detzoo.blocks.roi_heads import BoxHead
from detzoo.methods.tridentnet import TridentNet, TridentResNet
from tests.tiny import images, targets, tiny

SMALL = TridentResNet.Config(base_width=16, strides=(1, 2), dilations=(1, 2), out_stages=(2,), zero_init=False)


def one_branch(network: TridentResNet, x: Tensor, rate: int) -> Tensor:
    """A ResNet of the same weights whose last stage has this dilation."""
    shared = network.config.model_dump(exclude={"kind", "branches"})
    plain = ResNet(ResNet.Config.model_validate(shared | {"dilations": (1, rate)}))
    plain.load_state_dict(network.state_dict())
    return plain.eval()(x)[0]


@pytest.fixture(scope="module")
def network() -> TridentResNet:
    torch.manual_seed(0)
    return SMALL.build().eval()


def test_each_branch_is_a_resnet_of_its_dilation(network: TridentResNet) -> None:
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        (together,) = network.in_branches(x)
        assert together.shape == (6, 512, 8, 12)
        for branch, rate in zip(together.chunk(3), (1, 2, 3), strict=True):
            torch.testing.assert_close(branch, one_branch(network, x, rate), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(network(x)[0], one_branch(network, x, 2))


def test_gradients_of_branches_add_up_and_do_not_depend_on_checkpointing(network: TridentResNet) -> None:
    x = torch.randn(1, 3, 32, 64)
    weight = network.get_parameter("layer2.0.conv2.weight")
    (wanted,) = torch.autograd.grad(network.in_branches(x)[0].square().sum(), weight)
    again = TridentResNet(SMALL.replace(checkpointing=True)).eval()
    again.load_state_dict(network.state_dict())
    (found,) = torch.autograd.grad(again.in_branches(x)[0].square().sum(), again.get_parameter("layer2.0.conv2.weight"))
    assert wanted.abs().sum() > 0
    torch.testing.assert_close(found, wanted)


def test_a_block_is_the_plain_sum(network: TridentResNet) -> None:
    block = network.get_submodule("layer2.1")
    assert isinstance(block, Bottleneck)
    x = torch.randn(3, 512, 6, 7)
    conv1, conv2, conv3 = (block.get_parameter(f"conv{number}.weight") for number in (1, 2, 3))
    with torch.no_grad():
        found = network._branched(block, x, False)
        for index, rate in enumerate((1, 2, 3)):
            y = F.relu(block.norm(1)(F.conv2d(x[index : index + 1], conv1)))
            y = F.relu(block.norm(2)(F.conv2d(y, conv2, padding=rate, dilation=rate)))
            wanted = F.relu(block.norm(3)(F.conv2d(y, conv3)) + x[index])
            torch.testing.assert_close(found[index : index + 1], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out_stages": (1, 2)}, "out_stages has to be"),
        ({"depth": 18, "base_width": 64}, "need bottlenecks"),
        ({"standardize": True}, "ordinary convolutions"),
        ({"deform": {"version": 1}, "deform_stages": (2,)}, "ordinary convolutions"),
    ],
)
def test_what_cannot_run_in_branches(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TridentResNet(TridentResNet.Config.model_validate(SMALL.model_dump() | changes))


def test_losses_are_those_of_all_branches_together() -> None:
    model = tiny(TridentNet, box_head={"samples": 10_000, "positives": 0.5}, rpn={"samples": 10_000})
    assert isinstance(model, TridentNet)
    losses = model(images(), targets(2, 0))
    assert {"loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox"} <= losses.keys()
    seen: list[int] = []
    handle = model.rpn.conv.register_forward_hook(lambda _, __, output: seen.append(len(cast(Tensor, output))))
    model(images(), targets(2, 0))
    handle.remove()
    assert seen == [6]


def test_objects_are_among_the_rois_only_where_they_are_asked_for() -> None:
    some = targets(2, 1)
    boxes = some.boxes.repeat(1, 3, 1) + torch.tensor([1.0, 0.0, 1.0, 0.0])
    matches = match(boxes, some.valid.repeat(1, 3), some, BoxHead.Config().match)
    with_objects = sample_rois(boxes, matches, some, 64, 0.5)
    without = sample_rois(boxes, matches, some, 64, 0.5, objects_too=False)
    assert (with_objects.valid & ~with_objects.proposed).sum() == 3
    assert not (without.valid & ~without.proposed).any()
    assert without.positive.sum() == with_objects.positive.sum() - 3
