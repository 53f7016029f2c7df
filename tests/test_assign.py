"""Matching and sampling against a direct reading of the paper, one image and one box at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detzoo.blocks.anchors import Anchors
from detzoo.blocks.assign import MatchConfig, match, pick, sample
from detzoo.blocks.rpn import RPN, best_per_level
from detzoo.ops import boxes as box_ops
from detzoo.ops.boxes import pairwise_iou
from detzoo.types import Targets


def one_by_one(boxes: torch.Tensor, objects: torch.Tensor, config: MatchConfig) -> list[int]:
    """Object index, -1 for background and -2 for left out."""
    overlaps = pairwise_iou(boxes, objects)
    result = []
    for row in overlaps:
        best = float(row.max()) if len(objects) else 0.0
        if best == (config.positive if config.closed else config.negative):
            result.append(int(row.argmax()) if config.closed else -1)
        else:
            result.append(int(row.argmax()) if best > config.positive else -1 if best < config.negative else -2)
    if config.low_quality is not None:
        for index in range(len(objects)):
            peak = overlaps[:, index].max()
            if peak >= config.low_quality and peak > 0:
                best_boxes = (overlaps[:, index] == peak).nonzero().flatten().tolist()
                for box in best_boxes if config.low_quality_ties else best_boxes[:1]:
                    result[box] = index
    return result


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    counts=st.lists(st.integers(0, 20), min_size=1, max_size=3),
    low_quality=st.sampled_from([None, 0.0, 0.25]),
    chunk=st.sampled_from([3, 16]),
    closed=st.booleans(),
    ties=st.booleans(),
)
def test_match_equals_one_by_one(
    seed: int, counts: list[int], low_quality: float | None, chunk: int, closed: bool, ties: bool
):
    generator = torch.Generator().manual_seed(seed)

    def draw(count: int) -> torch.Tensor:
        corner = torch.randint(0, 40, (count, 2), generator=generator)
        return torch.cat([corner, corner + torch.randint(4, 40, (count, 2), generator=generator)], 1).float()

    objects = [draw(count) for count in counts]
    boxes = draw(50)
    # exact in binary, so that the oracle compares the same numbers
    config = MatchConfig(positive=0.625, negative=0.375, low_quality=low_quality, closed=closed, low_quality_ties=ties)
    packed = Targets.pack([{"boxes": b, "labels": torch.zeros(len(b), dtype=torch.int64)} for b in objects])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(box_ops, "_CHUNK", chunk)
        found = match(boxes, None, packed, config)
    for image, some in enumerate(objects):
        codes = torch.where(found.positive[image], found.slot[image], -2)
        codes = torch.where(found.negative[image], -1, codes)
        assert codes.tolist() == one_by_one(boxes, some, config)


@pytest.mark.parametrize(
    ("low_quality", "learned"), [(None, False), (0.0, True), (0.25, True), (0.251, False)], ids=str
)
def test_an_objects_best_anchor_learns_from_its_least_overlap_on(low_quality: float | None, learned: bool):
    """In the match, and in what an RPN is taught; the one anchor covers four times the object."""
    objects = Targets.pack([{"boxes": torch.tensor([[-8.0, -8, 8, -4]]), "labels": torch.tensor([0])}])
    config = MatchConfig(positive=0.7, negative=0.3, low_quality=low_quality)
    rpn = RPN(RPN.Config(anchors=Anchors.Config(scales=(1.0,), ratios=(1.0,)), match=config), [4], [16])
    found = match(rpn.anchors([(1, 1)]), None, objects, config)
    assert (found.positive.tolist(), found.negative.tolist()) == ([[learned]], [[not learned]])
    losses = rpn.losses(rpn([torch.ones(1, 4, 1, 1)]), objects)
    assert (float(losses["loss_rpn_bbox"].detach()) > 0) == learned


def test_ignored_regions_and_unusable_boxes_are_left_out():
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60], [100, 100, 110, 110]])
    packed = Targets.pack(
        [
            {
                "boxes": torch.tensor([[0.0, 0, 10, 10], [45, 45, 65, 65]]),
                "labels": torch.zeros(2, dtype=torch.int64),
                "ignore": torch.tensor([False, True]),
            }
        ]
    )
    config = MatchConfig(positive=0.5, negative=0.5, ignore=0.5)
    found = match(boxes, torch.tensor([[True, True, False]]), packed, config)
    assert found.positive.tolist() == [[True, False, False]]
    assert found.negative.tolist() == [[False, False, False]]


@settings(max_examples=30, deadline=None)
@given(positives=st.integers(0, 30), negatives=st.integers(0, 60), count=st.integers(1, 40))
def test_sample_draws_what_there_is(positives: int, negatives: int, count: int):
    total = 100
    positive = torch.zeros(2, total, dtype=torch.bool)
    negative = torch.zeros(2, total, dtype=torch.bool)
    positive[:, :positives] = True
    negative[:, total - negatives :] = True
    index, chosen, drawn = sample(positive, negative, count, 0.25)
    expected = min(positives, int(count * 0.25))
    assert drawn.sum(1).tolist() == [expected] * 2
    assert (chosen & ~drawn).sum(1).tolist() == [min(negatives, count - expected)] * 2
    assert bool((positive.gather(1, index)[drawn]).all())
    assert bool((negative.gather(1, index)[chosen & ~drawn]).all())
    assert all(len(set(row[used].tolist())) == int(used.sum()) for row, used in zip(index, chosen, strict=True))
    assert bool(drawn[:, :expected].all()), "positives come first"


def test_sample_is_uniform():
    torch.manual_seed(0)
    negative = torch.ones(4000, 10, dtype=torch.bool)
    index, _, _ = sample(~negative, negative, 3, 0.5)
    share = torch.bincount(index.flatten(), minlength=10) / 4000
    assert bool(((share - 0.3).abs() < 0.04).all())


def test_pick_takes_rows_of_any_shape():
    values = torch.arange(2 * 5 * 3 * 2).view(2, 5, 3, 2)
    index = torch.tensor([[4, 0], [1, 1]])
    assert torch.equal(pick(values, index)[0, 0], values[0, 4])
    assert torch.equal(pick(values[..., 0, 0], index), values[..., 0, 0].gather(1, index))


def test_best_per_level_takes_small_levels_whole():
    scores = [torch.rand(2, 12), torch.rand(2, 3)]
    best, index, level = best_per_level(scores, 5)
    assert best.shape == index.shape == level.shape == (2, 8)
    assert torch.equal(torch.cat(scores, 1).gather(1, index), best)
    assert torch.equal(best[:, :5], scores[0].topk(5).values)
    assert torch.equal(best[:, 5:], scores[1])
    assert level[0].tolist() == [0] * 5 + [1] * 3


def test_best_per_level_of_a_graph_for_any_size():
    class Best(torch.nn.Module):
        def forward(self, *scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return best_per_level(scores, 5)

    sizes = tuple({1: torch.export.Dim(name, min=2, max=1000)} for name in ("fine", "coarse"))
    example = torch.rand(2, 12), torch.rand(2, 3)
    graph = torch.export.export(Best(), example, dynamic_shapes=(sizes,)).module()
    for lengths in ((12, 3), (4, 2), (900, 100), (5, 6)):
        scores = [torch.rand(2, length) for length in lengths]
        best, index, level = graph(*scores)
        wanted, where, on = best_per_level(scores, 5)
        for image in range(2):
            there = best[image] >= 0
            assert bool((best[image][~there] == -1).all())
            rows = zip(
                best[image][there].tolist(), index[image][there].tolist(), level[image][there].tolist(), strict=True
            )
            assert sorted(rows) == sorted(
                zip(wanted[image].tolist(), where[image].tolist(), on[image].tolist(), strict=True)
            )
        assert int(index.min()) >= 0
        assert int(index.max()) < sum(lengths)


def test_anchors_are_centred_on_cell_corners():
    anchors = Anchors(Anchors.Config(scales=(2.0,), ratios=(1.0, 4.0)), (8, 16))
    grid = anchors([(2, 3), (1, 1)])
    assert anchors.per_cell == 2
    assert grid.shape == (2 * 3 * 2 + 2, 4)
    assert grid[0].tolist() == [-8, -8, 8, 8]
    assert grid[1].tolist() == [-4, -16, 4, 16], "a ratio of 4 is tall"
    assert grid[2].tolist() == [0, -8, 16, 8], "then the next column"
    assert grid[6].tolist() == [-8, 0, 8, 16], "then the next row"
    assert grid[12].tolist() == [-16, -16, 16, 16]
