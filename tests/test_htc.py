"""Hybrid Task Cascade: its semantic branch, what stages hand on, and which boxes masks are learned from."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.assign import RoISamples
from detzoo.blocks.cascade import HYBRID_STAGES
from detzoo.blocks.layers import ResidualPair, fuse_levels
from detzoo.blocks.losses import map_loss
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.semantic import SemanticHead
from detzoo.config import ConfigError, validate
from detzoo.methods.htc import HTC
from tests.tiny import CANVAS, images, targets, tiny


def htc(**changes: Any) -> HTC:
    detector = tiny(HTC, **changes)
    assert isinstance(detector, HTC)
    return detector


def without_branch() -> HTC:
    config = htc().config
    assert isinstance(config, HTC.Config)
    return HTC(config.replace(semantic_head=None), ("a", "b", "c"))


def test_the_map_s_loss_is_the_mean_over_all_cells() -> None:
    torch.manual_seed(0)
    logits, classes = torch.randn(2, 5, 3, 4), torch.randint(7, (2, 3, 4))
    classes[0, 1, 2], classes[1, 0, 0] = 255, -1
    total = 0.0
    for image, row, column in torch.cartesian_prod(*map(torch.arange, (2, 3, 4))).tolist():
        label = int(classes[image, row, column])
        if 0 <= label < 5:
            total -= float(logits[image, :, row, column].log_softmax(0)[label])
    torch.testing.assert_close(map_loss(logits, classes), torch.tensor(total / 24))
    whole = torch.full((2, 24, 32), 9)
    whole[:, ::8, ::8] = classes  # of every 8 pixels the first is looked at
    assert torch.equal(map_loss(logits, whole), map_loss(logits, classes))
    assert float(map_loss(logits, torch.full((2, 3, 4), 255))) == 0.0
    with pytest.raises(ValueError, match=r"model\.semantic_head=null"):
        map_loss(logits, None)


def test_levels_are_fused_at_the_size_of_one() -> None:
    torch.manual_seed(0)
    levels = [torch.randn(2, 3, *size) for size in ((9, 12), (5, 6), (3, 3))]
    convs = [nn.Conv2d(3, 4, 1) for _ in levels]
    wanted = torch.zeros(2, 4, 5, 6)
    for conv, level in zip(convs, levels, strict=True):
        rows, columns = (torch.linspace(0, edge - 1, new) for edge, new in zip(level.shape[-2:], (5, 6), strict=True))
        for (i, y), (j, x) in ((a, b) for a in enumerate(rows.tolist()) for b in enumerate(columns.tolist())):
            top, left = math.floor(y), math.floor(x)
            bottom, right = min(top + 1, level.shape[2] - 1), min(left + 1, level.shape[3] - 1)
            upper = level[..., top, left] * (left + 1 - x) + level[..., top, right] * (x - left)
            lower = level[..., bottom, left] * (left + 1 - x) + level[..., bottom, right] * (x - left)
            value = upper * (top + 1 - y) + lower * (y - top)
            wanted[:, :, i, j] += conv(value[..., None, None])[..., 0, 0]
    torch.testing.assert_close(fuse_levels(levels, convs, 1), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", [None, "bn"])
def test_a_residual_pair(norm: Any) -> None:
    torch.manual_seed(0)
    pair, x = ResidualPair(4, norm), torch.randn(3, 4, 5, 5)
    first, second = map(pair.eval().get_submodule, ("bn1", "bn2")) if norm else (nn.Identity(), nn.Identity())
    named = dict(pair.named_parameters())
    assert ("conv1.bias" in named) == (norm is None)
    torch.testing.assert_close(pair(x), x + second(pair.conv2(F.relu(first(pair.conv1(x))))))


def test_masks_learn_from_the_boxes_that_their_stage_refined(monkeypatch: pytest.MonkeyPatch) -> None:
    refined: list[Tensor] = []
    learned: list[RoISamples] = []
    refine, losses = BoxHead.refine, MaskHead.losses

    def watch_boxes(self: BoxHead, *given: Any) -> Tensor:
        refined.append(refine(self, *given))
        return refined[-1]

    def watch_masks(self: MaskHead, atlas: Any, samples: RoISamples, *given: Any) -> dict[str, Tensor]:
        learned.append(samples)
        return losses(self, atlas, samples, *given)

    monkeypatch.setattr(BoxHead, "refine", watch_boxes)
    monkeypatch.setattr(MaskHead, "losses", watch_masks)
    htc(box_head={"samples": 200}).train()(images(), targets(3, 2))
    assert len(refined) == len(learned) == 3
    for boxes, samples in zip(refined, learned, strict=True):
        for image in range(2):
            mine = samples.boxes[image][samples.proposed[image]]
            assert len(mine) > 0
            assert bool((mine[:, None] == boxes[image]).all(-1).any(1).all())
        assert samples.positive.any()


def test_a_mask_head_is_told_what_those_before_it_saw() -> None:
    detector = htc(mask_head={"convs": 1})
    x = torch.randn(3, 32, 14, 14)
    convs: list[Any] = [head.convs[0] for head in detector.mask_heads]
    flows: list[Any] = list(detector.mask_flows.values())
    one = x + F.relu(flows[0].conv(F.relu(convs[0].conv(x))))
    two = x + F.relu(flows[1].conv(F.relu(convs[1].conv(one))))
    torch.testing.assert_close(detector._informed(0, x), x)
    torch.testing.assert_close(detector._informed(1, x), one)
    torch.testing.assert_close(detector._informed(2, x), two)


def test_without_its_branch_it_needs_no_class_maps() -> None:
    detector, wanted = without_branch().train(), dataclasses.replace(targets(2, 1), semantic=None)
    losses = detector(images(), wanted)
    assert "loss_semantic_seg" not in losses
    assert not detector.config.learns_class_maps
    assert htc().config.learns_class_maps
    with pytest.raises(ValueError, match="no class maps"):
        htc().train()(images(), wanted)


def test_what_the_branch_sees_reaches_boxes_and_masks() -> None:
    detector = htc(box_head={"threshold": 0.0}).eval()
    assert detector.semantic_head is not None
    with torch.no_grad():
        before = detector.detect(images())
        nn.init.constant_(detector.semantic_head.conv_embedding.conv.get_parameter("bias"), 3.0)
        after = detector.detect(images())
    assert before.crops is not None
    assert after.crops is not None
    assert not torch.equal(before.scores, after.scores)
    assert not torch.equal(before.crops, after.crops)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="hard examples"):
        validate(HTC.Config, {"box_head": {"hard_examples": True}})
    with pytest.raises(ValueError, match="level=5, but the pyramid has 5 levels"):
        SemanticHead(SemanticHead.Config(level=5), 8, 5)
    with pytest.raises(ValueError, match="pairs of convolutions keep"):
        MaskHead(MaskHead.Config(residual=True, channels=16), 8, 3)


def test_every_object_has_its_best_roi() -> None:
    assert [stage.match.low_quality for stage in HYBRID_STAGES] == [0.5, 0.6, 0.7]
    assert CANVAS[0] % 8 == CANVAS[1] % 8 == 0
