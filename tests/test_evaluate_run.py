import contextlib
import io
import json
import multiprocessing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detzoo.config import ConfigError
from detzoo.data.dataset import open_dataset
from detzoo.data.source import as_data
from detzoo.evaluate.report import Report
from detzoo.evaluate.run import evaluate
from tests.oracle import Answer, Oracle, answers, scene, write_coco

SIZES = [(90, 120), (120, 80), (100, 100), (60, 140), (96, 96)]
CATEGORIES = {9: "dog", 2: "cat", 31: "cow"}
NAMES = ("bird", "cow", "dog", "cat", "fish")  # the detector's: more than the data has, in another order


@pytest.fixture
def contents() -> dict[str, Any]:
    return scene(0, SIZES, CATEGORIES)


@pytest.fixture
def folder(tmp_path: Path, contents: dict[str, Any]) -> Path:
    return write_coco(tmp_path / "data", contents)


def pycocotools_stats(folder: Path, detector: Oracle, contents: dict[str, Any], kind: str) -> np.ndarray:
    """What pycocotools says about what ``detector.predict`` returns for the same files."""
    ids = {name: number for number, name in CATEGORIES.items()}
    results = []
    files = [folder / "images" / image["file_name"] for image in contents["images"]]
    for image, found in zip(contents["images"], detector.predict(files, threshold=0.0), strict=True):
        for entry, name in zip(found.to_coco(image["id"]), found.names, strict=True):
            if name in ids:
                if kind == "segm":
                    del entry["bbox"]  # or else pycocotools takes areas of the boxes
                results.append(entry | {"category_id": ids[name]})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "val.json"))
        evaluation: Any = COCOeval(truth, truth.loadRes(results), kind)  # pyright: ignore[reportArgumentType]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def numbers(report: Report, kind: str) -> list[float]:
    return [value for name, value in report.metrics.items() if name.startswith(kind)]


def test_a_whole_evaluation_equals_pycocotools(folder: Path, contents: dict[str, Any]):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=2.0, masks=True))
    report = evaluate(detector, folder, batch=2, workers=0, progress=False)
    np.testing.assert_allclose(numbers(report, "box"), pycocotools_stats(folder, detector, contents, "bbox"), atol=1e-6)
    np.testing.assert_allclose(
        numbers(report, "mask"), pycocotools_stats(folder, detector, contents, "segm"), atol=1e-6
    )
    assert 0.1 < report.metrics["box_ap"] < 0.95
    assert 0.1 < report.metrics["mask_ap50"] < 1
    assert report.main == "box_ap"
    assert [row["name"] for row in report.per_class] == ["cat", "dog", "cow"]
    assert report.images == 5
    assert report.objects == sum(not entry["iscrowd"] for entry in contents["annotations"])
    assert not report.notes


def test_perfect_detections(folder: Path, contents: dict[str, Any]):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=0))
    report = evaluate(detector, folder, batch=3, workers=0, progress=False)
    assert report.metrics["box_ap"] == pytest.approx(1)
    assert "mask_ap" not in report.metrics
    assert all(row["box_ap"] == pytest.approx(1) for row in report.per_class)


def test_batches_workers_and_an_open_dataset_change_nothing(folder: Path, contents: dict[str, Any]):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=2.0, masks=True))
    data = as_data(folder).replace(masks=True)
    opened = open_dataset(data, "val", detector.config.input, augment=False)
    found = [
        evaluate(detector, folder, batch=1, workers=1, progress=False),
        evaluate(detector, opened, batch=5, workers=0, progress=False),
        evaluate(detector, data.model_dump(), batch=2, workers=0, progress=True),
    ]
    assert found[0].metrics == found[1].metrics == found[2].metrics
    assert "mask_ap" in found[0].metrics
    assert opened.data.masks  # the caller's data set is as it was


def test_dense_masks(folder: Path, contents: dict[str, Any]):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=0, masks=True), dense=True)
    report = evaluate(detector, folder, batch=2, workers=0, progress=False)
    assert report.metrics["mask_ap50"] == pytest.approx(1)


