"""Fixed-slot ranking and suppression against torchvision, and the CUDA kernel through Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
import torchvision.ops as peer
from hypothesis import given, settings
from hypothesis import strategies as st

from detzoo.ops.nms import nms, rank, select
from tests.triton_interpreter import run_interpreted


def scene(seed: int, rows: int = 3, slots: int = 60) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(rows, slots, 2, generator=generator) * 60 - 20
    boxes = torch.cat([corner, corner + torch.rand(rows, slots, 2, generator=generator) * 50], -1)
    scores = torch.rand(rows, slots, generator=generator)
    valid = torch.rand(rows, slots, generator=generator) > 0.2
    groups = torch.randint(3, (rows, slots), generator=generator)
    return boxes, scores, valid, groups


def best_first(seed: int, rows: int = 3, slots: int = 60) -> tuple[torch.Tensor, ...]:
    boxes, scores, valid, groups = scene(seed, rows, slots)
    order = scores.argsort(dim=1, descending=True)
    return boxes.gather(1, order.unsqueeze(-1).expand(-1, -1, 4)), valid.gather(1, order), groups.gather(1, order)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_equals_torchvision_row_by_row(seed: int, threshold: float):
    boxes, valid, groups = best_first(seed)
    keep = nms(boxes, valid, threshold, groups, 3)
    for row in range(len(boxes)):
        slots = valid[row].nonzero().squeeze(1)
        expected = torch.zeros_like(valid[row])
        falling = torch.arange(len(slots), 0, -1, dtype=torch.float64)
        positive = boxes[row, slots].double() - boxes.min()  # below zero, torchvision's groups touch each other
        picked = peer.batched_nms(positive, falling, groups[row, slots], threshold)
        expected[slots[picked]] = True
        assert keep[row].tolist() == expected.tolist()


def test_rows_and_groups_do_not_touch_each_other():
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(2, 3, 1)
    valid = torch.tensor([[True, True, True], [False, True, True]])
    groups = torch.tensor([[0, 0, 1], [0, 0, 0]])
    assert nms(boxes, valid, 0.5, groups, 2).tolist() == [[True, False, True], [False, True, False]]


def test_overlaps_by_pixels():
    """A box thinner than a pixel is empty, and a box overlaps what has a pixel of its own in common with it."""
    of_pixels = [[0.0, 0, 1, 9], [0.1, 0, 1.1, 9], [0, 5, 9, 5.9], [0, 5, 9, 5.9]]
    boxes = torch.tensor([of_pixels, [[10 * side for side in box] for box in of_pixels]])
    valid = torch.ones(2, 4, dtype=torch.bool)
    assert nms(boxes, valid, 0.5, pixels=True).tolist() == [[True] * 4, [True, False, True, False]]
    assert nms(boxes[:1], valid[:1], 0.5).tolist() == [[True, False, True, False]]
    # what is empty is still taken off the union
    over = torch.tensor([[[0.0, 1, 9, 1.9], [0, 0.8, 9, 2]]])
    assert nms(over, valid[:1, :2], 0.8, pixels=True).tolist() == [[True, False]]
    assert nms(over, valid[:1, :2], 0.8).tolist() == [[True, True]]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), threshold=st.sampled_from([0.3, 0.5, 0.7]))
def test_overlaps_by_pixels_are_others_of_thin_boxes_alone(seed: int, threshold: float):
    boxes, valid, groups = best_first(seed)
    boxes[..., 2:] += 1 / threshold
    wide = nms(boxes, valid, threshold, groups, 3)
    thin = torch.cat([boxes, torch.tensor([300.0, 300, 300.5, 300.5]).expand(3, 1, 4)], 1)  # leaves the fast way
    also = torch.cat([valid, torch.ones(3, 1, dtype=torch.bool)], 1)
    kept = nms(thin, also, threshold, torch.cat([groups, groups[:, :1]], 1), 3, pixels=True)
    assert torch.equal(kept[:, :-1], wide)


def test_select_ranks_survivors_and_says_which_slots_are_used():
    boxes, scores, valid, groups = scene(1)
    index, used = select(boxes, scores, valid, 0.3, 50, groups, 3)
    assert index.shape == used.shape == (3, 50)
    for row in range(3):
        slots = valid[row].nonzero().squeeze(1)
        picked = peer.batched_nms(boxes[row, slots], scores[row, slots], groups[row, slots], 0.3)
        assert index[row, used[row]].tolist() == slots[picked].tolist()


def test_rank_takes_the_best_valid_entries():
    _, scores, valid, _ = scene(5)
    index, used = rank(scores, valid, 10)
    for row in range(3):
        expected = torch.where(valid[row], scores[row], -1).topk(10).values
        assert scores[row, index[row]].tolist() == expected.tolist()
    assert bool(used.all())


def test_rank_leaves_slots_unused_where_there_are_few_entries():
    scores = torch.tensor([[0.3, -2.0, 0.9], [0.1, 0.2, 0.3]])
    valid = torch.tensor([[True, True, False], [False, False, False]])
    index, used = rank(scores, valid, 9)
    assert index.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert used.tolist() == [[True, True, False], [False, False, False]]


@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_nothing_in_nothing_out(shape: tuple[int, int]):
    empty = torch.zeros(*shape)
    assert nms(torch.zeros(*shape, 4), empty.bool(), 0.5).shape == shape
    assert select(torch.zeros(*shape, 4), empty, empty.bool(), 0.5, 7)[0].shape == (shape[0], min(7, shape[1]))


def test_one_operator_under_export():
    class Suppress(torch.nn.Module):
        def forward(self, boxes: torch.Tensor, scores: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
            return select(boxes, scores, valid, 0.5, 20)[0]

    boxes, scores, valid, _ = scene(2)
    program = torch.export.export(Suppress(), (boxes, scores, valid))
    assert program.module()(boxes, scores, valid).tolist() == select(boxes, scores, valid, 0.5, 20)[0].tolist()


INTERPRETED = """
import torch
from detzoo.ops.nms import nms
from detzoo.ops.nms_triton import suppress
from tests.test_nms import best_first
for seed in range(4):
    boxes, valid, groups = best_first(seed, slots=21 + seed)
    boxes = boxes.double() if seed == 3 else boxes
    boxes[0, ::5] = boxes[0, :1]
    boxes[1, 2, seed], boxes[2, 1, 2] = torch.nan, torch.inf
    for threshold in (0.2, 0.5, 1.0):
        ours = suppress(boxes, groups, valid, threshold, 3)
        assert torch.equal(ours, nms(boxes, valid, threshold, groups, 3)), (seed, threshold)
        by_pixels = nms(boxes / 9, valid, threshold, groups, 3, pixels=True)
        assert torch.equal(suppress(boxes / 9, groups, valid, threshold, 3, True), by_pixels), (seed, threshold)
print("equal")
"""


def test_cuda_kernel_equals_the_cpu_in_tritons_interpreter():
    run_interpreted(INTERPRETED)


@pytest.mark.gpu
def test_cuda_equals_the_cpu():
    boxes, scores, valid, groups = scene(3, slots=700)
    here = select(boxes, scores, valid, 0.5, 300, groups, 3)
    there = select(boxes.cuda(), scores.cuda(), valid.cuda(), 0.5, 300, groups.cuda(), 3)
    assert torch.equal(there[0].cpu(), here[0])
    assert torch.equal(there[1].cpu(), here[1])
