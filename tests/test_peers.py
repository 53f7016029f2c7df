"""What benchmarks compare computes the same thing on both sides."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.peers import METHODS, PEERS, Pair, make_pair, our_side
from benchmarks.scenes import make_objects, make_pictures
from detzoo.types import Images
from tests.tiny import CANVAS


def pair_of(method: str) -> Pair:
    return make_pair(method, CANVAS, depth=18, proposals=50, rois=16)


@pytest.mark.parametrize("method", PEERS)
def test_both_sides_find_and_learn(method: str):
    pair = pair_of(method)
    assert pair.theirs is not None
    pictures, items = make_pictures(2, CANVAS), make_objects(2, CANVAS, len(pair.ours.model.classes))
    images = pair.ours.images(pictures)
    for side in pair.sides:
        assert side.predict(pictures)() > 0
        side.detect(images)()
        for losses in (side.learn(pictures, items), side.losses(images, items)):
            total = losses()
            assert total.shape == ()
            assert bool(torch.isfinite(total))
        total.backward()
        assert any(parameter.grad is not None for parameter in side.model.parameters())


@pytest.mark.parametrize("method", [method for method in METHODS if method not in PEERS])
def test_a_method_without_peer_stands_alone(method: str):
    assert [side.who for side in pair_of(method).sides] == ["detzoo"]


def test_weights_of_another_model_are_refused():
    state = pair_of("retinanet").ours.model.state_dict()
    with pytest.raises(ValueError, match="torchvision's retinanet has a parameter that is not known here"):
        our_side("retinanet", {"head.new.weight": torch.zeros(1), **state}, depth=18)


@pytest.mark.parametrize("method", [method for method in ("detr",) if method in PEERS])
def test_detr_is_that_of_transformers(method: str):
    """Scores, boxes and losses, with images of two sizes."""
    pair = pair_of(method)
    assert pair.theirs is not None
    for side in pair.sides:
        for module in side.model.modules():
            for name in ("dropout", "attention_dropout", "activation_dropout", "p"):
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)
    full = pair.ours.images(make_pictures(2, CANVAS))
    sizes = torch.tensor([CANVAS, (70, 100)])
    inside = (torch.arange(CANVAS[0]) < sizes[:, :1])[:, :, None] & (torch.arange(CANVAS[1]) < sizes[:, 1:])[:, None]
    images = Images(full.pixels * inside[:, None], sizes)
    found, theirs = pair.ours.detect(images)(), pair.theirs.detect(images)()
    assert isinstance(theirs, list)
    _same_results(found, theirs, sizes)
    items = [{key: value[:9] for key, value in item.items()} for item in make_objects(2, (70, 100), 91)]
    torch.testing.assert_close(
        pair.ours.losses(images, items)(), pair.theirs.losses(images, items)(), rtol=1e-4, atol=0
    )


def _same_results(ours: Any, theirs: list[dict[str, torch.Tensor]], sizes: torch.Tensor) -> None:
    for image, their in enumerate(theirs):
        order = their["scores"].argsort(descending=True)
        torch.testing.assert_close(ours.scores[image], their["scores"][order], atol=1e-4, rtol=1e-4)
        height, width = sizes[image].tolist()
        limit = torch.tensor([width, height, width, height])
        # equal but for the order of scores that are nearly equal
        boxes = torch.minimum(their["boxes"][order].clamp(min=0), limit)
        assert bool((torch.cdist(ours.boxes[image], boxes).min(1).values < 0.05).all())
