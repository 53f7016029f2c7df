"""The page about an evaluation or a run: what it says is true, all of it is there, and names stay text."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from detzoo.evaluate.arrays import Found, Truth, iou
from detzoo.evaluate.coco import precision_and_recall
from detzoo.evaluate.diagnosis import THRESHOLDS, diagnose
from detzoo.evaluate.run import evaluate
from detzoo.overwrite import OverwritesSource
from detzoo.report.charts import Line, line_chart, ticks
from detzoo.report.page import Page
from detzoo.train.curves import curves_of, draw_curves
from tests.oracle import Oracle, answers, scene, write_coco
from tests.test_train_loop import run

NAMES = ("<b>dog</b>", "</script><script>alert(1)</script>", "ü & $x$")
SECTIONS = ["Classes", "Precision, recall and threshold", "Kinds of errors", "Confusion matrix"]
SECTIONS += ["Ground truth beside predictions"]


class Read(HTMLParser):
    """Tags, headings, texts and addresses of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def objects(boxes: list[list[float]], labels: list[int], image: list[int], classes: int = 2) -> Truth:
    count, corners = len(boxes), np.array(boxes, dtype=np.float64)
    none = np.zeros(count, dtype=bool)
    areas = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    names = tuple(f"c{number}" for number in range(classes))
    return Truth(max(image) + 1, names, np.array(image), np.array(labels), corners, areas, none, none)


def detections(boxes: list[list[float]], labels: list[int], image: list[int], scores: list[float]) -> Found:
    return Found(np.array(image), np.array(labels), np.array(boxes, dtype=np.float64), np.array(scores))


def test_every_kind_of_error_is_counted_once() -> None:
    box, near, far = [0.0, 0, 100, 100], [60.0, 0, 160, 100], [300.0, 300, 400, 400]
    truth = objects([box] * 6 + [far], [0] * 7, [0, 1, 2, 3, 4, 5, 5])
    rows = [(box, 0, 0), (box, 1, 1), (near, 0, 2), (near, 1, 3), (box, 0, 4), (box, 0, 4), (far, 0, 0), (box, 0, 5)]
    found = detections(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.9, 0.9],
    )
    diagnosis = diagnose(truth, found)
    # a missed object is one that no error of class or place explains
    counts = {kind: count for kind, (_, count) in diagnosis.errors.items()}
    assert counts == {"class": 1, "place": 1, "both": 1, "duplicate": 1, "background": 1, "missed": 2} | {
        "duplicate": counts["duplicate"]
    }
    assert diagnosis.images.tolist() == [[1, 1, 0], [0, 1, 1], [0, 1, 1], [0, 1, 1], [1, 0, 0], [1, 0, 1]]
    assert diagnosis.threshold == 0.9
    assert diagnosis.at_threshold[-1] == pytest.approx([3 / 7, 3 / 7, 3 / 7])
    assert diagnosis.confusion[0].tolist() == [3, 1, 3]
    assert diagnosis.confusion[2, 0] == 2


