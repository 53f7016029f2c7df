"""One recorded case of each method, and the tools that compare. ``make sweep`` runs one of each part, too, and all."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from detzoo.blocks import rpn
from detzoo.config import flatten
from detzoo.detector import Detector
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.centripetalnet import CentripetalNet
from detzoo.methods.cornernet import CornerNet
from detzoo.methods.grid_rcnn import GridRCNN
from detzoo.methods.htc import HTC
from detzoo.methods.mask_scoring_rcnn import MaskScoringRCNN
from detzoo.methods.scnet import SCNet
from detzoo.methods.tridentnet import TridentNet
from detzoo.ops.nms import select
from detzoo.recipes.recipe import METHODS, method_of
from detzoo.types import Detections
from tests.parity import __main__ as command
from tests.parity import done, standin
from tests.parity.cases import CASES, Case, matching
from tests.parity.detections import pair
from tests.parity.done import Done
from tests.parity.golden import GOLDEN, Golden, load, save, thin
from tests.parity.import_cases import convert
from tests.parity.ladder import climb
from tests.parity.raw import named
from tests.parity.run import COLUMNS, Row, run
from tests.parity.rungs import BOUND, RUNGS, Rung, relative, worst
from tests.parity.stable import stable_sorting
from tests.parity.training import gradient_differences

# of the generator for "backbone.conv1.weight"
FIRST_WORDS = (0.7991473078727722, 0.6442287564277649, 0.014991581439971924)
RETINANET = "retinanet_r50_fpn_1x_coco"


# whose golden case takes a minute or more: `make parity` has them, as all other cases
LONG = {CascadeMaskRCNN, CentripetalNet, CornerNet, GridRCNN, HTC, MaskScoringRCNN, SCNet, TridentNet}
# one of each kind of releases of PaddleDetection
PADDLE_FIRST = ("paddle/faster_rcnn_r50_fpn_1x_coco", "paddle/static/faster_rcnn_r50_fpn_1x")


def kinds(case: Case) -> set[str]:
    """What a case is made of: its method and the kinds of its parts, e.g. ``neck fpn``."""
    settings = flatten(case.published().model)
    parts = {path.removesuffix(".kind"): value for path, value in settings.items() if path.endswith(".kind")}
    names = {f"{re.sub(r'[.0-9]+', ' ', part)} {kind}" for part, kind in parts.items() if not part.endswith("_loss")}
    return {method_of(case.published()).__name__, *names}


def first_cases() -> dict[str, bool]:
    """Of every method and every kind of part the first case that has it, and whether it is always run."""
    seen: set[str] = set()
    firsts: dict[str, bool] = {}
    for name, case in CASES.items():
        if not kinds(case) <= seen:
            method = method_of(case.published())
            firsts[name] = method.__name__ not in seen and method not in LONG
            seen |= kinds(case)
    return firsts | dict.fromkeys(PADDLE_FIRST, True)


def test_every_method_has_a_case() -> None:
    assert {method.__name__ for method in METHODS} <= {kind for name in first_cases() for kind in kinds(CASES[name])}


@pytest.mark.parametrize(
    "name",
    [name if always else pytest.param(name, marks=pytest.mark.sweep) for name, always in first_cases().items()],
)
def test_first_case_of_each_method_and_part_matches_the_original(name: str) -> None:
    row, golden = run(name), load(name)
    assert (row["first_failing"], row["where"]) == ("", "")
    compared = {"parameters", "backbone", "detections"} | ({"neck"} if golden.levels("neck") else set())
    if golden.losses:  # or it was recorded in test mode, image by image
        compared |= {"losses", "gradients"} | ({"raw"} if golden.levels("raw") else set())
        compared |= {"targets"} if golden.levels("target") else set()
        compared |= {"masks"} if golden.masks else set()
    assert {rung for rung in RUNGS if row[rung]} == compared


def climbing(monkeypatch: pytest.MonkeyPatch, *rungs: Rung, then: Exception | None = None) -> Row:
    """The row of a case whose climb gives these rungs."""

    def climb(model: Detector, golden: Golden) -> Iterator[Rung]:
        yield from rungs
        if then:
            raise then

    monkeypatch.setattr("tests.parity.run.climb", climb)
    return run("rpn_r50_fpn_1x_coco")


def test_a_failing_case_names_its_first_rung_and_has_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    rungs = [Rung("parameters", 0.0), Rung("raw", 1e-3, "raw.0.1"), Rung("losses", math.inf, "loss_cls")]
    row = climbing(monkeypatch, *rungs)
    assert (row["passed"], row["first_failing"], row["where"]) == ("no", "raw", "0.001 at raw.0.1")
    assert (row["parameters"], row["raw"], row["losses"], row["masks"]) == ("0.0e+00", "1.0e-03", "inf", "")
    assert climbing(monkeypatch, rungs[0])["passed"] == "yes"


def test_a_case_that_breaks_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = climbing(monkeypatch, Rung("parameters", 0.0), then=TypeError("no such\nthing"))
    assert (row["passed"], row["first_failing"], row["where"]) == ("no", "after parameters", "TypeError: no such")
    row = climbing(monkeypatch, Rung("parameters", 0.0), Rung("raw", 1.0, "raw.0"), then=TypeError("later"))
    assert (row["first_failing"], row["where"]) == ("raw", "1 at raw.0")


def test_losses_differ_relatively_and_by_name() -> None:
    assert relative({"a": 1.1, "b": 0.0}, {"a": 1.0, "b": 0.0}) == {"a": pytest.approx(0.1), "b": 0.0}
    assert relative({"a": 1.0}, {"b": 1.0}) == {"a": math.inf, "b": math.inf}


def test_first_difference_is_named() -> None:
    """One changed number in one neck parameter is found at the neck, not before."""
    golden, model = load(RETINANET), CASES[RETINANET].build()
    rungs = climb(model, golden)
    assert next(rungs).passed
    with torch.no_grad():
        model.get_parameter("neck.lateral_convs.0.conv.bias")[0] += 1e-4
    assert next(rungs).passed
    neck = next(rungs)
    assert not neck.passed
    assert neck.where.startswith("neck.0")


def test_weights_that_do_not_fit_end_the_climb() -> None:
    rungs = list(climb(CASES[RETINANET].build(), load("faster-rcnn_r50_fpn_1x_coco")))
    assert [rung.name for rung in rungs] == ["parameters"]
    assert not rungs[0].passed
    assert "missing" in rungs[0].where
    assert "left over" in rungs[0].where


def test_every_case_has_its_recording_and_every_recording_its_case() -> None:
    assert {path.relative_to(GOLDEN).with_suffix("").as_posix() for path in GOLDEN.rglob("*.npz")} == set(CASES)


def test_every_recording_is_in_double_precision_and_small() -> None:
    sizes = [path.stat().st_size for path in GOLDEN.rglob("*.npz")]
    assert max(sizes) < 150_000
    assert sum(sizes) / len(sizes) < 60_000
    for name in CASES:
        golden = load(name)
        dtypes = {array.dtype for array in golden.arrays.values()}
        assert dtypes <= {np.dtype(kind) for kind in (np.float64, np.int64, np.uint8)}, name
        assert {"pred.0.boxes", "pred.1.boxes"} <= golden.arrays.keys(), name
        if not name.startswith("paddle/static/"):  # recorded in test mode
            assert "backbone.0" in golden.arrays, name
            assert golden.losses, name
            assert golden.grad_norms, name


def test_recording_settings_follow_from_the_model() -> None:
    """Everything is sampled and little is kept, of two stages; of one stage nothing changes."""
    case = CASES["mask-rcnn_r50-caffe_fpn_1x_coco"]
    published, built = flatten(case.published().model), flatten(case.build(threshold=0.001).config)
    assert {path: value for path, value in built.items() if value != published[path]} == {
        "rpn.samples": 1_000_000,
        "rpn.train_candidates": 200,
        "rpn.train_proposals": 60,
        "rpn.candidates": 200,
        "rpn.proposals": 60,
        "box_head.samples": 1_000_000,
        "box_head.positives": 0.5,
        "box_head.detections": 30,
        "box_head.threshold": 0.001,
    }
    assert CASES[RETINANET].build().config == CASES[RETINANET].published().model
    assert len(CASES["faster-rcnn_r50_fpn_1x_voc0712"].build().classes) == 20
    assert len(CASES["ssd300_8xb32-24e_widerface"].build().classes) == 1


def test_patterns_choose_cases() -> None:
    assert matching([]) == list(CASES)
    assert matching(["retinanet*"]) == [name for name in CASES if name.startswith("retinanet")] != []
    assert matching(["atss*", "r50_8xb2-150e"]) == ["atss_r50_fpn_1x_coco", "detr_r50_8xb2-150e_coco"]


def row_of(name: str, passed: bool) -> Row:
    return dict.fromkeys(COLUMNS, "") | {
        "case": name,
        "passed": "yes" if passed else "no",
        "first_failing": "" if passed else "raw",
    }


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A harness whose cases all pass at once but for that of DETR, writing elsewhere; the cases that it ran."""
    ran: list[str] = []

    def instead(name: str) -> Row:
        ran.append(name)
        return row_of(name, not name.startswith("detr"))

    monkeypatch.setattr(command, "run", instead)
    monkeypatch.setattr(command, "REPORT", tmp_path / "parity.csv")
    monkeypatch.setattr(command, "Done", lambda: Done(tmp_path / "done"))
    return ran


