"""Soft suppression against a slow and obvious version, and the two backends against each other."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from detzoo.blocks.suppression import SoftNMS, suppressed
from detzoo.ops.nms import rank
from detzoo.ops.soft_nms import Method, soft_nms, soft_nms_on_device
from tests.test_nms import scene

Box = list[float]


def overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def slow(
    boxes: list[Box], scores: list[float], threshold: float, sigma: float, method: Method, min_score: float
) -> dict[int, float]:
    """Final score by index of one group, in the order of the choices."""
    left = dict(enumerate(scores))
    done: dict[int, float] = {}
    while left := {index: score for index, score in left.items() if score >= min_score}:
        best = max(left, key=left.__getitem__)
        done[best] = left.pop(best)
        for index in left:
            o = overlap(boxes[best], boxes[index])
            if method == "gaussian":
                left[index] *= math.exp(-o * o / sigma)
            elif o >= threshold:
                left[index] *= 1 - o
    return done


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    threshold=st.sampled_from([0.0, 0.3, 0.5]),
    sigma=st.sampled_from([0.1, 0.5]),
    method=st.sampled_from(["linear", "gaussian"]),
    min_score=st.sampled_from([0.0, 1e-3, 0.2]),
)
def test_equals_the_paper(seed: int, threshold: float, sigma: float, method: Method, min_score: float):
    boxes, scores, valid, groups = scene(seed, rows=2, slots=30)
    found, keep = soft_nms(
        boxes, scores, valid, groups, threshold=threshold, sigma=sigma, method=method, min_score=min_score
    )
    for row in range(2):
        wanted = torch.zeros(30)
        for group in range(3):
            slots = torch.nonzero(valid[row] & (groups[row] == group)).flatten().tolist()
            some = slow(boxes[row, slots].tolist(), scores[row, slots].tolist(), threshold, sigma, method, min_score)
            for index, score in some.items():
                wanted[slots[index]] = score
        torch.testing.assert_close(found[row], wanted, atol=1e-5, rtol=1e-4)
        if min_score > 0:
            assert keep[row].tolist() == (found[row] > 0).tolist()
    assert not (keep & ~valid).any()


@pytest.mark.parametrize("method", ["linear", "gaussian"])
@pytest.mark.parametrize("limit", [None, 1, 7])
def test_the_backend_of_accelerators_computes_the_same(method: Method, limit: int | None):
    boxes, scores, valid, groups = scene(4, rows=3, slots=50)
    here = soft_nms(boxes, scores, valid, groups, threshold=0.3, method=method, min_score=0.05, limit=limit)
    there = soft_nms_on_device(boxes, scores, valid, groups, 0.3, 0.5, method == "gaussian", 0.05, limit or 50)
    torch.testing.assert_close(there[0], here[0])
    assert torch.equal(there[1], here[1])


def test_the_backend_of_accelerators_is_exported_as_a_functional_graph():
    class Suppression(torch.nn.Module):
        def forward(self, boxes: Tensor, scores: Tensor, valid: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
            return soft_nms_on_device(boxes, scores, valid, groups, 0.3, 0.5, True, 0.05, 3)

    inputs = scene(4, rows=2, slots=8)
    plain = torch.export.export(Suppression(), inputs).run_decompositions()
    assert not [node for node in plain.graph.nodes if str(node.target).endswith("_.default")]
    for ours, wanted in zip(plain.module()(*inputs), Suppression()(*inputs), strict=True):
        torch.testing.assert_close(ours, wanted)


def test_a_limit_keeps_the_best_of_all_groups():
    boxes, scores, valid, groups = scene(7)
    everything, _ = soft_nms(boxes, scores, valid, groups)
    few, keep = soft_nms(boxes, scores, valid, groups, limit=5)
    assert keep.sum(1).tolist() == [5, 5, 5]
    torch.testing.assert_close(few.sort(dim=1).values[:, -5:], everything.sort(dim=1).values[:, -5:])


def test_rank_lists_the_results_by_falling_score():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 8], [20, 20, 30, 30]]])
    scores = torch.tensor([[0.9, 0.8, 0.5]])
    found, keep = soft_nms(boxes, scores, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(found, torch.tensor([[0.9, 0.8 * (1 - 0.8), 0.5]]))
    order, used = rank(found, keep, 3)
    assert order.tolist() == [[0, 2, 1]]
    assert used.all()


def test_boxes_without_area_and_equal_boxes():
    boxes = torch.tensor([[[5.0, 5, 5, 5], [5, 5, 5, 5], [0, 0, 4, 4], [0, 0, 4, 4]]])
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6]])
    found, keep = soft_nms(boxes, scores, torch.ones(1, 4, dtype=torch.bool))
    assert keep.tolist() == [[True, True, True, False]]
    torch.testing.assert_close(found, torch.tensor([[0.9, 0.8, 0.7, 0.0]]))


@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_nothing_in_nothing_out(shape: tuple[int, int]):
    found, keep = soft_nms(torch.zeros(*shape, 4), torch.zeros(shape), torch.zeros(shape, dtype=torch.bool))
    assert found.shape == keep.shape == shape


def test_one_operator_under_export():
    class Suppress(torch.nn.Module):
        def forward(self, boxes: torch.Tensor, scores: torch.Tensor, valid: torch.Tensor) -> Any:
            return soft_nms(boxes, scores, valid, method="gaussian")

    boxes, scores, valid, _ = scene(2)
    program = torch.export.export(Suppress(), (boxes, scores, valid))
    assert sum("soft_nms" in str(node.target) for node in program.graph.nodes) == 1
    for ours, theirs in zip(
        program.module()(boxes, scores, valid), soft_nms(boxes, scores, valid, method="gaussian"), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_the_last_step_of_a_second_stage_compiles_whole(method: Method):
    how = SoftNMS(method=method, sigma=0.7, min_score=0.2)

    def run(boxes: torch.Tensor, scores: torch.Tensor, valid: torch.Tensor, groups: torch.Tensor) -> Any:
        return suppressed(boxes, scores, groups, valid, 0.3, how, 10, 3)

    boxes, scores, valid, groups = scene(2)
    found = torch.compile(run, fullgraph=True, backend="eager")(boxes, scores, valid, groups)
    wanted, kept = soft_nms(
        boxes, scores, valid, groups, threshold=0.3, method=method, sigma=0.7, min_score=0.2, limit=10
    )
    order, used = rank(wanted, kept, 10)
    assert torch.equal(found.valid, used)
    torch.testing.assert_close(found.scores, wanted.gather(1, order) * used)


@pytest.mark.gpu
def test_cuda_equals_the_cpu():
    boxes, scores, valid, groups = scene(3, slots=300)
    here = soft_nms(boxes, scores, valid, groups, limit=100)
    there = soft_nms(boxes.cuda(), scores.cuda(), valid.cuda(), groups.cuda(), limit=100)
    torch.testing.assert_close(there[0].cpu(), here[0])
    assert torch.equal(there[1].cpu(), here[1])