def test_curves_are_those_of_the_definitions() -> None:
    """F1 and precision from counts of what is above each threshold, one by one."""
    random = np.random.default_rng(3)
    images = np.repeat(np.arange(20), 3)
    corners = np.concatenate([random.uniform(0, 200, (60, 2)), np.zeros((60, 2))], 1)
    corners[:, 2:] = corners[:, :2] + random.uniform(20, 60, (60, 2))
    truth = objects(corners.tolist(), random.integers(0, 2, 60).tolist(), images.tolist())
    moved = corners + random.normal(0, 6, corners.shape)
    scores = random.permutation(60) / 60
    order = np.lexsort((-scores, images))
    found = detections(
        moved[order].tolist(), truth.labels[order].tolist(), images[order].tolist(), scores[order].tolist()
    )
    diagnosis = diagnose(truth, found)
    right = np.zeros(60, dtype=bool)
    free = np.ones(60, dtype=bool)
    for one in np.argsort(-found.scores):  # each takes the best free object of its class and image
        fits = free & (truth.image == found.image[one]) & (truth.labels == found.labels[one])
        overlaps = np.where(fits, iou(found.boxes[one][None], truth.boxes)[0], 0)
        right[one] = overlaps.max() >= 0.5
        free[overlaps.argmax()] &= not right[one]
    assert 20 < right.sum() < 60
    for label in (0, 1, 2):  # 2: all together
        of_class, total = found.labels == label if label < 2 else np.ones(60, dtype=bool), 60
        if label < 2:
            total = int((truth.labels == label).sum())
        for at, threshold in enumerate(THRESHOLDS):
            above = of_class & (found.scores >= threshold)
            wanted = 2 * (right & above).sum() / (above.sum() + total)
            assert diagnosis.f1[label, at] == pytest.approx(wanted), (label, threshold)
        at_best = 2 * (right & of_class & (found.scores >= diagnosis.best[label])).sum()
        every = [
            2
            * (right & of_class & (found.scores >= score)).sum()
            / ((of_class & (found.scores >= score)).sum() + total)
            for score in scores
        ]
        assert at_best / ((of_class & (found.scores >= diagnosis.best[label])).sum() + total) == pytest.approx(
            max(every)
        )
    half = precision_and_recall(truth, found, "box", (100,))["precision"][0, :, :, 0, -1]
    assert diagnosis.precision[:-1] == pytest.approx(half.T, abs=1e-9)
    assert diagnosis.precision[-1] == pytest.approx(half.mean(1), abs=1e-9)


@pytest.mark.parametrize("nothing", ["objects", "detections"])
def test_nothing_to_compare_is_no_error(nothing: str) -> None:
    truth = objects([[0.0, 0, 9, 9]], [0], [0])
    found = detections([[0.0, 0, 9, 9]], [0], [0], [0.5])
    if nothing == "objects":
        empty = np.zeros(0, dtype=np.int64)
        bare = np.zeros(0, dtype=bool)
        truth = Truth(1, truth.classes, empty, empty, np.zeros((0, 4)), np.zeros(0), bare, bare)
    else:
        found = Found(found.image[:0], found.labels[:0], found.boxes[:0], found.scores[:0])
    diagnosis = diagnose(truth, found)
    missed = 1 if nothing == "detections" else 0
    assert sum(count for _, count in diagnosis.errors.values()) == missed
    assert not diagnosis.f1.any()
    assert np.isfinite(diagnosis.precision).all()


@pytest.mark.parametrize("masks", [False, True])
def test_the_page_has_everything_and_names_stay_text(tmp_path: Path, masks: bool) -> None:
    contents = scene(0, [(90, 120), (120, 80), (100, 100)], dict(enumerate(NAMES, 1)))
    data = write_coco(tmp_path / "data", contents)
    detector = Oracle(NAMES, answers(contents, NAMES, noise=6, masks=masks))
    report = evaluate(detector, data, out=tmp_path / "found.json", workers=0, progress=False)
    page = Read(tmp_path / "found.html")
    assert page.open == []
    assert page.headings == [*SECTIONS, "Labels", "How this was made"]
    assert page.tags.count("script") == 1, "our own"
    assert "dog" not in page.texts
    assert all(name in page.texts for name in NAMES)
    assert f"{report.metrics['box_ap']:.3f}" in page.texts
    assert len(page.addresses) == 2 * 3 + 1, "two pictures an image and the map of places"
    for address in page.addresses:
        kind, _, content = address.partition(";base64,")
        assert kind in ("data:image/jpeg", "data:image/png")
        with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
            picture.load()
    assert "http" not in (tmp_path / "found.html").read_text(encoding="utf-8")
    again = evaluate(detector, data, out=tmp_path / "bare.json", workers=0, progress=False, report=False)
    assert again.metrics == report.metrics
    assert not (tmp_path / "bare.html").exists()
    with pytest.raises(OverwritesSource):
        evaluate(detector, data, workers=0, progress=False, report=data / "val.json")


def test_the_page_of_proposals_has_no_classes(tmp_path: Path) -> None:
    contents = scene(1, [(90, 120), (120, 80)], {1: "cat", 2: "dog"})
    data = write_coco(tmp_path / "data", contents)
    detector = Oracle(("dog", "cat"), answers(contents, ("dog", "cat"), noise=3))
    evaluate(detector, data, metric="proposals", out=tmp_path / "out", workers=0, progress=False)
    page = Read(tmp_path / "out" / "report.html")
    assert page.headings == ["Numbers", *SECTIONS[1:3], SECTIONS[4], "Labels", "How this was made"]