def test_what_passed_is_not_run_again_and_the_report_is_complete(
    fast: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "parity.csv"
    assert command.main(["--jobs", "1", "retinanet*", "detr*"]) == 1
    assert not report.exists()
    assert "parity.csv stays as it is" in capsys.readouterr().out
    assert command.main(["--jobs", "1"]) == 1
    assert sorted(fast) == sorted([*CASES, *matching(["detr*"])])  # what failed is run again
    with report.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == list(CASES)
    assert [row["case"] for row in rows if row["passed"] == "no"] == matching(["detr*"])
    fast.clear()
    assert command.main(["--jobs", "1", "--fresh", "atss*"]) == 0
    assert command.main(["--jobs", "1", "atss*"]) == 0
    assert fast == matching(["atss*"])


def test_other_code_is_another_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = Done(tmp_path)
    before.add(row_of(RETINANET, passed=True))
    assert Done(tmp_path).passed(RETINANET)
    monkeypatch.setattr(done, "code", lambda: b"other")
    assert Done(tmp_path).row(RETINANET) is None
    with pytest.raises(SystemExit, match="changed during the run"):
        before.add(row_of(RETINANET, passed=True))


def test_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["no such case"]) == 2
    assert "there are" in capsys.readouterr().out


def test_nan_and_excess_do_not_pass() -> None:
    for name in RUNGS:
        assert Rung(name, BOUND).passed
        assert not Rung(name, 1.1 * BOUND).passed
        assert not Rung(name, math.inf).passed
        assert not worst(name, {"good": 0.0, "bad": math.nan}).passed


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


