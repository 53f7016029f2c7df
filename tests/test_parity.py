"""Every recorded case on ResNet-50, and the tools that compare. ``python -m tests.parity`` runs all cases."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from detzoo.types import Detections
from tests.parity import standin
from tests.parity.__main__ import main, run
from tests.parity.cases import CASES
from tests.parity.detections import close_pairs
from tests.parity.golden import DOUBLE, GOLDEN, load, thin
from tests.parity.ladder import climb
from tests.parity.rungs import BOUNDS, Rung, worst
from tests.parity.stable import stable_sorting

# of the generator for "backbone.conv1.weight"
FIRST_WORDS = (0.7991473078727722, 0.6442287564277649, 0.014991581439971924)
SMALL = [name for name in CASES if "_r50" in name]


@pytest.mark.parametrize("name", SMALL)
def test_case_matches_the_original(name: str) -> None:
    row, golden = run(name), load(name)
    assert row["first_difference"] == ""
    assert row["passed"] == "yes"
    compared = {"parameters", "backbone", "raw", "detections", "losses", "gradients"}
    compared |= {rung for rung, present in (("neck", golden.levels("neck")), ("masks", golden.masks)) if present}
    assert {rung for rung in BOUNDS if row[rung]} == compared


def test_double_precision_leaves_nothing_of_the_difference() -> None:
    rungs = list(
        climb(CASES["fcos_r50-caffe_fpn_gn-head_1x_coco"].build(), load("double/fcos_r50-caffe_fpn_gn-head_1x_coco"))
    )
    assert max(rung.difference for rung in rungs) < 1e-6
    assert len(rungs) == 7


def test_what_float32_fails_and_double_precision_too_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "retinanet_r50_fpn_1x_coco"
    wrong = dataclasses.replace(CASES[name], changes=("head.box_loss.weight=1.1",))
    monkeypatch.setitem(CASES, name, wrong)
    row = run(name)
    assert row["passed"] == "no"
    assert row["precision"] == "float64"
    assert row["first_difference"].startswith("losses: 0.1 at loss_bbox")
    assert row["float32_beyond"].startswith("losses: 0.1 at loss_bbox")


def test_first_difference_is_named() -> None:
    """One changed number in one neck parameter is found at the neck, not before."""
    name = "retinanet_r50_fpn_1x_coco"
    golden, model = load(name), CASES[name].build()
    rungs = climb(model, golden)
    assert next(rungs).passed
    with torch.no_grad():
        model.get_parameter("neck.lateral_convs.0.conv.bias")[0] += 1.0
    assert next(rungs).passed
    neck = next(rungs)
    assert not neck.passed
    assert neck.where.startswith("neck.0")


def test_weights_that_do_not_fit_end_the_climb() -> None:
    rungs = list(climb(CASES["retinanet_r50_fpn_1x_coco"].build(), load("faster-rcnn_r50_fpn_1x_coco")))
    assert [rung.name for rung in rungs] == ["parameters"]
    assert not rungs[0].passed
    assert "missing" in rungs[0].where
    assert "left over" in rungs[0].where


def test_every_case_has_its_recording_and_every_recording_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.npz")} == set(CASES)
    assert {path.stem for path in DOUBLE.glob("*.npz")} == set(CASES)


def test_both_recordings_of_a_case_are_of_one_model_and_input() -> None:
    for name in CASES:
        single, double = load(name), load(f"double/{name}")
        assert (single.double, double.double) == (False, True)
        for field in ("config", "threshold", "shapes", "gain", "canvas", "sizes"):
            assert getattr(single, field) == getattr(double, field), name
        assert single.stats.keys() == double.stats.keys(), name
        assert single.losses.keys() == double.losses.keys(), name


def test_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no such case"]) == 2
    assert "there are" in capsys.readouterr().out


def test_nan_and_excess_do_not_pass() -> None:
    for name, bound in BOUNDS.items():
        assert Rung(name, bound, bound).passed
        assert not Rung(name, bound + 1e-9, bound).passed
        assert not Rung(name, math.inf, bound).passed
        assert not worst(name, {"good": 0.0, "bad": math.nan}, BOUNDS).passed


def test_standin_numbers_are_fixed() -> None:
    """First words of the generator; a change would make every recording useless."""
    np.testing.assert_array_equal(
        standin.uniform("backbone.conv1.weight", (3,)),
        np.array(FIRST_WORDS, dtype=np.float32),
    )
    assert standin.parameter("a.running_var", (50,)).min() >= 0.5
    assert abs(standin.parameter("a.conv.weight", (64, 64, 3, 3)).std() - 1 / 24) < 1e-3
    assert abs(standin.image("image0", 32, 48).mean()) < 0.5


def test_standin_targets_hold_ellipses_inside_boxes() -> None:
    targets = standin.targets((32, 64), [(32, 64), (30, 40)], classes=7, masks=True)
    assert targets.valid.sum(1).tolist() == [5, 3]
    assert targets.labels.max() < 7
    assert targets.masks is not None
    mask = targets.masks[0].dense()[0]
    rows, columns = torch.where(mask)
    x1, y1, x2, y2 = targets.boxes[0, 0].tolist()
    assert x1 - 0.5 <= columns.min()
    assert columns.max() <= x2
    assert y1 - 0.5 <= rows.min()
    assert rows.max() <= y2
    full = (x2 - x1) * (y2 - y1)
    assert abs(int(mask.sum()) / full - math.pi / 4) < 0.1


def test_thin_keeps_the_ends() -> None:
    kept = thin(torch.arange(10_000.0))
    assert len(kept) == 384
    assert (kept[0], kept[-1]) == (0, 9999)


def test_stable_sorting_keeps_equal_values_in_order_and_ends_with_the_block() -> None:
    default, nearly = torch.Tensor.sort, 0.5 + 1e-15 * torch.rand(5000, dtype=torch.float64)
    with stable_sorting():
        values, order = nearly.sort(descending=True)
        assert order.tolist() == list(range(5000))
        assert torch.equal(values, nearly)
        assert torch.tensor([1.0, 3.0, 2.0]).sort().indices.tolist() == [0, 2, 1]
    assert torch.Tensor.sort is default


def test_detections_pair_by_class_place_and_score() -> None:
    golden = load("retinanet_r50_fpn_1x_coco")
    scores, labels = torch.zeros(2, 100), torch.zeros(2, 100, dtype=torch.int64)
    boxes = torch.zeros(2, 100, 4)
    for image in range(2):
        boxes[image] = torch.from_numpy(golden.arrays[f"pred.{image}.boxes"])
        scores[image] = torch.from_numpy(golden.arrays[f"pred.{image}.scores"])
        labels[image] = torch.from_numpy(golden.arrays[f"pred.{image}.labels"])
    valid = torch.ones(2, 100, dtype=torch.bool)

    def missing(boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor) -> int:
        pairs, total = close_pairs(golden, Detections(boxes, scores, labels, valid))
        return total - sum(len(some) for some in pairs.values())

    assert missing(boxes, scores, labels) == 0
    other = torch.arange(200).view(2, 100) == 7
    assert missing(boxes + 0.2 * other.unsqueeze(-1) * (1 + 1e-3 * boxes), scores, labels) == 1
    assert missing(boxes, scores + 2e-4 * other, labels) == 1
    assert missing(boxes, scores, labels + 90 * other) == 1