def test_confusions_of_many_classes_are_a_map_and_a_list(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(30))
    contents = scene(2, [(90, 120)] * 6, dict(enumerate(names, 1)))
    data = write_coco(tmp_path / "data", contents)
    detector = Oracle(names, answers(contents, names, noise=1))
    evaluate(detector, data, report=tmp_path / "page.html", workers=0, progress=False)
    page = Read(tmp_path / "page.html")
    assert "taken for" in page.texts
    assert page.headings[:5] == SECTIONS


def test_a_run_leaves_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(tmp_path / "run", "schedule.epochs=1", "schedule.evaluate_every=1")
    assert done.report == tmp_path / "run" / "report.html"
    assert f"report: {done.report}" in capsys.readouterr().out
    page = Read(tmp_path / "run" / "report.html")
    learned = ["How it learned", "What it learned from", "Labels", "How this was made"]
    assert [heading for heading in page.headings if heading != "What stands out"] == [*SECTIONS, *learned]
    assert len(page.addresses) == 2 * 3 + 2 * 4 + 1, "three validation images, two batches of four, the map"
    blind = run(tmp_path / "blind", "schedule.epochs=1", "schedule.evaluate_every=0")
    assert blind.report is not None
    assert Read(blind.report).headings == learned
    assert run(tmp_path / "bare", "schedule.epochs=1", report=False).report is None
    assert not (tmp_path / "bare" / "report.html").exists()


def test_a_page_that_fails_costs_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Page, "write", fails)
    done = run(tmp_path / "run", "schedule.epochs=1", "schedule.evaluate_every=1")
    assert done.report is None
    assert done.best is not None
    assert "WARNING: there is no report: the disk is full" in capsys.readouterr().out


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    marks = ticks(low, low + width)
    assert len(marks) <= 7
    assert all(low - width * 1e-6 <= value <= low + width * (1 + 1e-6) for value, _ in marks)
    steps = [right - left for (left, _), (right, _) in pairwise(marks)]
    assert all(step == pytest.approx(steps[0], rel=1e-6) for step in steps)


def test_chart_lines_lie_in_their_frame() -> None:
    chart = line_chart("t", "x", [Line("a", [(0.0, 0.5), (2.0, 9.0)])], y=(0.0, 1.0))
    corners = [tuple(map(float, corner.split(","))) for corner in chart["lines"][0]["points"].split()]
    assert all(chart["left"] <= x <= chart["right"] and chart["top"] <= y <= chart["bottom"] for x, y in corners)


def test_ticks_of_the_curves_do_not_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pixels: of each axis among each other, and with those of the next one."""
    kept: list[Any] = []
    train = [
        {"event": "train", "at": step / 40, "lr": 0.00012345 * step, "losses": {"loss": 900.5 - step, "loss_cls": 1.0}}
        for step in range(40)
    ]
    epoch = {"event": "epoch", "epoch": 1, "metrics": {"box_ap": 0.1}, "main": "box_ap", "val_losses": {"loss": None}}
    assert curves_of([*train, epoch])["loss"][-1].points == []
    from matplotlib.figure import Figure

    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **more: (kept.append(self), save(self, *args, **more))[1]
    )
    draw_curves([*train, epoch], tmp_path / "curves.png")
    (figure,) = kept
    extents = []
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks_of = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            extents += [label.get_window_extent() for label in ticks_of if label.get_text()]
    assert len(extents) >= 18
    for number, one in enumerate(extents):
        assert 0 <= one.x0 < one.x1 <= 1500
        assert not any(one.overlaps(other) for other in extents[number + 1 :])


def test_words_of_a_page_are_whole(tmp_path: Path) -> None:
    path = Page(tmp_path / "page.html", "<i>mine</i>").write()
    text = path.read_text(encoding="utf-8")
    assert "<i>mine" not in text
    assert not re.search(r"{{|{%", text)
