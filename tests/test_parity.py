"""Every recorded case on ResNet-50, and the tools that compare. ``python -m tests.parity`` runs all cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.parity import standin
from tests.parity.__main__ import main
from tests.parity.cases import CASES
from tests.parity.golden import GOLDEN, load, thin
from tests.parity.ladder import climb
from tests.parity.recover import chosen
from tests.parity.rungs import BOUNDS, Rung, beyond_rounding
from tests.parity.ties import Candidates, Outcome, violations

# of the generator for "backbone.conv1.weight"
FIRST_WORDS = (0.7991473078727722, 0.6442287564277649, 0.014991581439971924)
SMALL = [name for name in CASES if "_r50" in name]


@pytest.mark.parametrize("name", SMALL)
def test_case_matches_the_original(name: str) -> None:
    golden = load(name)
    rungs = list(climb(CASES[name].build(), golden))
    assert [rung for rung in rungs if not rung.passed] == []
    expected = {"parameters", "backbone", "raw", "detections", "losses", "gradients"}
    assert expected | ({"neck"} if golden.levels("neck") else set()) <= {rung.name for rung in rungs}


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


def test_rounding_excuses_gradients_only_up_to_its_own_size() -> None:
    fine = beyond_rounding(
        "gradients", {"backbone": 5e-4, "grad.backbone.stem": 0.01}, {"backbone": 0.0, "grad.backbone.stem": 0.02}
    )
    assert fine.passed
    wrong = beyond_rounding(
        "gradients", {"backbone": 2e-3, "grad.backbone.stem": 0.01}, {"backbone": 1e-3, "grad.backbone.stem": 0.02}
    )
    assert not wrong.passed
    assert (wrong.where, wrong.difference, wrong.rounding) == ("backbone", 2e-3, 1e-3)
    assert not beyond_rounding("gradients", {"neck": math.nan}, {"neck": 1.0}).passed
    assert not beyond_rounding("gradients", {"neck": 0.5}, {}).passed


def test_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no such case"]) == 2
    assert "there are" in capsys.readouterr().out


def test_nan_and_excess_do_not_pass() -> None:
    for name, bound in BOUNDS.items():
        assert Rung(name, bound).passed
        assert not Rung(name, math.nan).passed
        assert not Rung(name, math.inf).passed


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
    rows, columns = torch.where(targets.masks[0, 0])
    x1, y1, x2, y2 = targets.boxes[0, 0].tolist()
    assert x1 - 0.5 <= columns.min()
    assert columns.max() <= x2
    assert y1 - 0.5 <= rows.min()
    assert rows.max() <= y2
    full = (x2 - x1) * (y2 - y1)
    assert abs(int(targets.masks[0, 0].sum()) / full - math.pi / 4) < 0.1


def test_thin_keeps_the_ends() -> None:
    kept = thin(torch.arange(10_000.0))
    assert len(kept) == 384
    assert (kept[0], kept[-1]) == (0, 9999)


def _candidates(certain: bool = True) -> Candidates:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [70, 70, 80, 80]])
    scores = torch.tensor([1.0, 1.0, 0.9, 0.5])
    return Candidates(boxes, scores, torch.zeros(4), torch.full((4,), certain), torch.full((4,), 80.0))


@pytest.mark.parametrize("winner", [0, 1])
def test_either_of_two_tied_boxes_may_survive(winner: int) -> None:
    some = _candidates()
    keep = [winner, 2, 3]
    assert violations(Outcome(some.boxes[keep], some.scores[keep], some.groups[keep]), some, 0.5, 10) == 0


@pytest.mark.parametrize(
    ("keep", "limit"),
    [([0, 1, 2, 3], 10), ([0, 3], 10), ([2, 3], 10), ([0, 3], 2)],
    ids=["overlapping", "one missing", "both tied missing", "better one missing from a full list"],
)
def test_what_suppression_cannot_leave_is_a_violation(keep: list[int], limit: int) -> None:
    some = _candidates()
    assert violations(Outcome(some.boxes[keep], some.scores[keep], some.groups[keep]), some, 0.5, limit) > 0


def test_a_full_list_may_leave_lower_scores_out_and_uncertain_candidates_may_be_missing() -> None:
    some = _candidates()
    assert violations(Outcome(some.boxes[[0, 2]], some.scores[[0, 2]], some.groups[:2]), some, 0.5, 2) == 0
    loose = _candidates(certain=False)
    assert violations(Outcome(some.boxes[[0, 3]], some.scores[[0, 3]], some.groups[:2]), loose, 0.5, 10) == 0


def test_a_box_that_is_no_candidate_is_a_violation() -> None:
    some = _candidates()
    moved = some.boxes[[0, 2, 3]] + torch.tensor([0.0, 0.0, 0.2, 0.0])
    assert violations(Outcome(moved, some.scores[[0, 2, 3]], some.groups[:3]), some, 0.5, 10) > 0


def test_scores_may_differ_by_measured_rounding_and_no_more() -> None:
    some = _candidates()
    scores = some.scores[[0, 2, 3]] - torch.tensor([0.0, 5e-4, 0.0])
    kept = Outcome(some.boxes[[0, 2, 3]], scores, some.groups[:3])
    assert violations(kept, some, 0.5, 10) > 0
    assert violations(kept, some, 0.5, 10, rounding=4e-4) > 0
    assert violations(kept, some, 0.5, 10, rounding=1e-3) == 0


def test_places_of_one_box_go_to_levels_so_that_suppression_could_leave_them() -> None:
    """Three boxes alike on levels 0, 1 and 2: the places hold falling scores, and what has to be kept is."""
    whole = torch.tensor([0.0, 0, 100, 100])
    boxes = torch.stack([whole, whole, whole, whole, torch.tensor([0.0, 0, 5, 5])])
    scores = torch.tensor([1.0, 0.999999, 0.99, 0.3, 1.0])
    groups, certain = torch.tensor([0, 1, 2, 2, 0]), torch.tensor([False, False, True, True, False])
    same = [0.0, 0.0, 0.0, 0.0, 1.0]
    gaps = np.array([same, [1.0, 1.0, 1.0, 1.0, 0.0], same])
    found = chosen(Candidates(boxes, scores, groups, certain, torch.full((5,), 100.0)), gaps, 0.7)
    assert found[:, 5].tolist() == [0, 0, 2]
    np.testing.assert_allclose(found[:, 4], [1.0, 1.0, 0.99])
    first_is_lower = np.array([[1.0, 1.0, 1.0, 1.0, 0.0], same, same])
    found = chosen(Candidates(boxes, scores, groups, ~certain, torch.full((5,), 100.0)), first_is_lower, 0.7)
    assert found[:, 5].tolist() == [0, 0, 1]
