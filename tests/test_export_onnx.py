"""Detectors as ONNX models, in ONNX Runtime; and each operator of ours by itself, where its input is awkward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from benchmarks.export import BATCHES, IN_OPENVINO, TIES, TRACED, compare, in_onnx, in_openvino, small
from detzoo.blocks.rpn import RPN, best_proposals
from detzoo.export.onnx import to_onnx
from detzoo.ops.corner_pool import corner_pool
from detzoo.ops.deform_roi_pool import deform_roi_pool
from detzoo.ops.nms import nms, rank
from detzoo.ops.roi_align import build_atlas, roi_align
from detzoo.ops.soft_nms import soft_nms
from detzoo.types import Images
from tests.tiny import images, swept_form

PIXELS = SCORE = 1e-4
# whose boxes are sensitive: torch's own float32 is 1.8e-4 and 0.7e-4 pixels from its float64
SENSITIVE = {"SparseRCNN": 5e-4, "YOLACT": 3e-4}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@swept_form
def test_prediction_runs_in_onnx_runtime_for_any_number_of_images(form: str) -> None:
    detector = small(form)
    run = in_onnx(detector, images(TRACED))
    for count in BATCHES:
        found = compare(detector, run, images(count), TIES)
        assert found.found > 0
        assert found.boxes <= SENSITIVE.get(form, PIXELS)
        assert found.scores <= SCORE
        assert found.masks <= SCORE


@pytest.mark.sweep
@pytest.mark.parametrize("form", IN_OPENVINO)
def test_prediction_runs_in_openvino(form: str) -> None:
    detector = small(form)
    run = in_openvino(detector, images(TRACED))
    for count in BATCHES:
        found = compare(detector, run, images(count), TIES)
        assert found.found > 0
        assert found.boxes <= PIXELS
        assert max(found.scores, found.masks) <= SCORE


class _Module(nn.Module):
    def __init__(self, function: Callable[..., Tensor | tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        result = self.function(*given)
        return result if isinstance(result, tuple) else (result,)


def both(function: Callable[..., Tensor | tuple[Tensor, ...]], *given: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Results of ONNX Runtime and of torch, with all rows that are given, and with the first."""
    module, count = _Module(function).eval(), torch.export.Dim("rows", min=1, max=64)
    wanted = module(*given)
    inputs, outputs = (
        [f"{kind}{number}" for number in range(len(part))] for kind, part in (("i", given), ("o", wanted))
    )
    model = to_onnx(module, given, dynamic=[({0: count},) * len(given)], inputs=inputs, outputs=outputs)
    assert __file__.encode() not in model.SerializeToString()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pairs = []
    for rows in (len(given[0]), 1):
        some = [part[:rows] for part in given]
        found = session.run(outputs, {name: part.numpy() for name, part in zip(inputs, some, strict=True)})
        pairs += [(torch.from_numpy(a), b) for a, b in zip(found, module(*some), strict=True)]
    return pairs


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def boxes(rows: int, slots: int, size: float) -> Tensor:
    corner = numbers(rows, slots, 2) * size * 0.7
    return torch.cat([corner, corner + 2 + numbers(rows, slots, 2, seed=1) * size * 0.3], 2)