def test_nested_outputs_are_named_by_their_places() -> None:
    one = torch.zeros(1)
    assert [name for name, _ in named("raw", ([one, (one, one)], {"fused": one}))] == [
        "raw.0.0",
        "raw.0.1.0",
        "raw.0.1.1",
        "raw.1.fused",
    ]


def test_a_gradient_that_is_rounding_alone_is_compared_to_the_last_digit() -> None:
    arrays = {"grad.neck.bias": np.array([1e-13, -2e-13]), "grad.neck.weight": np.array([600.0, 0.5])}
    stats = {name: {"absmax": float(np.abs(values).max())} for name, values in arrays.items()}
    golden = Golden("a.py", None, {}, 1.0, (4, 6), [(4, 6)], [0], {}, {"neck": 1000.0}, stats, arrays)

    def passes(bias: float, weight: float) -> list[bool]:
        ours = {"neck.bias": torch.tensor([bias, -2e-13]), "neck.weight": torch.tensor([600.0, weight]).double()}
        found = gradient_differences({name: value.double() for name, value in ours.items()}, golden)
        return [found[f"grad.{name}"] <= BOUND for name in ours]

    assert passes(-1e-13, 0.5 + 5e-4) == [True, True]
    assert passes(3e-13, 0.5 + 5e-4) == [True, True]
    assert passes(4e-13, 0.5 + 7e-4) == [False, False]


