"""Fixed-slot suppression against torchvision, and the CUDA kernel through Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import torchvision.ops as peer
from hypothesis import given, settings
from hypothesis import strategies as st

from detzoo.ops.nms import nms, select


def scene(seed: int, rows: int = 3, slots: int = 60) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(rows, slots, 2, generator=generator) * 60 - 20
    boxes = torch.cat([corner, corner + torch.rand(rows, slots, 2, generator=generator) * 50], -1)
    scores = torch.rand(rows, slots, generator=generator)
    valid = torch.rand(rows, slots, generator=generator) > 0.2
    groups = torch.randint(3, (rows, slots), generator=generator)
    return boxes, scores, valid, groups


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_equals_torchvision_row_by_row(seed: int, threshold: float):
    boxes, scores, valid, groups = scene(seed)
    keep = nms(boxes, scores, valid, threshold, groups)
    for row in range(len(boxes)):
        slots = valid[row].nonzero().squeeze(1)
        expected = torch.zeros_like(valid[row])
        picked = peer.batched_nms(
            boxes[row, slots].double(), scores[row, slots].double(), groups[row, slots], threshold
        )
        expected[slots[picked]] = True
        assert keep[row].tolist() == expected.tolist()


def test_rows_and_groups_do_not_touch_each_other():
    box = torch.tensor([[0.0, 0, 10, 10]])
    boxes = box.repeat(2, 3, 1)
    scores = torch.tensor([[0.9, 0.8, 0.7], [0.1, 0.3, 0.2]])
    valid = torch.ones(2, 3, dtype=torch.bool)
    groups = torch.tensor([[0, 0, 1], [0, 0, 0]])
    assert nms(boxes, scores, valid, 0.5, groups).tolist() == [[True, False, True], [False, True, False]]


def test_select_ranks_survivors_and_says_which_slots_are_used():
    boxes, scores, valid, _ = scene(1)
    index, used = select(boxes, scores, valid, 0.3, 50)
    keep = nms(boxes, scores, valid, 0.3)
    assert index.shape == used.shape == (3, 50)
    assert used.sum(1).tolist() == keep.sum(1).tolist()
    chosen = scores.gather(1, index)
    assert all(bool((row[: int(n)].diff() <= 0).all()) for row, n in zip(chosen, used.sum(1), strict=True))


@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_nothing_in_nothing_out(shape: tuple[int, int]):
    empty = torch.zeros(*shape)
    assert nms(torch.zeros(*shape, 4), empty, empty.bool(), 0.5).shape == shape


def test_one_operator_under_export():
    class Suppress(torch.nn.Module):
        def forward(self, boxes: torch.Tensor, scores: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
            return nms(boxes, scores, valid, 0.5)

    boxes, scores, valid, _ = scene(2)
    program = torch.export.export(Suppress(), (boxes, scores, valid))
    assert program.module()(boxes, scores, valid).tolist() == nms(boxes, scores, valid, 0.5).tolist()


INTERPRETED = """
import torch
from detzoo.ops.nms import nms
from detzoo.ops.nms_triton import suppress
from tests.test_nms import scene
for seed in range(4):
    boxes, scores, valid, groups = scene(seed, slots=21 + seed)
    for threshold in (0.2, 0.5):
        ours = suppress(boxes, scores, groups, valid, threshold)
        assert torch.equal(ours, nms(boxes, scores, valid, threshold, groups)), (seed, threshold)
print("equal")
"""


def test_cuda_kernel_equals_the_cpu_in_tritons_interpreter():
    pytest.importorskip("triton", reason="triton comes with torch on Linux only")
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "equal", done.stderr


@pytest.mark.gpu
def test_cuda_equals_the_cpu():
    boxes, scores, valid, groups = scene(3, slots=700)
    there = nms(boxes.cuda(), scores.cuda(), valid.cuda(), 0.5, groups.cuda())
    assert torch.equal(there.cpu(), nms(boxes, scores, valid, 0.5, groups))