def test_of_equal_scores_the_first_is_first() -> None:
    scores = torch.tensor([[0.5, 0.5, 0.9, 0.5, 0.0, 0.9], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    valid = torch.tensor([[True, False, True, True, True, True], [False, True, False, True, False, False]])
    (index, _), (used, wanted), *_ = both(lambda scores, valid: rank(scores, valid, 4), scores, valid)
    assert index.tolist() == [[2, 5, 0, 3], [1, 3, 0, 0]]
    assert torch.equal(used, wanted)


def test_suppression() -> None:
    """Rows and groups do not touch each other; slots that are not valid neither survive nor suppress."""
    slots, groups = boxes(3, 40, 30.0), (numbers(3, 40, seed=2) * 3).long()
    valid = numbers(3, 40, seed=3) < 0.7
    valid[1] = False
    for found, wanted in both(lambda boxes, valid, groups: nms(boxes, valid, 0.3, groups, 3), slots, valid, groups):
        assert torch.equal(found, wanted)
        assert 0 < int(wanted[0].sum()) < int(valid[0].sum())


def test_proposals_of_each_level() -> None:
    """PaddleDetection keeps one of each level, also of one that has none."""
    sides, config = ((4, 6), (2, 3)), RPN.Config(one_of_each=True, proposals=12, candidates=10, min_size=1.0)
    anchors = boxes(1, 3 * (24 + 6), 60.0)[0]

    def run(pixels: Tensor, sizes: Tensor, *raw: Tensor) -> tuple[Tensor, ...]:
        found = best_proposals(raw[:2], raw[2:], anchors, Images(pixels, sizes), config, training=False)
        return found.boxes, found.scores, found.valid

    scores = [numbers(2, 3 * height * width, seed=height) for height, width in sides]
    scores[1][0] = -1.0  # not looked at
    offsets = [numbers(2, 12, *side, seed=5) for side in sides]
    given = (numbers(2, 3, 64, 96), torch.tensor([[64, 96], [60, 70]]), *scores, *offsets)
    for found, wanted in both(run, *given):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_suppression(method: Literal["linear", "gaussian"]) -> None:
    slots, groups = boxes(3, 40, 30.0), (numbers(3, 40, seed=2) * 3).long()
    scores, valid = numbers(3, 40, seed=4), numbers(3, 40, seed=3) < 0.7
    valid[1] = False

    def run(boxes: Tensor, scores: Tensor, valid: Tensor, groups: Tensor) -> tuple[Tensor, ...]:
        return soft_nms(boxes, scores, valid, groups, threshold=0.3, method=method, min_score=0.2, limit=35)

    (score, wanted), (keep, kept), *_ = both(run, slots, scores, valid, groups)
    torch.testing.assert_close(score, wanted)
    assert torch.equal(keep, kept)
    assert 0 < int(kept[0].sum()) < int(valid[0].sum())  # some fell below the least score


@pytest.mark.parametrize("sampling", [0, 2])
def test_pooling_from_a_pyramid(sampling: int) -> None:
    """Of RoIs in any order, of a level without any, and of an empty slot; each bin may be moved, also to nowhere."""
    maps = [numbers(2, 4, 32 >> level, 40 >> level, seed=level) for level in range(3)]
    rois, levels, moves = (
        boxes(2, 20, 120.0),
        (numbers(2, 20, seed=5) * 2).long(),
        numbers(2, 20, 2, 3, 3, seed=6) * 4 - 2,
    )
    rois[0, 3], rois[1, 4] = 0.0, torch.tensor([0.0, 0.0, 120.0, 96.0])  # whose bins are whole cells
    moves[1, 5] = 1e9

    def run(boxes: Tensor, levels: Tensor, moves: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
        atlas = build_atlas(maps, (4, 8, 16))
        still = roi_align(atlas, boxes, levels, 3, sampling)
        return still, deform_roi_pool(atlas, boxes, levels, moves.flatten(0, 1), sampling)

    for found, wanted in both(run, rois, levels, moves, *maps):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
        assert wanted.abs().sum() > 0


def test_remainders_by_a_number_and_by_a_side() -> None:
    def run(x: Tensor) -> tuple[Tensor, ...]:
        whole = (x * 20 - 10).long()
        return whole % (x.shape[0] + 2), whole % 3, (x * 20 - 10) % 3

    for found, wanted in both(run, numbers(5, 40)):
        assert wanted.any()
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_corner_pooling() -> None:
    def run(x: Tensor) -> tuple[Tensor, ...]:
        return tuple(corner_pool(x, side) for side in ("top", "left", "bottom", "right"))

    for found, wanted in both(run, numbers(2, 3, 7, 13)):
        assert torch.equal(found, wanted)
