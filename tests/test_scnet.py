"""SCNet: the classes of the image, what is relayed to the mask head, and which RoIs that learns from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.blocks.assign import RoISamples
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.config import ConfigError, validate
from detzoo.methods.scnet import ContextHead, SCNet
from detzoo.types import Targets
from tests.tiny import images, targets, tiny


def scnet(**changes: Any) -> SCNet:
    detector = tiny(SCNet, **changes)
    assert isinstance(detector, SCNet)
    return detector


def test_which_classes_are_in_the_image() -> None:
    torch.manual_seed(0)
    box = torch.tensor([[0.0, 0, 9, 9]])
    wanted = Targets.pack(
        [
            {
                "boxes": box.repeat(3, 1),
                "labels": torch.tensor([2, 2, 1]),
                "ignore": torch.tensor([False, False, True]),
            },
            {"boxes": box[:0], "labels": torch.zeros(0)},
        ]
    )
    head, logits = ContextHead(ContextHead.Config(weight=3.0), 4, 3), torch.randn(2, 3)
    there = torch.tensor([[0.0, 0, 1], [0, 0, 0]])
    torch.testing.assert_close(head.loss(logits, wanted), 3 * F.binary_cross_entropy_with_logits(logits, there))


def test_what_the_last_box_head_knows_is_relayed_as_a_map() -> None:
    detector = scnet()
    known = torch.randn(2, 32)
    maps = F.linear(known, detector.relay.weight, detector.relay.bias).view(2, 32, 7, 7)
    ours = detector._relayed(known)
    assert ours.shape == (2, 32, 14, 14)
    torch.testing.assert_close(ours[..., ::13, ::13], maps[..., ::6, ::6])  # corners lie on corners
    torch.testing.assert_close(ours[..., 0, 1], maps[..., 0, 0] * 7 / 13 + maps[..., 0, 1] * 6 / 13)


def test_masks_learn_from_the_last_stage_s_rois_at_the_weight_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[RoISamples] = []
    seen: list[tuple[RoISamples, Tensor]] = []
    sample, losses = BoxHead.sample, MaskHead.losses

    def watch_samples(self: BoxHead, *given: Any) -> RoISamples:
        drawn.append(sample(self, *given))
        return drawn[-1]

    def watch_masks(self: MaskHead, atlas: Any, samples: RoISamples, *given: Any) -> dict[str, Tensor]:
        found = losses(self, atlas, samples, *given)
        seen.append((samples, found["loss_mask"]))
        return found

    monkeypatch.setattr(BoxHead, "sample", watch_samples)
    monkeypatch.setattr(MaskHead, "losses", watch_masks)
    found = scnet().train()(images(), targets(3, 2))
    assert len(drawn) == 3
    assert len(seen) == 1
    assert seen[0][0] is drawn[-1]
    torch.testing.assert_close(found["loss_mask"], 1.75 * seen[0][1])


def test_each_image_has_its_own_context() -> None:
    """One of two images of a batch changes; the other's detections do not."""
    detector = scnet(box_head={"threshold": 0.0}).eval()
    batch = images()
    with torch.no_grad():
        before = detector.detect(batch)
        batch.pixels[0] = batch.pixels[0].flip(-1)
        after = detector.detect(batch)
    torch.testing.assert_close(before[1].scores, after[1].scores)
    assert not torch.equal(before[0].scores, after[0].scores)


def test_hard_examples_cannot_be() -> None:
    with pytest.raises(ConfigError, match="hard examples"):
        validate(SCNet.Config, {"box_head": {"hard_examples": True}})