def test_a_saved_recording_keeps_nine_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.parity.golden.GOLDEN", tmp_path)
    golden = Golden("a.py", None, {}, 1.0, (4, 6), [(4, 6)], [0], {}, {}, {}, {})
    values = np.array([1 / 3, -1e9 / 7, 0.0, 2.0**-70])
    save(tmp_path / "case.npz", {key: value for key, value in vars(golden).items() if key != "arrays"}, {"a": values})
    load_again = load("case")
    assert load_again.arrays["a"].dtype == np.float64
    np.testing.assert_allclose(load_again.arrays["a"], values, rtol=4e-9, atol=0)
    assert load_again.sizes == [(4, 6)]


def test_a_recording_in_float32_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"{RETINANET}.json").write_text(json.dumps({"precision": "float32"}))
    with pytest.raises(ValueError, match="recorded in float32"):
        convert(tmp_path, tmp_path, RETINANET)


def test_stable_sorting_keeps_equal_values_in_order_and_ends_with_the_block() -> None:
    default, nearly = torch.Tensor.sort, 0.5 + 1e-15 * torch.rand(5000, dtype=torch.float64)
    with stable_sorting():
        values, order = nearly.sort(descending=True)
        assert order.tolist() == list(range(5000))
        assert torch.equal(values, nearly.round(decimals=9))
        assert torch.equal(nearly.sort(stable=True).values, default(nearly).values)
        learned = torch.tensor([1.0, 3.0, 2.0], requires_grad=True)
        assert learned.sort().indices.tolist() == [0, 2, 1]
        learned.sort().values[0].backward()
        assert learned.grad is not None
        assert learned.grad.tolist() == [1, 0, 0]
    assert torch.Tensor.sort is default


def test_suppression_of_proposals_sorts_by_all_digits() -> None:
    """Of two boxes in one place the one that is better by 1e-12 is left; elsewhere the two are alike."""
    boxes, valid = torch.tensor([[[0.0, 0, 9, 9]] * 2]).double(), torch.ones(1, 2, dtype=torch.bool)
    scores = torch.tensor([[0.5, 0.5 + 1e-12]], dtype=torch.float64)
    with stable_sorting():
        of_proposals, _ = rpn.select(boxes, scores, valid, 0.5, 1)
        others, _ = select(boxes, scores, valid, 0.5, 1)
    assert (of_proposals.tolist(), others.tolist()) == ([[1]], [[0]])


def test_proposals_that_nine_digits_do_not_tell_apart_have_two_orders() -> None:
    boxes = torch.tensor([[[0.0, 0, 9, 9], [20, 0, 29, 9], [20, 0, 29, 9], [40, 0, 49, 9]]]).double()
    scores = torch.tensor([[3e-13, 1e-10, 2e-10, 0.5]], dtype=torch.float64)
    with stable_sorting() as order:
        for order.by_place, wanted in ((False, [3, 2, 0]), (True, [3, 0, 2])):
            found, used = rpn.select(boxes, scores, torch.ones(1, 4, dtype=torch.bool), 0.5, 4)
            assert (found[0, :3].tolist(), used.tolist()) == (wanted, [[True, True, True, False]])


def test_every_detection_has_to_have_its_counterpart() -> None:
    golden = load(RETINANET)
    parts = ("boxes", "scores", "labels")
    boxes, scores, labels = (
        torch.stack([torch.from_numpy(golden.arrays[f"pred.{image}.{part}"]) for image in range(2)]) for part in parts
    )
    valid = torch.ones(2, 100, dtype=torch.bool)

    def difference(boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor) -> float:
        return worst("detections", pair(golden, Detections(boxes, scores, labels, valid))[1]).difference

    other = torch.arange(200).view(2, 100) == 7
    assert difference(boxes, scores, labels) == 0
    assert difference(boxes + 0.01 * other.unsqueeze(-1), scores, labels) == pytest.approx(0.01 / 256)
    assert difference(boxes, scores + 2e-6 * other, labels) == pytest.approx(2e-6)
    assert difference(boxes, scores, labels + 90 * other) == math.inf
    assert (
        pair(golden, Detections(boxes, scores, labels, valid & ~other))[1]["pred.0: 99 detections, recorded 100"]
        == math.inf
    )