def test_training_flags_are_restored(folder: Path, contents: dict[str, Any]):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=0))
    detector.train()
    detector.layer.eval()  # as a frozen normalization would be
    evaluate(detector, folder, workers=0, progress=False)
    assert detector.training
    assert not detector.layer.training


def test_voc_metrics_and_proposals(folder: Path, contents: dict[str, Any]):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=1.0))
    for metric in ("voc", "voc07"):
        report = evaluate(detector, folder, workers=0, progress=False, metric=metric)
        assert set(report.metrics) == {"box_ap50"}
        assert report.main == "box_ap50"
        assert report.metrics["box_ap50"] == pytest.approx(
            np.mean([row["box_ap50"] for row in report.per_class if row["box_ap50"] >= 0])
        )
    report = evaluate(detector, folder, workers=0, progress=False, metric="proposals")
    assert 0 < report.metrics["proposal_ar1000"] <= 1
    assert report.per_class == []
    assert "AR1000" in report.summary()


def test_wrong_arguments(folder: Path, contents: dict[str, Any]):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=0))
    with pytest.raises(ConfigError, match="did you mean 'voc07'"):
        evaluate(detector, folder, metric="voc7", progress=False)  # pyright: ignore[reportArgumentType]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        evaluate(detector, folder / "nowhere", progress=False)
    varied = open_dataset(as_data(folder), "val", detector.config.input, augment=True)
    with pytest.raises(ValueError, match="augment=False"):
        evaluate(detector, varied, progress=False)
    (folder / "images" / "002.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"002\.png"):
        evaluate(detector, folder, workers=0, progress=False)


def test_report_as_text_and_json(folder: Path, contents: dict[str, Any], tmp_path: Path):
    detector = Oracle(NAMES, answers(contents, NAMES, noise=2.0, masks=True))
    report = evaluate(detector, folder, workers=0, progress=False, out=tmp_path / "runs" / "one")
    saved = json.loads((tmp_path / "runs" / "one" / "report.json").read_text())
    assert saved["metrics"] == report.metrics
    assert saved["per_class"] == report.per_class
    assert report.save(tmp_path / "other.json") == tmp_path / "other.json"
    text = report.summary()
    assert "AP75" in text
    assert f"{report.metrics['mask_ap']:.4f}" in text
    assert len({len(line) for line in text.splitlines() if line.startswith(("box ", "mask "))}) == 1
    assert "-1" not in text  # there is no large object, which shows as a dash


def explained(folder: Path, detector: Oracle) -> str:
    report = evaluate(detector, folder, workers=0, progress=False)
    assert report.metrics["box_ap"] == 0
    notes = "\n".join(report.notes)
    assert notes
    assert notes.splitlines()[0] in report.summary()
    return notes


def changed(found: dict[int, Answer], **changes: Any) -> dict[int, Answer]:
    """Each answer with some fields computed from the old ones."""
    return {
        key: replace(answer, **{name: make(getattr(answer, name)) for name, make in changes.items()})
        for key, answer in found.items()
    }


def test_zero_explains_names_that_do_not_match(folder: Path, contents: dict[str, Any]):
    found = answers(contents, NAMES, noise=0)
    notes = explained(folder, Oracle(("Bird", "Cows", "Dogs", "Cat", "Fish"), found))
    assert "no class of the data is one that the detector knows" in notes
    assert "'cow' is not a class of the detector; did you mean 'Cows'?" in notes
    assert "none of the" in notes


def test_a_missing_class_is_named(folder: Path, contents: dict[str, Any]):
    found = answers(contents, NAMES, noise=0)
    report = evaluate(Oracle(("bird", "cow", "dog", "cats", "fish"), found), folder, workers=0, progress=False)
    assert 0 < report.metrics["box_ap"] < 0.7
    assert "1 of 3 classes" in report.notes[0]
    assert "did you mean 'cats'" in report.notes[0]


def test_zero_explains_shuffled_names(folder: Path, contents: dict[str, Any]):
    found = answers(contents, NAMES, noise=0)
    notes = explained(folder, Oracle(("bird", "dog", "cat", "cow", "fish"), found))
    assert "fit an object, but under another name" in notes


def test_zero_explains_nothing_found(folder: Path, contents: dict[str, Any]):
    nothing = {key: Answer(answer.size, torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
               for key, answer in answers(contents, NAMES, noise=0).items()}  # fmt: skip
    assert "found nothing at all" in explained(folder, Oracle(NAMES, nothing))


def test_zero_explains_boxes_outside_and_faint_scores(folder: Path, contents: dict[str, Any]):
    found = answers(contents, NAMES, noise=0)
    away = changed(found, boxes=lambda boxes: boxes + 500)
    assert "outside of their image" in explained(folder, Oracle(NAMES, away))
    faint = changed(found, scores=lambda scores: scores / 100, boxes=lambda boxes: boxes / 100)
    notes = explained(folder, Oracle(NAMES, faint))
    assert "no detection scores above 0.05" in notes
    assert "in the median detections are" in notes


def test_zero_explains_nan(folder: Path, contents: dict[str, Any]):
    broken = changed(answers(contents, NAMES, noise=0, masks=True), boxes=lambda boxes: boxes * float("nan"))
    assert "NaN or infinite" in explained(folder, Oracle(NAMES, broken))


def test_no_ground_truth(tmp_path: Path, contents: dict[str, Any]):
    found = answers(contents, NAMES, noise=0)
    folder = write_coco(tmp_path / "bare", {**contents, "annotations": []})
    report = evaluate(Oracle(NAMES, found), folder, workers=0, progress=False)
    assert report.metrics["box_ap"] == -1
    assert "there is nothing to find" in report.notes[0]
    crowds = [{**entry, "iscrowd": 1} for entry in contents["annotations"]]
    folder = write_coco(tmp_path / "crowds", {**contents, "annotations": crowds})
    report = evaluate(Oracle(NAMES, found), folder, workers=0, progress=False)
    assert "are crowds or ignored" in report.notes[0]


def test_shapes_with_masks():
    """The generated data set, its own objects as the answers."""
    report = evaluate(_Blind(), "shapes:4/3", workers=0, progress=False)
    assert report.images == 3
    assert report.metrics["box_ap"] == 0


class _Blind(Oracle):
    """Finds nothing in any image."""

    def __init__(self) -> None:
        super().__init__(("circle", "square", "triangle", "star", "cross"), {})

    def detect(self, images: Any) -> Any:
        nothing = Answer((1, 1), torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
        self.answers = dict.fromkeys(range(256), nothing)
        return super().detect(images)


def _on_a_rank(rank: int, store: str, folder: str, contents: dict[str, Any], out: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    try:
        detector = Oracle(NAMES, answers(contents, NAMES, noise=2.0, masks=True))
        report = evaluate(detector, folder, batch=1, workers=0, progress=False)
        looked = len(detector.calls)
        report.save(f"{out}/rank{rank}.json")
        Path(f"{out}/looked{rank}.txt").write_text(str(looked))
        if rank == 0:  # alone, while the other does not call
            assert evaluate(detector, folder, workers=0, progress=False, together=False).metrics == report.metrics
    finally:
        torch.distributed.destroy_process_group()


def test_two_ranks_share_the_work(folder: Path, contents: dict[str, Any], tmp_path: Path):
    arguments = (str(tmp_path / "store"), str(folder), contents, str(tmp_path))
    other = multiprocessing.get_context("spawn").Process(target=_on_a_rank, args=(1, *arguments))
    other.start()
    _on_a_rank(0, *arguments)
    other.join(60)
    assert other.exitcode == 0
    reports = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert reports[0] == reports[1]
    assert [int((tmp_path / f"looked{rank}.txt").read_text()) for rank in (0, 1)] == [3, 2]
    detector = Oracle(NAMES, answers(contents, NAMES, noise=2.0, masks=True))
    alone = evaluate(detector, folder, workers=0, progress=False)
    assert reports[0]["metrics"] == alone.metrics
    assert reports[0]["images"] == 5
