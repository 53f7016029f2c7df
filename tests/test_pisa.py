"""PISA's ranks and weights against slow and obvious versions, and its losses in the three kinds of heads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.blocks.assign import Matches, sample
from detzoo.blocks.prime_samples import (
    PrimeSamples,
    ScoreRanks,
    Weighting,
    rank_weights,
    ranked_negatives,
    score_weights,
)
from detzoo.config import ConfigError, validate
from detzoo.interop.mmdet.learning import prime_samples
from detzoo.interop.section import Section
from detzoo.methods.htc import HTC
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.scnet import SCNet
from detzoo.ops.boxes import iou
from detzoo.ops.places import places
from tests.tiny import images, targets, tiny, total

HEADS = {"FasterRCNN-pisa": "box_head", "RetinaNet-pisa": "head", "SSD-pisa": "head"}
every_head = pytest.mark.parametrize("form", HEADS)


def boxes(generator: torch.Generator, *shape: int) -> Tensor:
    corner = torch.rand(*shape, 2, generator=generator) * 20
    return torch.cat([corner, corner + 5 + torch.rand(*shape, 2, generator=generator) * 15], -1)


def test_places_are_counted_within_groups_and_decided_by_the_first_value_that_differs() -> None:
    generator = torch.Generator().manual_seed(0)
    group, first = (torch.randint(4, (3, 40), generator=generator) for _ in range(2))
    second = torch.rand(3, 40, generator=generator)
    found = places(group, first, second)
    for row in range(3):
        for one in range(40):
            mine = [other for other in range(40) if group[row, other] == group[row, one]]
            mine.sort(key=lambda other: (int(first[row, other]), float(second[row, other])))
            assert found[row, one] == mine.index(one)


def slow_rank_weights(
    overlap: Tensor, positive: Tensor, slot: Tensor, labels: Tensor, power: float
) -> dict[Any, float]:
    """Of each positive: its rank in its class, by rank among those of its object and then by IoU, as a weight."""
    everyone = [tuple(one) for one in positive.nonzero().tolist()]
    local = {}
    for one in everyone:
        rivals = [other for other in everyone if (other[0], slot[other]) == (one[0], slot[one])]
        local[one] = sum(overlap[other] > overlap[one] for other in rivals)
    classes = [[one for one in everyone if labels[one] == label] for label in range(3)]
    most = max(map(len, classes))
    weights = {}
    for members in classes:
        members.sort(key=lambda one: (int(local[one]), -float(overlap[one])))
        weights |= {one: ((most - rank) / most) ** power for rank, one in enumerate(members)}
    return weights


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_positives_weigh_by_rank_and_the_loss_stays_what_it_was(share: float) -> None:
    generator = torch.Generator().manual_seed(1)
    found = boxes(generator, 2, 30)
    objects = found + torch.rand(found.shape, generator=generator) * 4  # near enough that no IoU is 0, as others are
    positive = torch.rand(2, 30, generator=generator) < share
    slot = torch.randint(4, (2, 30), generator=generator)
    labels = (slot + torch.tensor([[0], [1]])) % 3  # objects have one class each
    errors = torch.rand(2, 30, generator=generator)
    weights = rank_weights(
        Weighting(power=2.0), found, objects, positive, slot, labels, lambda some: (errors * some).sum()
    )
    assert bool((weights[~positive] == 1).all())
    if not share:
        return
    torch.testing.assert_close((errors * weights * positive).sum(), (errors * positive).sum())
    wanted = slow_rank_weights(iou(found, objects), positive, slot, labels, 2.0)
    scale = weights[positive].max() / max(wanted.values())
    for place, weight in wanted.items():
        assert float(weights[place]) == pytest.approx(weight * float(scale), rel=1e-4)


def test_boxes_weigh_by_score_and_the_weights_sum_to_the_positives() -> None:
    scores = torch.tensor([[0.5, 0.9, 0.1], [0.25, 0.0, 1.0]], requires_grad=True)
    positive = torch.tensor([[True, False, True], [True, False, False]])
    weights = score_weights(Weighting(power=2.0, bias=0.2), scores, positive)
    plain = torch.tensor([[0.6**2, 0.0, 0.28**2], [0.4**2, 0.0, 0.0]])
    torch.testing.assert_close(weights, plain * 3 / plain.sum())
    (gradient,) = torch.autograd.grad(weights[0, 0], scores)
    assert gradient[0, 0] > 0 > gradient[0, 2], "it grows with its score and at the cost of the others"
    none = score_weights(Weighting(power=2.0, bias=0.2), scores, torch.zeros_like(positive))
    assert not none.any()


def slow_order(found: Tensor, scores: Tensor, ranked: list[int], overlap: float) -> list[int]:
    """Boxes by their place among those that a best one suppresses, and then by score."""
    left = sorted(ranked, key=lambda one: -float(scores[one]))
    place = {}
    while left:
        group = [one for one in left if one == left[0] or float(iou(found[left[0]], found[one])) > overlap]
        place |= {one: index for index, one in enumerate(group)}
        left = [one for one in left if one not in group]
    return sorted(ranked, key=lambda one: (place[one], -float(scores[one])))


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("count", [12, 200])
def test_negatives_are_drawn_and_weighed_by_rank_of_score(threshold: float, count: int) -> None:
    generator = torch.Generator().manual_seed(2)
    images, candidates, most = 2, 60, 4
    found, logits = boxes(generator, images, candidates), torch.randn(images, candidates, 4, generator=generator) * 2
    kind = torch.rand(images, candidates, generator=generator)
    positive, negative = kind < 0.1, kind > 0.2  # others are neither
    matches = Matches(torch.zeros_like(positive, dtype=torch.int64), positive, negative, kind)
    config = ScoreRanks(weighting=Weighting(power=0.5, bias=0.1), threshold=threshold, nms=0.3)
    key, weights = ranked_negatives(config, logits, found, matches, count, most)
    assert bool(((key >= 0) & (key < 1)).all())
    assert bool((weights[positive] == 1).all())
    index, chosen, is_positive = sample(positive, negative, count, most / count, key)
    scores = logits.softmax(-1)[..., :-1].amax(-1)
    losses = F.cross_entropy(logits.flatten(0, 1), torch.full((images * candidates,), 3), reduction="none")
    for image, loss in enumerate(losses.view(images, -1)):
        rest = negative[image].nonzero().flatten().tolist()
        ranked = [one for one in rest if scores[image, one] > threshold]
        order = slow_order(found[image], scores[image], ranked, 0.3)
        drawn = index[image][chosen[image] & ~is_positive[image]].tolist()
        number = min(len(rest), count - min(int(positive[image].sum()), most))
        assert len(drawn) == number
        assert drawn[: len(order)] == order[:number]
        assert set(drawn) <= set(rest)
        bound = max(number, len(order))
        shares = [(bound - place) / bound for place in range(number)][: len(order)] or [1.0]
        shares += shares[-1:] * (number - len(shares))
        plain = (0.1 + 0.9 * torch.tensor(shares)).sqrt()
        mine = loss[drawn]
        torch.testing.assert_close(weights[image, drawn], plain * mine.sum() / (mine * plain).sum())


@every_head
def test_with_even_weights_its_losses_are_the_usual_ones(form: str) -> None:
    part, even = HEADS[form], {"power": 1.0, "bias": 1.0}
    changes: dict[str, Any] = {"prime": {"ranks": even, "scores": even}}
    losses = []
    for prime in (changes, {"prime": None, "score_ranks": None}):
        torch.manual_seed(0)
        detector = tiny(form, **{part: {"samples": 1000, "positives": 0.5, "score_ranks": None} | prime}).train()
        losses.append(detector(images(), targets(3, 1)))
    torch.testing.assert_close(losses[0].pop("loss_carl"), losses[1]["loss_bbox"])
    torch.testing.assert_close(*losses)


@every_head
def test_ranks_leave_the_class_loss_and_change_its_gradient(form: str) -> None:
    """And the score of a positive learns from its box."""
    part = HEADS[form]
    found = []
    for prime in ({}, None):
        torch.manual_seed(0)
        detector: Any = tiny(
            form, **{part: {"samples": 1000, "positives": 0.5, "score_ranks": None, "prime": prime}}
        ).train()
        losses = detector(images(), targets(3, 1))
        last = list((getattr(detector, "cls", None) or detector.box_head.fc_cls).parameters())
        found.append((losses["loss_cls"], *torch.autograd.grad(losses["loss_cls"], last, retain_graph=True)))
        if prime is not None:
            assert any(bool(gradient.any()) for gradient in torch.autograd.grad(losses["loss_carl"], last))
    torch.testing.assert_close(found[0][0], found[1][0])
    assert not all(map(torch.allclose, *found))


@every_head
def test_without_objects_there_is_nothing_to_rank(form: str) -> None:
    detector = tiny(form).train()
    losses = detector(images(), targets(0, 0))
    assert losses["loss_carl"] == 0
    total(losses).backward()
    assert all(
        bool(parameter.grad.isfinite().all()) for _, parameter in detector.trainable() if parameter.grad is not None
    )
    assert [name for name, parameter in detector.trainable() if parameter.grad is None] == []


@pytest.mark.parametrize("method", [HTC, SCNet])
def test_heads_that_are_given_more_than_boxes_rank_no_scores(method: Any) -> None:
    with pytest.raises(ConfigError, match="ranks of scores"):
        validate(method.Config, {"box_head": {"score_ranks": {}}})


def test_a_published_section_is_read_and_a_damaged_one_noted() -> None:
    notes: list[str] = []
    read = prime_samples(Section({"isr": {"k": 3, "bias": 0.1}, "carl": {"k": 2}}, "train_cfg", notes, training=True))
    assert read == PrimeSamples(ranks=Weighting(power=3, bias=0.1), scores=Weighting(power=2, bias=0.2))
    assert notes == []
    for damaged in ({"isr": {"k": 2}}, {"isr": {"k": 0}, "carl": {}}, {"isr": {"k": "two"}, "carl": {}}):
        assert prime_samples(Section(damaged, "train_cfg", notes, training=True)) == PrimeSamples()
        assert "takes its place" in notes.pop()
        assert notes == []


def test_prime_samples_and_harmonized_gradients_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match="prime and ghm_c are ways to learn"):
        validate(RetinaNet.Config, {"head": {"prime": {}, "ghm_c": {}}})
